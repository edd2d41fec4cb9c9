"""Reading price tags as they are stored and sent: plain dicts of schema ``pricetag/1``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Any

from pricetag.tag.figures import MISSING

Tag = Mapping[str, Any]


def quantity(holder: Mapping[str, Any] | None, *path: str) -> dict[str, Any]:
    """The quantity at a path of a price tag, or of a stage, attempt or component of one.

    Returns:
        ``{value, low, high, unit, source, reason}``; where the path leads nowhere, an
        unknown quantity that says so.
    """
    found: Any = holder
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping) and "value" in found:
        return {"low": None, "high": None, "unit": "", "source": None, "reason": None, **found}
    return unknown(MISSING)


def unknown(reason: str, unit: str = "") -> dict[str, Any]:
    """A quantity that is not known, with the reason."""
    return {
        "value": None,
        "low": None,
        "high": None,
        "unit": unit,
        "source": None,
        "reason": reason,
    }


def value(holder: Mapping[str, Any] | None, *path: str) -> float | None:
    """The bare value at a path, None where it is unknown."""
    found = quantity(holder, *path)["value"]
    return None if found is None else float(found)


def listed(holder: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of a price tag, empty where there is none."""
    found = holder.get(name)
    if not isinstance(found, Sequence) or isinstance(found, str):
        return []
    return [item for item in found if isinstance(item, Mapping)]


def status(tag: Tag) -> str:
    """How the run ended: the status of its last attempt."""
    attempts = listed(tag, "attempts")
    return str(attempts[-1].get("status") or "unknown") if attempts else "unknown"


def stage_name(tag: Tag, key: str) -> str:
    """The name of the stage with a key, or the key where there is no such stage."""
    for stage in listed(tag, "stages"):
        if stage.get("key") == key:
            return str(stage.get("name") or stage.get("kind") or key)
    return key


def stage_depth(tag: Tag, stage: Mapping[str, Any]) -> int:
    """In how many stages of its attempt a stage lies; 0 where in none."""
    parents = {
        other.get("key"): other.get("parent")
        for other in listed(tag, "stages")
        if other.get("attempt") == stage.get("attempt")
    }
    seen: list[Any] = []
    parent = stage.get("parent")
    while parent is not None and parent not in seen:
        seen.append(parent)
        parent = parents.get(parent)
    return len(seen)


def hardware_text(tag: Tag) -> str | None:
    """The accelerators of a run (``8x NVIDIA H100``), or its processor where it had none.

    None where no device is known at all.
    """
    hardware = tag.get("hardware")
    devices = listed(hardware, "devices") if isinstance(hardware, Mapping) else []
    for kinds in (("gpu",), ("cpu", "host")):
        named = [device for device in devices if device.get("kind") in kinds]
        if named:
            return ", ".join(_counted(device) for device in named)
    return None


def _counted(device: Mapping[str, Any]) -> str:
    count, name = device.get("count") or 1, str(device.get("name") or "unnamed device")
    return name if count == 1 else f"{count}x {name}"


def factor(tag: Tag, name: str) -> Mapping[str, Any] | None:
    """A factor that the tag was made with: value, unit, citation, year, basis, zone."""
    provenance = tag.get("provenance")
    factors = provenance.get("factors") if isinstance(provenance, Mapping) else None
    found = factors.get(name) if isinstance(factors, Mapping) else None
    return found if isinstance(found, Mapping) else None


def as_of(tag: Tag) -> str | None:
    """Up to when the factors of a re-priced tag had been entered: a day, or a time in UTC.

    None where the tag has the factors as they were when it was issued.
    """
    provenance = tag.get("provenance")
    found = provenance.get("as_of") if isinstance(provenance, Mapping) else None
    if not found:
        return None
    moment = datetime.fromisoformat(str(found)).astimezone(UTC)
    if moment.time().replace(microsecond=0) == time(23, 59, 59):
        return moment.date().isoformat()
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def repriced_text(tag: Tag) -> str | None:
    """That and how a version was priced again; None for one that came of measurements.

    Args:
        tag: A price tag, with its `cause` where that is known.
    """
    known = as_of(tag)
    if known is not None:
        return f"re-priced with the factors known on {known}"
    if tag.get("cause") == "repriced":
        return "re-priced with the factors known when it was issued"
    return None


def compared_attempts(tag: Tag) -> str | None:
    """Of which attempts the second opinion is (``attempt 2 of 2``); None where of all or none."""
    opinion = tag.get("second_opinion")
    numbers = opinion.get("attempts") if isinstance(opinion, Mapping) else None
    count = len(listed(tag, "attempts"))
    if not numbers or len(numbers) >= count:
        return None
    noun = "attempt" if len(numbers) == 1 else "attempts"
    return f"{noun} {', '.join(map(str, numbers))} of {count}"
