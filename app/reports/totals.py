"""Sums over runs: every attempt of every run, the failed ones too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pricetag.accounting.quantity.quantity import SOURCES
from pricetag.tag.tags import Tag, listed, quantity, unknown

Quantity = dict[str, Any]


def total(quantities: Iterable[Quantity], unit: str) -> Quantity:
    """The sum of quantities of one unit.

    Interval ends are added as they are: runs of one lab share their meters' errors and
    their factors, so that the errors do not cancel. A run whose figure is unknown is left
    out and counted in the reason: the sum is then a lower bound, and says so.
    """
    items = list(quantities)
    known = [item for item in items if item["value"] is not None]
    if not known:
        reasons = dict.fromkeys(str(item["reason"]) for item in items if item["reason"])
        return unknown("; ".join(reasons) or "no run", unit)
    units = {item["unit"] for item in known}
    if len(units) > 1:
        return unknown(f"not one unit: {', '.join(sorted(map(str, units)))}", unit)
    missing = len(items) - len(known)
    return {
        "value": sum(item["value"] for item in known),
        "low": sum(_end(item, "low") for item in known),
        "high": sum(_end(item, "high") for item in known),
        "unit": known[0]["unit"] or unit,
        "source": max(
            (item["source"] for item in known if item["source"]), key=_rank, default=None
        ),
        "reason": f"at least: {missing} of {len(items)} unknown and left out" if missing else None,
    }


def _end(item: Quantity, name: str) -> float:
    end = item.get(name)
    return float(item["value"] if end is None else end)


def _rank(source: str) -> int:
    return SOURCES.index(source) if source in SOURCES else len(SOURCES)


def attempts_by_status(tags: Sequence[Tag]) -> dict[str, list[Quantity]]:
    """IT energy of all attempts, by how they ended."""
    found: dict[str, list[Quantity]] = {}
    for tag in tags:
        for attempt in listed(tag, "attempts"):
            ended = str(attempt.get("status") or "unknown")
            found.setdefault(ended, []).append(quantity(attempt, "it_energy_kwh"))
    return found
