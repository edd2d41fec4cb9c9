"""Prices of device-hours: the lab's own price book first, then the catalog's examples."""

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
    """Price of an hour on a set of accelerators, with a reason for each unknown price."""

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
    """Ids of the rows that a later row corrects."""
    return {
        uuid.UUID(row.details[REPLACES]) for row in rows if row.details and REPLACES in row.details
    }


def in_force(rows: Sequence[Price], at: datetime) -> list[Price]:
    """The row of every price id that applies in the hour beginning at ``at``.

    A row without an end applies until the next row with its id begins; a row that begins within
    the hour applies to the whole hour.
    """
    replaced = replaced_ids(rows)
    latest: dict[str, Price] = {}
    for row in rows:
        begun = row.id not in replaced and row.valid_from < at + HOUR
        latest_row = latest.get(row.price_id)
        if begun and (latest_row is None or row.valid_from > latest_row.valid_from):
            latest[row.price_id] = row
    return [row for row in latest.values() if row.valid_to is None or at < row.valid_to]


def holds_until(row: Price, rows: Iterable[Price]) -> datetime | None:
    """When a row ends: at its own end, else when the next row with its id begins.

    Args:
        row: A row that no other row replaces.
        rows: Rows of the price book, without replaced ones.
    """
    if row.valid_to is not None:
        return row.valid_to
    later = (
        later_row.valid_from
        for later_row in rows
        if later_row.price_id == row.price_id and later_row.valid_from > row.valid_from
    )
    return min(later, default=None)


def device_prices(
    rows: Sequence[Price], accelerators: Sequence[str], currency: str, at: datetime
) -> DevicePrices:
    """Price of an hour on a run's accelerators.

    Args:
        rows: The lab's price book.
        accelerators: Product names, each once; a price matches when its accelerator is a word of
            the name.
        currency: Currency of the site; prices in other currencies are not converted.
        at: Beginning of the hour in which the accelerators were used.
    """
    if not accelerators:
        return DevicePrices()
    rows_in_force = in_force(rows, at)
    cloud_ranges = [_cloud(rows_in_force, name, currency) for name in accelerators]
    internal_ranges = [_internal(rows_in_force, name, currency) for name in accelerators]
    low, high, cloud_reason = _one(cloud_ranges, accelerators)
    internal, _, internal_reason = _one(internal_ranges, accelerators)
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
    """The price range shared by all accelerators, or the reason why there is none."""
    first = ranges[0]
    missing = [n for n, r in zip(accelerators, ranges, strict=True) if r.low is None]
    if missing and len(missing) < len(accelerators):
        return None, None, f"no price of a device-hour is known for {', '.join(missing)}"
    if any(r.low is None for r in ranges):
        return None, None, next((r.reason for r in ranges if r.reason), "")
    if any((r.low, r.high) != (first.low, first.high) for r in ranges):
        return None, None, f"the accelerators differ in price: {', '.join(accelerators)}"
    return first.low, first.high, ""


def _cloud(rows: Sequence[Price], name: str, currency: str) -> _Range:
    matching = [row for row in rows if row.kind != INTERNAL and is_word_of(row.accelerator, name)]
    if matching:
        own = sorted((r for r in matching if r.currency == currency), key=lambda row: row.amount)
        if own:
            return _Range(as_factor(own[0]), as_factor(own[-1]))
        return _Range(None, None, _other_money("the price book", name, matching, currency))
    example = catalog.price_range(name)
    if example is None:
        return _Range(None, None)
    low, high = example
    if {low.currency, high.currency} != {currency}:
        return _Range(None, None, _other_money("the catalog", name, example, currency))
    return _Range(low.as_factor(), high.as_factor())


def _internal(rows: Sequence[Price], name: str, currency: str) -> _Range:
    matching = [row for row in rows if row.kind == INTERNAL and is_word_of(row.accelerator, name)]
    own = [row for row in matching if row.currency == currency]
    if own:
        newest = as_factor(max(own, key=lambda row: (row.created_at, row.id)))
        return _Range(newest, newest)
    if matching:
        return _Range(None, None, _other_money("the price book", name, matching, currency))
    return _Range(None, None)


def _other_money(
    origin: str, name: str, rows: Iterable[Price | catalog.Price], currency: str
) -> str:
    currencies = ", ".join(sorted({row.currency for row in rows}))
    return f"{origin} has {name} in {currencies}, and the site's currency is {currency}"


def as_factor(row: Price) -> Factor:
    """A row of the price book as a factor of the accounting: an exact amount."""
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
