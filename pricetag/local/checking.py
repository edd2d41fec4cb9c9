"""Checks a local price tag: computes it again from its journal and its own factors."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pricetag.accounting.document.canonical import first_difference, known_sha256
from pricetag.local.runs import LocalRun
from pricetag.local.settling import HASH, CannotRebuild, UnsettledError, rebuilt

FOLLOWS = (
    "the content follows from the readings of the journal and its own factors, digit for digit"
)


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether a price tag follows from its journal, and what differs if it does not."""

    status: Literal["ok", "differs", "not-checked"]
    detail: str


def checked(run: LocalRun) -> Checked:
    """Computes the price tag of a run that has ended again."""
    tag = run.price_tag
    assert tag is not None
    try:
        with contextlib.ExitStack() as files:
            opened = [files.enter_context(path.open("rb")) for path in run.journals]
            content = rebuilt(tag, *map(_records, opened))
        own = {name: value for name, value in tag.items() if name != HASH}
        difference = first_difference(own, content)
    except CannotRebuild as error:
        return Checked("not-checked", str(error))
    except UnsettledError as error:
        return Checked("differs", str(error))
    except OSError as error:
        return Checked("not-checked", f"the journal cannot be read: {error.strerror}")
    except KeyError as error:
        return Checked("differs", f"the journal cannot be read: a record has no {error.args[0]!r}")
    except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
        return Checked("differs", f"the journal cannot be read: {error}")
    return Checked("ok", FOLLOWS) if difference is None else Checked("differs", difference)


def fault(run: LocalRun) -> str | None:
    """Why the price tag of a run is not that of its journal; None if it is, or nobody can say."""
    tag = run.price_tag or {}
    provenance = tag.get("provenance")
    version = provenance.get("accounting_version") if isinstance(provenance, dict) else None
    content = {name: value for name, value in tag.items() if name != HASH}
    try:
        hashes = known_sha256(content, version)
    except (ValueError, OverflowError, RecursionError) as error:
        return f"it contains values that no price tag can have: {error}"
    if tag.get(HASH) is not None and tag[HASH] not in hashes:
        return "its hash is not that of its content"
    result = checked(run)
    return result.detail if result.status == "differs" else None


def _records(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    number = 0
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number:,} is not JSON ({error})") from error
        if not isinstance(record, dict):
            raise ValueError(f"line {number:,} is not an object")
        yield record
    if number == 0:
        raise ValueError("it is empty")
