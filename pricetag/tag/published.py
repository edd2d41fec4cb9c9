"""Published figures of other work: as printed, or estimated from hardware and hours."""

from __future__ import annotations

import hashlib
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from typing import Any, Literal

from pricetag import catalog
from pricetag.accounting.bill.amounts import device_hours_cost
from pricetag.accounting.bill.estimate import estimate
from pricetag.accounting.units import kg_to_lb, power_to_kwh
from pricetag.catalog import NotInCatalog, Published

Source = Literal["published", "estimated"]
PUBLISHED: Source = "published"
ESTIMATED: Source = "estimated"
NO_INTERVAL = "the source states no interval, and none for power, hours, PUE and intensity"
NO_POWER = "the source states no power of this hardware"
NO_PUE = "the source states no PUE"
NO_INTENSITY = "the source states no carbon intensity"
NO_PRICE = "the source states no price"
NO_TARIFF = "the source states no price of electricity"

Entered = Mapping[str, Any]
"""A row as it was entered: the fields of ``Published``, with ``origin`` (catalog or entered)."""


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """A figure of a published row; it never has an interval.

    Attributes:
        value: The figure; None where it is unknown.
        unit: Its unit.
        source: ``published`` as printed, ``estimated`` from hardware and hours; None if unknown.
        reason: Why it is unknown; None if it is known.
        interval_reason: Why it has no interval; None if it is unknown.
        printed: The figure as printed (or converted from the printed unit); None if not printed.
        estimate: What hardware and hours give; None if they do not suffice.
    """

    value: float | None
    unit: str
    source: Source | None
    reason: str | None
    interval_reason: str | None
    printed: float | None
    estimate: float | None

    @property
    def agrees(self) -> bool | None:
        """Whether the estimate rounds to the printed figure; None without both."""
        if self.printed is None or self.estimate is None:
            return None
        exponent = Decimal(repr(self.printed)).normalize().as_tuple().exponent
        half_unit = Decimal(5).scaleb(int(exponent) - 1)
        return abs(Decimal(repr(self.estimate)) - Decimal(repr(self.printed))) <= half_unit


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """A published row with its figures.

    Attributes:
        row: The row, with its citation.
        origin: ``catalog``, or ``entered`` by hand.
        power_w: Mean IT power of all devices.
        facility_energy_kwh: IT energy x PUE.
        co2e_kg: Emissions of that energy.
        co2e_lb: The same emissions in pounds.
        cost_low: Device-hours at the low price.
        cost_high: Device-hours at the high price.
        electricity_cost: Facility energy at the price of electricity.
    """

    row: Published
    origin: str
    power_w: PublishedFigure
    facility_energy_kwh: PublishedFigure
    co2e_kg: PublishedFigure
    co2e_lb: PublishedFigure
    cost_low: PublishedFigure
    cost_high: PublishedFigure
    electricity_cost: PublishedFigure

    def figures(self) -> dict[str, PublishedFigure]:
        """The figures by name."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: each for name, each in values.items() if isinstance(each, PublishedFigure)}

    def as_dict(self) -> dict[str, Any]:
        """Its figures as plain data."""
        return {
            name: {**asdict(figure), "agrees": figure.agrees}
            for name, figure in self.figures().items()
        }


def catalog_rows(name: str) -> list[dict[str, Any]]:
    """The published rows of the catalog with an ID, or whose IDs begin with a name.

    Args:
        name: An ID such as ``strubell2019-nas``, or a publication such as ``strubell2019``.

    Raises:
        NotInCatalog: If there is none; the error lists similar names.
    """
    rows = catalog.published()
    matching = [row for row in rows if name == row.id] or [
        row for row in rows if row.id.startswith(f"{name}-")
    ]
    if not matching:
        groups = dict.fromkeys(row.id.partition("-")[0] for row in rows)
        raise NotInCatalog("published row", name, [*groups])
    return [{"origin": "catalog", **_plain(row)} for row in matching]


def entered_row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A row that was entered by hand, with all fields of a row."""
    return {"origin": "entered", **{item.name: entry.get(item.name) for item in fields(Published)}}


def _plain(row: Published) -> dict[str, Any]:
    plain = {
        name: float(value) if isinstance(value, Decimal) else value
        for name, value in asdict(row).items()
    }
    return plain | {"part": row.part or None}


def published_row(entered: Entered) -> PublishedRow:
    """The figures of a row that was entered.

    Source:
        Strubell et al. 2019, section 2: kWh = PUE · t · p / 1000; cost = device-hours x price.
    """
    hints = typing.get_type_hints(Published)
    row = Published(**{name: _typed(entered.get(name), hints[name]) for name in hints})
    it_power_w = None if row.device_power_w is None else row.devices * row.device_power_w
    energy_kwh, co2e_kg = _emitted(row)
    why_energy = NO_POWER if it_power_w is None else NO_PUE
    why_emissions = why_energy if energy_kwh is None else NO_INTENSITY
    printed_kg = row.co2e_kg
    printed_lb = row.co2e_lb if row.co2e_kg is None else kg_to_lb(row.co2e_kg)
    if printed_kg is None and printed_lb is not None:
        printed_kg = printed_lb / kg_to_lb(1.0)
    low, high = _costs(row)
    tariff = row.electricity_price_per_kwh
    billed = None if energy_kwh is None or tariff is None else energy_kwh * float(tariff)
    co2e_lb = None if co2e_kg is None else kg_to_lb(co2e_kg)
    money = row.currency
    is_printed = row.power_basis == "printed"
    return PublishedRow(
        row=row,
        origin=str(entered.get("origin", "entered")),
        power_w=_figure(
            it_power_w if is_printed else None,
            None if is_printed else it_power_w,
            "W",
            NO_POWER,
        ),
        facility_energy_kwh=_figure(row.facility_energy_kwh, energy_kwh, "kWh", why_energy),
        co2e_kg=_figure(printed_kg, co2e_kg, "kg", why_emissions),
        co2e_lb=_figure(printed_lb, co2e_lb, "lb", why_emissions),
        cost_low=_figure(_number(row.cost_low), low, money, NO_PRICE),
        cost_high=_figure(_number(row.cost_high), high, money, NO_PRICE),
        electricity_cost=_figure(_number(row.electricity_cost), billed, money, NO_TARIFF),
    )


def _typed(value: Any, hint: Any) -> Any:
    """A value of JSON as its field has it; what was not entered is None or empty."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    convert: Callable[..., Any] = options[0]
    if value is None:
        return None if types.NoneType in options else convert()
    return convert(repr(value)) if convert is Decimal else convert(value)


def _emitted(row: Published) -> tuple[float | None, float | None]:
    """Facility energy and emissions from hardware and hours."""
    if row.device_power_w is None or row.pue is None:
        return None, None
    if row.g_per_kwh is None:
        it_kwh = power_to_kwh(row.devices * row.device_power_w, row.hours)
        return row.pue * it_kwh, None
    figures = estimate(row.devices, row.device_power_w, row.hours, row.pue, row.g_per_kwh)
    return figures.facility_energy_kwh, figures.co2e_kg


def _costs(row: Published) -> tuple[float | None, float | None]:
    low, high = row.price_low, row.price_high
    if low is None or high is None:
        return None, None
    paid = row.devices if row.price_devices is None else row.price_devices
    cost = device_hours_cost(paid * Decimal(repr(row.hours)), low, high)
    return float(cost.low), float(cost.high)


def _figure(
    printed: float | None, estimated: float | None, unit: str, reason: str
) -> PublishedFigure:
    value = estimated if printed is None else printed
    source = None if value is None else ESTIMATED if printed is None else PUBLISHED
    is_known = value is not None
    return PublishedFigure(
        value=value,
        unit=unit,
        source=source,
        reason=None if is_known else reason,
        interval_reason=NO_INTERVAL if is_known else None,
        printed=printed,
        estimate=estimated,
    )


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def rows_sha256(entered: Sequence[Entered]) -> str:
    """The hash of the rows of a paper, as its archive has them."""
    text = json.dumps([dict(each) for each in entered], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
