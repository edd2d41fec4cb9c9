"""Rules for each kind of factor: range, unit, error, subject, details."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from app.schemas.common import FieldProblem
from app.schemas.factors import FactorCreate
from app.services.errors import InvalidError
from pricetag.accounting.bill.tariff import mean_price, parse_periods, week_of_prices
from pricetag.accounting.quantity.checks import InvalidFactor, require_number, require_positive
from pricetag.catalog import NotInCatalog, grid_factor

Subject = Literal["none", "zone", "hardware", "device"]

SIGNIFICANT = 12
EARLIEST_YEAR, LATEST_YEAR = 1990, 2200
AHEAD = timedelta(days=1)  # clocks differ, and so do the dates of time zones
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9:./-]{3,99}")


@dataclass(frozen=True, slots=True)
class Kind:
    """The rules of one kind of factor.

    Attributes:
        unit: Unit of the value; None for money, which is in the site's currency.
        least: Smallest value.
        most: Largest value.
        std_ratio: Default relative error; None where the entry must state it.
        multiplicative: Whether the error is a multiplicative factor.
        subject: Kind of subject. Only the lab's factors have a zone: a site is in one.
        of_site: Whether the factor must belong to a site.
        details: Details that may be stated beside the value.
        planned: Whether it can be entered before it applies, as a contract can.
    """

    unit: str | None
    least: float
    most: float
    std_ratio: float | None
    multiplicative: bool = False
    subject: Subject = "none"
    of_site: bool = False
    details: frozenset[str] = frozenset()
    planned: bool = False


KINDS: Mapping[str, Kind] = {
    "pue": Kind("1", 1.0, 10.0, 0.03),
    "wue": Kind("l/kWh", 0.0, 100.0, 0.10),
    "water_intensity": Kind("l/kWh", 0.0, 1_000.0, 0.30, subject="zone"),
    "carbon_location": Kind("g/kWh", 0.0, 5_000.0, 0.07, subject="zone"),
    "carbon_market": Kind("g/kWh", 0.0, 5_000.0, 0.07),
    "tariff": Kind(None, 0.0, 1e6, 0.0, of_site=True, details=frozenset({"periods"}), planned=True),
    "embodied": Kind(
        "kg/piece",
        0.0,
        1e6,
        0.5,
        multiplicative=True,
        subject="hardware",
        details=frozenset({"lifetime_h", "utilisation_ratio", "accelerators_per_server"}),
    ),
    "calibration": Kind("1", 0.5, 2.0, None, subject="device"),
}


class InvalidFactorEntryError(InvalidError):
    """The factor has an invalid field."""

    code = "invalid-factor"

    def __init__(self, problems: Iterable[FieldProblem]) -> None:
        self.errors = list(problems)
        first = self.errors[0]
        super().__init__(f"{first.field}: {first.message}", field=first.field)


def fault(field: str, message: str, hint: str | None = None) -> FieldProblem:
    """One rejected field."""
    return FieldProblem(field=field, message=message, hint=hint)


@dataclass(frozen=True, slots=True)
class Checked:
    """A checked factor, ready to be stored."""

    value: Decimal
    unit: str
    relative_std_ratio: float
    multiplicative: bool
    subject: str
    details: dict[str, Any] | None


def checked(
    request: FactorCreate, now: datetime, *, currency: str | None, site: str | None
) -> Checked:
    """Checks a factor and adds the defaults of its kind.

    Args:
        request: The factor as sent.
        now: Present time; later years are rejected, and so is a start more than a day ahead
            except for kinds that can be planned.
        currency: Currency of the site.
        site: Name of the site; None for a factor of the lab.

    Raises:
        InvalidFactorEntryError: With every invalid field.
    """
    kind = KINDS[request.kind]
    faults = [*_dates(request, kind, now), *_fixed(request, kind, currency, site)]
    subject = request.subject.strip()
    details = request.details
    value = Decimal(0)
    try:
        subject = _subject(subject, kind, site)
        value, details = _value(request, kind)
    except InvalidFactor as error:
        faults.append(fault(error.field, error.problem, f"use {error.valid_values}"))
    if faults:
        raise InvalidFactorEntryError(faults)
    std_ratio = kind.std_ratio if request.relative_std_ratio is None else request.relative_std_ratio
    multiplicative = request.multiplicative
    if multiplicative is None:
        multiplicative = kind.multiplicative
    unit = kind.unit or f"{currency}/kWh"
    return Checked(value, unit, float(std_ratio or 0.0), multiplicative, subject, details)


def _dates(request: FactorCreate, kind: Kind, now: datetime) -> Iterable[FieldProblem]:
    if request.year > now.year:
        yield fault("year", f"{request.year} is in the future", f"{now.year} or earlier")
    begins = request.valid_from or now
    for name, moment in (("valid_from", begins), ("valid_to", request.valid_to)):
        if moment is not None and not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
            span = f"a time from {EARLIEST_YEAR} to {LATEST_YEAR}"
            yield fault(name, f"is in the year {moment.year}", span)
    if not kind.planned and now + AHEAD < begins and begins.year <= LATEST_YEAR:
        yield fault(
            "valid_from",
            f"{begins.isoformat()} is in the future, but {request.kind} describes the present",
            "a time at most a day ahead; only tariffs and prices can be planned",
        )
    if request.valid_to is not None and request.valid_to <= begins:
        yield fault("valid_to", "is not after valid_from", "a later time, or omit it")


def _fixed(
    request: FactorCreate, kind: Kind, currency: str | None, site: str | None
) -> Iterable[FieldProblem]:
    if kind.of_site and site is None:
        where = "name its site: --site NAME, or in the REST API POST /v1/sites/{name}/factors"
        yield fault("kind", f"{request.kind} belongs to a site", where)
    unit = kind.unit or f"{currency}/kWh"
    if request.unit is not None and request.unit != unit:
        yield fault("unit", f"{request.unit!r} is not the unit of {request.kind}", unit)
    if kind.std_ratio is None and not request.relative_std_ratio:
        yield fault(
            "relative_std_ratio",
            f"is required for {request.kind}",
            "the meter's relative error, one sigma, e.g. 0.01",
        )
    yield from _std(request, kind)
    unknown = sorted(set(request.details or {}) - kind.details)
    for name in unknown:
        detail_names = ", ".join(sorted(kind.details)) or "no details"
        yield fault(f"details.{name}", f"is not a detail of {request.kind}", detail_names)


def _std(request: FactorCreate, kind: Kind) -> Iterable[FieldProblem]:
    """An additive error of more than the value itself: a percentage, rather than a ratio."""
    ratio = request.relative_std_ratio
    multiplicative = request.multiplicative
    if multiplicative is None:
        multiplicative = kind.multiplicative
    if ratio is not None and ratio > 1 and not multiplicative:
        yield fault(
            "relative_std_ratio",
            f"must be at most 1 (got {ratio:g}): it is a ratio, not a percentage",
            f"e.g. {ratio / 100:g} for {ratio:g}%",
        )


def _subject(subject: str, kind: Kind, site: str | None) -> str:
    if kind.subject == "device":
        device = subject.removeprefix("gpu:")
        if not _DEVICE.fullmatch(device):
            raise InvalidFactor("subject", subject, "the UUID of a device, e.g. GPU-6f0c...")
        return device
    if kind.subject == "hardware":
        if not subject:
            raise InvalidFactor("subject", subject, "the product name of an accelerator, or server")
        return subject
    if kind.subject == "zone" and site is None:
        try:
            return grid_factor(subject).zone
        except NotInCatalog as error:
            near = ", ".join(error.near) or "e.g. DE or US-CA"
            raise InvalidFactor(
                "subject", subject, f"a grid zone of the catalog: {error.remark or near}"
            ) from error
    if subject:
        raise InvalidFactor("subject", subject, "no subject: it applies to the whole site")
    return ""


def _value(request: FactorCreate, kind: Kind) -> tuple[Decimal, dict[str, Any] | None]:
    details = dict(request.details or {}) or None
    if details and "periods" in details:
        if request.value is not None:
            raise InvalidFactor("value", str(request.value), "value or details.periods, not both")
        week = week_of_prices(parse_periods(details["periods"]))
        # Prices are stored as text: a float would add its binary digits.
        periods = [{**period, "price": str(period["price"])} for period in details["periods"]]
        return round(mean_price(week), SIGNIFICANT), {"periods": periods}
    for name in ("lifetime_h", "utilisation_ratio", "accelerators_per_server"):
        if details and name in details:
            _detail(f"details.{name}", details[name], 1.0 if name == "utilisation_ratio" else 1e7)
    if request.value is None:
        or_periods = " or details.periods" if "periods" in kind.details else ""
        valid = f"a number from {kind.least:g} to {kind.most:g}{or_periods}"
        raise InvalidFactor("value", None, valid)
    if not kind.least <= request.value <= kind.most:
        raise InvalidFactor(
            "value", str(request.value), f"a number from {kind.least:g} to {kind.most:g}"
        )
    return request.value, details


def _detail(field: str, value: object, at_most: float) -> None:
    require_positive(field, value)
    require_number(field, value, at_most=at_most)
