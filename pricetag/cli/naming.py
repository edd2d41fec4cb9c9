"""Names of the REST API's fields on the command line: options and arguments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pricetag.client import ApiError

RENAMED = {
    "a": "RUNS_A",
    "b": "RUNS_B",
    "accelerators_per_server": "--per-server",
    "content": "FILE",
    "duration_h": "--duration",
    "end": "--to",
    "expires_at": "--expires",
    "format": "FILE",
    "grid_zone": "--zone",
    "idempotency-key": "--key",
    "is_default": "--default",
    "licence": "--license",
    "object_id": "--id",
    "object_kind": "--kind",
    "q": "--search",
    "refuses": "--refuse",
    "relative_std_ratio": "--std",
    "report_id": "--id",
    "run_id": "RUN",
    "runs": "RUN",
    "session_id": "ID",
    "study_id": "STUDY",
    "start": "--from",
    "stops": "--stop",
    "tags": "--tag",
    "thresholds": "--warn-at",
    "utilisation_ratio": "--utilization",
    "valid_from": "--from",
    "valid_to": "--to",
    "within_h": "--within",
}
"""Fields whose option or argument has another name; all other names are the same."""

SUBJECTS = {"name": ("SITE", "PROJECT"), "site": ("SITE",), "project": ("PROJECT",)}
"""Fields for which a command has no option, because they are its subject."""

WRAPPERS = frozenset({"details", "filter", "ownership", "rule"})
"""Objects in a request whose fields are options of their own."""

_WRAPPED = re.compile(r"\b(?:details|ownership|rule)\.(\w+)\b")
_BODY = re.compile(r"\AThe body\b")
_WORD = re.compile(r"(?<![\w.-])[a-z]+(?:_[a-z]+)+(?![\w.])")


def refusal(ctx: Any, error: ApiError) -> list[str]:
    """The server's error message, in which every invalid field has its name on the command line.

    The first line is the message; each further problem has its own line.

    Args:
        ctx: Of the command.
        error: What the server responded.
    """
    file = ctx.params.get("file")
    faults = [_in_words_of(ctx, fault) for fault in error.errors]
    main = error.message
    if file is not None:  # the body of the request
        main = _BODY.sub(lambda _: str(file), main)
        faults = [(name, _BODY.sub(lambda _: str(file), text), hint) for name, text, hint in faults]
    if error.errors:
        main = _renamed_start(main, error.errors[0].get("field"), faults[0])
    main = _with_options(ctx, main)
    if main.endswith(f" (and {len(faults) - 1} more)"):  # they are all named here
        main = main.rpartition(" (and ")[0]
    lines = [main]
    by_hint: dict[str, list[str]] = {}  # by hint, each shown once
    messages = [message for _, message, _ in faults]
    for name, message, hint in faults:
        unmentioned = by_hint.setdefault(hint, [])
        text = f"{name}: {message}" if name else message
        fragment = text if messages.count(message) > 1 else message
        if fragment not in main:
            unmentioned.append(text)
    if len(faults) == 1:
        lines[0] = " ".join([main, *by_hint[faults[0][2]]])
        by_hint[faults[0][2]] = []
    for hint, others in by_hint.items():
        lines += others
        if hint and hint not in main:
            place = -1 if others else 0
            lines[place] += f" ({hint})"
    if error.status == 401:
        lines[0] += " (use --token or set PRICETAG_TOKEN)"
    return lines


def _in_words_of(ctx: Any, fault: dict[str, Any]) -> tuple[str, str, str]:
    """Name, message and hint of an invalid field."""
    name = name_of(ctx, str(fault.get("field") or ""))
    message, hint = (_with_options(ctx, str(fault.get(key) or "")) for key in ("message", "hint"))
    return name, message, hint


def _renamed_start(text: str, field: object, fault: tuple[str, str, str]) -> str:
    """A message that begins with its field; a phrase without a subject gets the field in front."""
    name, message, _ = fault
    if field and text.startswith(f"{field}: "):
        return name + text[len(str(field)) :]
    return f"{name}: {text}" if name and text == message and text[:1].islower() else text


def name_of(ctx: Any, field: str) -> str:
    """An option or argument of the command for a field of its request.

    ``thresholds.1`` is ``--warn-at``, ``details.periods.0.price`` is ``--periods, 0.price``. Fields
    without an option, such as those of a job file, keep their names. ``entered.0.hours`` is a cell
    of the table of ``--rows``: ``rows.csv, row 1, hours``.
    """
    parts = field.split(".")
    rows = ctx.params.get("rows")
    if rows is not None and parts[0] == "entered" and len(parts) > 1 and parts[1].isdecimal():
        return ", ".join([f"{rows}, row {int(parts[1]) + 1}", *parts[2:]])
    if parts[0] in WRAPPERS and len(parts) > 1:
        parts = parts[1:]
    if parts[0] == "run" and len(parts) > 1:  # a quote's request wraps the job file
        parts = parts[1:]
    name = _parameter(ctx, parts[0])
    if name is None:
        return ".".join(parts)
    inner = ".".join(parts[1:])
    return name if not inner or inner.isdecimal() else f"{name}, {inner}"


def _parameter(ctx: Any, field: str) -> str | None:
    options = {name for param in ctx.command.params for name in param.opts}
    arguments = {param.metavar for param in ctx.command.params if not param.opts[0].startswith("-")}
    option = RENAMED.get(field.lower(), "--" + field.replace("_", "-"))
    names = (option, f"--{option.lower()}", field.upper(), *SUBJECTS.get(field, ()))
    return next((name for name in names if name in options | arguments), None)


def _with_options(ctx: Any, text: str) -> str:
    """Fields that a text mentions, such as ``valid_from``, by their options."""
    text = _WRAPPED.sub(lambda match: _parameter(ctx, match[1]) or match[0], text)
    return _WORD.sub(lambda match: _parameter(ctx, match[0]) or match[0], text)
