"""Entries of the audit log as sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.schemas.audit import AuditRead

Shown = str | datetime
"""A value: a text, or a time that the reader sees in their own zone."""

NONE = "none"
NOUNS = {
    "budget": "the budget",
    "carbon_forecast": "the carbon forecast of",
    "carbon_series": "the carbon series of",
    "factor": "the factor",
    "member": "the membership of",
    "price": "the price",
    "project": "the project",
    "run": "the run",
    "session": "the session of",
    "share": "the share link to",
    "sign_in_link": "a sign-in link of",
    "site": "the site",
    "token": "the token",
    "user": "the user",
}
MEANS = {
    "token": "with a token",
    "session": "in a browser",
    "direct-database": "on the database itself",
    "service": "",
}
NAME_FIELDS = {
    "price": "price_id",
    "carbon_forecast": "zone",
    "carbon_series": "zone",
    "session": "user",
    "sign_in_link": "user",
}
"""Field that names an object, where that is not `name`."""

NOT_SHOWN = frozenset({"database_session", "content_sha256", "multiplicative"})

FIRST = ("name", "kind", "subject", "site", "role", "value", "amount", "unit", "currency")
"""Fields in the order in which they are read; the others follow by name."""

LABELS = {
    "relative_std_ratio": "relative error",
    "licence": "license",
    "scope_id": "of",
    "refuses": "rejects runs",
    "stops": "stops runs",
}
"""Words for fields whose names are not words."""

WORDS = frozenset({"kind", "unit", "action", "metric"})
"""Fields whose values are names with underscores."""


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a changed object.

    Attributes:
        label: Its name.
        before: Its former value; None for a new object.
        after: Its new value.
    """

    label: str
    before: Shown | None
    after: Shown


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry: *actor* *did* *noun* *name*, with what was changed.

    Attributes:
        entry: The entry.
        actor: Who made the change.
        means: How they had access.
        did: The action, as a verb in the past tense.
        noun: Kind of the object, with its article.
        name: Name of the object.
        changes: What was changed, or what a new object is.
    """

    entry: AuditRead
    actor: str
    means: str
    did: str
    noun: str
    name: str
    changes: Sequence[Change]


def rows(entries: Sequence[AuditRead]) -> Sequence[AuditRow]:
    """The rows of a page of the log."""
    return [_row(entry) for entry in entries]


def _row(entry: AuditRead) -> AuditRow:
    means = MEANS.get(entry.access, entry.access)
    if entry.os_user:
        means = f"{means} (system account {entry.os_user})"
    noun = NOUNS.get(entry.object_kind, f"the {entry.object_kind.replace('_', ' ')}")
    name = name_of(entry)
    return AuditRow(entry, entry.actor, means, entry.action, noun, name, changes_of(entry, name))


def name_of(entry: AuditRead) -> str:
    """The name of the changed object, or its ID if it has none."""
    values = {**(entry.before or {}), **(entry.after or {})}
    if entry.object_kind == "factor":
        parts = (values.get("kind"), values.get("subject"))
        return " ".join(str(part) for part in parts if part) or entry.object_id
    if entry.object_kind == "member":
        project, _, user = entry.object_id.partition("/")
        names = entry.names
        return f"{names.get(user, user)} in the project {names.get(project, project)}"
    field = NAME_FIELDS.get(entry.object_kind, "name")
    return str(entry.names.get(entry.object_id) or values.get(field) or entry.object_id)


def changes_of(entry: AuditRead, name: str) -> Sequence[Change]:
    """The changed fields, or those of a new object, without empty ones and its name."""
    before, after = entry.before, entry.after or {}
    changed = [
        Change(
            LABELS.get(field, field.replace("_", " ")),
            None if before is None else _of_field(field, before.get(field), entry.names),
            _of_field(field, after[field], entry.names),
        )
        for field in sorted(after, key=_order)
        if field not in NOT_SHOWN and (before or {}).get(field) != after[field]
    ]
    if before is not None:
        return changed
    return [change for change in changed if change.after not in ("", NONE, name)]


def _order(field: str) -> tuple[int, str]:
    return (FIRST.index(field) if field in FIRST else len(FIRST), field)


def _of_field(field: str, value: Any, names: Mapping[str, str]) -> Shown:
    if field in WORDS and isinstance(value, str):
        return value.replace("_", " ")
    return _shown(value, names)


def _shown(value: Any, names: Mapping[str, str]) -> Shown:
    if value is None or value == "":
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(part, names)}" for key, part in value.items()) or NONE
    if isinstance(value, list):
        return "; ".join(_text(part, names) for part in value) or NONE
    text = str(value)
    return _time(text) or names.get(text, text)


def _text(value: Any, names: Mapping[str, str]) -> str:
    shown = _shown(value, names)
    return shown if isinstance(shown, str) else shown.isoformat()


def _time(text: str) -> datetime | None:
    """The time that a text states; None for other texts."""
    if len(text) < 19 or text[4] != "-" or text[10] not in "T ":
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
