"""Local checks of price tags: the file's hash, then a comparison with the server's version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pricetag.cli.console import EXIT_FAILURE, EXIT_USAGE, CliError
from pricetag.strict_json import parse_json

if TYPE_CHECKING:
    from pricetag.client import Client

HASH = "content_sha256"
NEEDS_SERVER = {
    "as-issued": "whether it is the issued price tag",
    "measurements": "whether its figures follow from the readings",
    "arithmetic": "whether its content follows from the measurements and its factors",
}
"""Steps that need the server, since anyone who changes a figure can also write a matching hash."""
ITSELF = "itself"
STORED = "stored"
ZIP_BEGINNING = b"PK"
"""The subject of a step: the supplied price tag, or the version that the server stores."""


def is_file(text: str) -> bool:
    """Whether a text names a file rather than a run: by a slash, a suffix, or as it exists."""
    return "/" in text or Path(text).suffix != "" or Path(text).is_file()


def from_file(name: str) -> dict[str, Any]:
    """The price tag that a JSON file holds, alone or as ``pricetag show --json`` writes it.

    Raises:
        CliError: If it cannot be read or holds none.
    """
    from pricetag.accounting.document.records import SCHEMA

    try:
        content = Path(name).read_bytes()
    except IsADirectoryError:
        message = f"{name} is a folder without checks.json: not a paper's archive"
        raise CliError(message, EXIT_USAGE) from None
    except OSError as error:
        raise CliError(f"cannot read {name}: {error.strerror}", EXIT_USAGE) from error
    if content.startswith(ZIP_BEGINNING):
        raise CliError(f"{name} is not a complete ZIP file", EXIT_USAGE)
    try:
        document = parse_json(content.decode())
    except ValueError as error:
        raise CliError(f"{name} is not JSON: {error}", EXIT_USAGE) from error
    for candidate in (document, document.get("price_tag") if isinstance(document, dict) else None):
        if (
            isinstance(candidate, dict)
            and candidate.get("schema") == SCHEMA
            and "run_id" in candidate
        ):
            return _hashable(name, candidate)
    raise CliError(
        f"{name} contains no price tag ({SCHEMA}); write one with "
        "`pricetag show RUN --json > price-tag.json`",
        EXIT_USAGE,
    )


def _hashable(name: str, tag: dict[str, Any]) -> dict[str, Any]:
    """Numbers beyond doubles and halves of surrogate pairs, which no issued price tag contains."""
    from pricetag.accounting.document.canonical import content_sha256

    try:
        content_sha256(tag)
    except (ValueError, OverflowError, RecursionError) as error:
        raise CliError(
            f"{name} contains values that no price tag can have: {error}", EXIT_FAILURE
        ) from error
    return tag


def by_itself(tag: Mapping[str, Any]) -> dict[str, Any]:
    """Checks whether a price tag is intact, by its hash; checking its figures needs the server."""
    unknown = [
        _step(step, "not-checked", f"{need} needs the server (omit --offline)")
        for step, need in NEEDS_SERVER.items()
    ]
    return _report(tag, [_own_hash(tag), *unknown], is_file=True)


def with_server(client: Client, tag: Mapping[str, Any], *, is_file: bool) -> dict[str, Any]:
    """The same, and what the server says of this version.

    The server's steps are about the version that it stores: of a file they say something only
    where the file is the same as that version, which is its own step.

    Args:
        client: Of the server that has the run.
        tag: The price tag.
        is_file: Whether it did not come from that server just now.

    Raises:
        CliError: If it names no run or no version.
    """
    run_id, version = _named(tag)
    steps = [_own_hash(tag)]
    if is_file:
        issued = client.price_tag(run_id, version)
        same = _as_issued(tag, issued)
        if HASH not in tag and same["status"] == "ok":  # the archive of a paper states it elsewhere
            steps = [_own_hash({**tag, HASH: issued.get(HASH)})]
        steps.append(same)
    verification = client.verify_price_tag(run_id, version)
    for step in verification["steps"]:
        if is_file or step["step"] != steps[0]["step"] or step["status"] != "ok":
            steps.append({**step, "of": STORED})
    return _report(tag, steps, is_file=is_file)


def of_local(
    tag: Mapping[str, Any], arithmetic: Mapping[str, Any], file: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The check of a local price tag: its hash, and its journal.

    Args:
        tag: The price tag.
        arithmetic: The step in which it was computed again.
        file: A price tag from a file, to compare with it.
    """
    if file is not None:
        same = _as_issued(file, tag, "on this machine")
        steps = [_own_hash(file), same, {**arithmetic, "of": STORED}]
        return {**_report(file, steps, is_file=True), "is_local": True}
    return _report(tag, [_own_hash(tag), dict(arithmetic)], is_file=False)


def _named(tag: Mapping[str, Any]) -> tuple[str, int]:
    """Run and version; in a file they may be missing or malformed."""
    try:
        run_id = str(UUID(str(tag.get("run_id"))))
    except ValueError:
        raise CliError(f"run_id: {tag.get('run_id')!r} is not a run ID", EXIT_FAILURE) from None
    version = tag.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise CliError(f"version: {version!r} is not a whole number from 1", EXIT_FAILURE)
    return run_id, version


def _own_hash(tag: Mapping[str, Any]) -> dict[str, Any]:
    from pricetag.accounting.document.canonical import known_sha256

    content = {name: value for name, value in tag.items() if name != HASH}
    provenance = tag.get("provenance")
    details = provenance if isinstance(provenance, Mapping) else {}
    expected = known_sha256(content, details.get("accounting_version"))
    declared = tag.get(HASH)
    if declared is None:
        return _step(
            "content-hash", "not-checked", f"it does not state its hash, which is {expected[0]}"
        )
    if declared in expected:
        return _step("content-hash", "ok", f"SHA-256 {declared}")
    return _step(
        "content-hash", "differs", f"it states {declared}, but its content has {expected[0]}"
    )


def _as_issued(
    tag: Mapping[str, Any], issued: Mapping[str, Any], place: str = "on the server"
) -> dict[str, Any]:
    from pricetag.accounting.document.canonical import first_difference

    mine, theirs = ({k: v for k, v in document.items() if k != HASH} for document in (tag, issued))
    version = f"version {issued.get('version')}"
    sides = ("the file", f"{version} {place}")
    difference = first_difference(mine, theirs, sides=sides)
    if difference is None:
        return _step("as-issued", "ok", f"the same as {sides[1]}")
    return _step("as-issued", "differs", difference)


def _step(step: str, status: str, detail: str) -> dict[str, Any]:
    return {"step": step, "status": status, "detail": detail, "of": ITSELF}


def _report(
    tag: Mapping[str, Any], steps: list[dict[str, Any]], *, is_file: bool
) -> dict[str, Any]:
    statuses = {step["status"] for step in steps}
    outcome = "differs" if "differs" in statuses else "not-fully-checked"
    return {
        "run_id": tag.get("run_id"),
        "version": tag.get("version"),
        "is_file": is_file,
        "outcome": "verified" if statuses == {"ok"} else outcome,
        "first_difference": _first_difference(steps),
        "steps": steps,
    }


def _first_difference(steps: list[dict[str, Any]]) -> str | None:
    """The first difference, by path if known: a hash alone does not show where."""
    differing = [step for step in steps if step["status"] == "differs"]
    differing.sort(key=lambda step: (step["of"] == STORED, step["step"] == "content-hash"))
    if not differing:
        return None
    first = differing[0]
    where = "content_sha256: " if first["step"] == "content-hash" else ""
    return f"{where}{first['detail']}"
