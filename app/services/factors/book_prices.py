"""Prices of device-hours: the lab's own book before the catalog's examples."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.services.factors.rows import HOUR
from models import Price
from pricetag import catalog
from pricetag.accounting.bill.inputs import Factor
from pricetag.catalog import is_word_of

INTERNAL = "internal"
REPLACES = "replaces"


@dataclass(frozen=True, slots=True)
class DevicePrices:
    """What an hour of some accelerators costs; a reason for what is not known."""

    low: Factor | None = None
    high: Factor | None = None
    cloud_reason: str = "no price of a device-hour is known for this hardware"
    internal: Factor | None = None
    internal_reason: str = "the site has no price of its own for this hardware"


@dataclass(frozen=True, slots=True)
class _Range:
    low: Factor | None
    high: Factor | None
    reason: str = ""


def replaced_ids(rows: Iterable[Price]) -> set[uuid.UUID]:
    """Rows that a later row corrects."""
    return {
        uuid.UUID(row.details[REPLACES]) for row in rows if row.details and REPLACES in row.details
    }


def in_force(rows: Sequence[Price], at: datetime) -> list[Price]:
    """Of every price id the row that holds in the hour that begins at an instant.

    A row without an end holds until the next one of its id begins; one that begins within the
    hour holds for all of it.
    """
    gone = replaced_ids(rows)
    newest: dict[str, Price] = {}
    for row in rows:
        begun = row.id not in gone and row.valid_from < at + HOUR
        known = newest.get(row.price_id)
        if begun and (known is None or row.valid_from > known.valid_from):
            newest[row.price_id] = row
    return [row for row in newest.values() if row.valid_to is None or at < row.valid_to]


def holds_until(row: Price, rows: Iterable[Price]) -> datetime | None:
    """When a row ends: where it says so, else where the next of its id begins.

    Args:
        row: That nothing replaces.
        rows: Of the book, without those that were replaced.
    """
    if row.valid_to is not None:
        return row.valid_to
    later = (
        other.valid_from
        for other in rows
        if other.price_id == row.price_id and other.valid_from > row.valid_from
    )
    return min(later, default=None)


def device_prices(
    rows: Sequence[Price], accelerators: Sequence[str], currency: str, at: datetime
) -> DevicePrices:
    """What an hour of a run's accelerators costs.

    Args:
        rows: The lab's book.
        accelerators: Product names, each once; a price fits when its accelerator is a word of
            the name.
        currency: Of the site; prices in another one are not converted.
        at: Beginning of the hour in which they were used.
    """
    if not accelerators:
        return DevicePrices()
    held = in_force(rows, at)
    cloud = [_cloud(held, name, currency) for name in accelerators]
    owned = [_internal(held, name, currency) for name in accelerators]
    low, high, cloud_reason = _one(cloud, accelerators)
    internal, _, internal_reason = _one(owned, accelerators)
    default = DevicePrices()
    return DevicePrices(
        low,
        high,
        cloud_reason or default.cloud_reason,
        internal,
        internal_reason or default.internal_reason,
    )


def _one(
    ranges: Sequence[_Range], accelerators: Sequence[str]
) -> tuple[Factor | None, Factor | None, str]:
    """The range that holds for all the hardware; else why there is none."""
    first = ranges[0]
    missing = [n for n, found in zip(accelerators, ranges, strict=True) if found.low is None]
    if missing and len(missing) < len(accelerators):
        return None, None, f"no price of a device-hour is known for {', '.join(missing)}"
    if any(found.low is None for found in ranges):
        return None, None, next((found.reason for found in ranges if found.reason), "")
    if any((found.low, found.high) != (first.low, first.high) for found in ranges):
        return None, None, f"the accelerators differ in price: {', '.join(accelerators)}"
    return first.low, first.high, ""


def _cloud(held: Sequence[Price], name: str, currency: str) -> _Range:
    fitting = [row for row in held if row.kind != INTERNAL and is_word_of(row.accelerator, name)]
    if fitting:
        own = sorted((r for r in fitting if r.currency == currency), key=lambda row: row.amount)
        if own:
            return _Range(as_factor(own[0]), as_factor(own[-1]))
        return _Range(None, None, _other_money("the price book", name, fitting, currency))
    example = catalog.price_range(name)
    if example is None:
        return _Range(None, None)
    low, high = example
    if {low.currency, high.currency} != {currency}:
        return _Range(None, None, _other_money("the catalog", name, example, currency))
    return _Range(low.as_factor(), high.as_factor())


def _internal(held: Sequence[Price], name: str, currency: str) -> _Range:
    fitting = [row for row in held if row.kind == INTERNAL and is_word_of(row.accelerator, name)]
    own = [row for row in fitting if row.currency == currency]
    if own:
        newest = as_factor(max(own, key=lambda row: (row.created_at, row.id)))
        return _Range(newest, newest)
    if fitting:
        return _Range(None, None, _other_money("the price book", name, fitting, currency))
    return _Range(None, None)


def _other_money(
    whose: str, name: str, rows: Iterable[Price | catalog.Price], currency: str
) -> str:
    told = ", ".join(sorted({row.currency for row in rows}))
    return f"{whose} has {name} in {told}, and the site's currency is {currency}"


def as_factor(row: Price) -> Factor:
    """A row of the book as the accounting takes it: an amount that is exact."""
    where = ", ".join(part for part in (row.provider, row.region, row.kind) if part)
    return Factor(
        value=float(row.amount),
        unit=f"{row.currency}/{row.unit.replace('_', '-')}",
        relative_std_ratio=0.0,
        source="estimated",
        citation=f"{row.source} ({where}; {row.price_id})",
        year=row.valid_from.year,
        basis=_basis(row),
        zone=row.region or None,
        licence=row.licence,
        source_url=row.source_url or None,
    )


def _basis(row: Price) -> str:
    if row.kind == INTERNAL:
        return "owned hardware, without electricity"
    return f"price per accelerator-hour, {row.kind.replace('_', ' ')}"
