"""Price tags checked on this side: the file's own hash, then against what a server has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pricetag.accounting.canonical import content_sha256, content_sha256_v1, first_difference
from pricetag.accounting.tag import SCHEMA
from pricetag.cli.console import EXIT_USAGE, CliError

if TYPE_CHECKING:
    from pricetag.client import Client

HASH = "content_sha256"


def is_file(text: str) -> bool:
    """Whether a text names a file here rather than a run."""
    return text.endswith(".json") or Path(text).is_file()


def from_file(name: str) -> dict[str, Any]:
    """The price tag that a JSON file holds, alone or as ``pricetag show --json`` writes it.

    Raises:
        CliError: If it cannot be read or holds none.
    """
    try:
        document = json.loads(Path(name).read_text())
    except OSError as error:
        raise CliError(f"cannot read {name}: {error.strerror}", EXIT_USAGE) from error
    except ValueError as error:
        raise CliError(f"{name} is not JSON: {error}", EXIT_USAGE) from error
    for found in (document, document.get("price_tag") if isinstance(document, dict) else None):
        if isinstance(found, dict) and found.get("schema") == SCHEMA and "run_id" in found:
            return found
    raise CliError(f"{name} holds no price tag ({SCHEMA})", EXIT_USAGE)


def by_itself(tag: Mapping[str, Any]) -> dict[str, Any]:
    """What the price tag's own text tells."""
    return _report(tag, [_own_hash(tag)])


def with_server(client: Client, tag: Mapping[str, Any], *, is_file: bool) -> dict[str, Any]:
    """The same, and what the server says of this version.

    Args:
        client: Of the server that has the run.
        tag: The price tag.
        is_file: Whether it did not come from that server just now.
    """
    steps = [_own_hash(tag)]
    run_id, version = str(tag.get("run_id")), int(tag.get("version") or 0)
    if is_file:
        steps.append(_as_issued(tag, client.price_tag(run_id, version)))
    told = client.verify_price_tag(run_id, version)
    for step in told["steps"]:
        if step["step"] != steps[0]["step"] or step["status"] != "ok":
            steps.append(step)
    return _report(tag, steps)


def _own_hash(tag: Mapping[str, Any]) -> dict[str, Any]:
    content = {name: value for name, value in tag.items() if name != HASH}
    declared, found = tag.get(HASH), content_sha256(content)
    if declared is None:
        return _step("content-hash", "not-checked", f"it does not tell its hash; it is {found}")
    known = {found}
    if (tag.get("provenance") or {}).get("accounting_version") == "1":
        known.add(content_sha256_v1(content))
    if declared in known:
        return _step("content-hash", "ok", f"SHA-256 {declared}")
    return _step("content-hash", "differs", f"it tells {declared}, its content has {found}")


def _as_issued(tag: Mapping[str, Any], issued: Mapping[str, Any]) -> dict[str, Any]:
    mine, theirs = ({k: v for k, v in one.items() if k != HASH} for one in (tag, issued))
    difference = first_difference(mine, theirs)
    if difference is None:
        return _step("as-issued", "ok", f"the same as version {issued.get('version')} there")
    return _step("as-issued", "differs", f"{difference} (file and server)")


def _step(step: str, status: str, detail: str) -> dict[str, Any]:
    return {"step": step, "status": status, "detail": detail}


def _report(tag: Mapping[str, Any], steps: list[dict[str, Any]]) -> dict[str, Any]:
    statuses = {step["status"] for step in steps}
    outcome = "differs" if "differs" in statuses else "not-fully-checked"
    return {
        "run_id": tag.get("run_id"),
        "version": tag.get("version"),
        "outcome": "verified" if statuses == {"ok"} else outcome,
        "steps": steps,
    }
