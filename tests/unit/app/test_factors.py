from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.services.factors import defaults
from app.services.factors.book_prices import device_prices, in_force
from app.services.factors.price_book import overlap
from app.services.factors.rows import FactorBook
from app.settings import Settings
from models import Factor, Price
from pricetag import catalog

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
V100 = "Tesla V100-SXM2-16GB"
SITE = uuid4()


def test_a_site_without_factors_gets_means_marked_as_assumed() -> None:
    pue = defaults.pue(Settings())
    assert (pue.factor.value, pue.factor.source, pue.origin) == (1.54, "assumed", "catalog")
    carbon = defaults.carbon(Settings(), None).factor
    assert (carbon.zone, carbon.source) == ("WLD", "assumed")
    assert carbon.relative_std_ratio >= 0.30
    assert "set PRICETAG_GRID_ZONE" in str(carbon.basis)
    assert defaults.tariff(Settings()) is None


def test_the_settings_own_figures() -> None:
    settings = Settings(pue=1.1, grid_g_per_kwh=20.0, grid_year=2025, grid_source="contract")
    pue, carbon = defaults.pue(settings), defaults.carbon(settings, None)
    assert (pue.factor.value, pue.factor.source, pue.origin) == (1.1, "estimated", "settings")
    assert (carbon.factor.value, carbon.factor.year) == (20.0, 2025)
    assert (carbon.factor.citation, carbon.origin) == ("contract", "settings")


def test_the_intensity_of_a_zone_has_a_smaller_error_in_its_own_year() -> None:
    row = catalog.grid_factor("DEU")
    settings = Settings(grid_zone="DE")
    same, other = (defaults.carbon(settings, row.year + n).factor for n in (0, 1))
    assert same.value == other.value == row.g_per_kwh
    assert same.relative_std_ratio == pytest.approx(0.07)
    assert other.relative_std_ratio == pytest.approx(0.18)


def test_a_part_of_a_country_may_be_set() -> None:
    assert Settings(grid_zone="us-ca").grid_zone == "US-CA"
    with pytest.raises(ValueError, match="US-ZZ"):
        Settings(grid_zone="US-ZZ")


def test_electricity_in_the_settings_currency() -> None:
    tariff = defaults.tariff(Settings(electricity_per_kwh=Decimal("0.30"), currency="EUR"))
    assert tariff is not None
    assert (tariff.factor.value, tariff.factor.unit) == (0.3, "EUR/kWh")


def test_example_prices_only_for_the_same_hardware_in_the_same_currency() -> None:
    prices = device_prices((), [V100], "USD", NOON)
    assert prices.low is not None
    assert prices.high is not None
    assert (prices.low.value, prices.high.value, prices.low.source) == (0.74, 2.48, "assumed")
    for accelerators, currency, reason in (
        ([], "USD", "no price of a device-hour is known for this hardware"),
        (["NVIDIA Never Made"], "USD", "no price of a device-hour is known for this hardware"),
        ([V100, "NVIDIA Never Made"], "USD", "is known for NVIDIA Never Made"),
        ([V100, "Tesla P100"], "USD", "differ in price"),
        ([V100], "EUR", "in USD, and the site's currency is EUR"),
    ):
        other = device_prices((), accelerators, currency, NOON)
        assert (other.low, other.high, other.internal) == (None, None, None)
        assert other.cloud_reason.endswith(reason) or reason in other.cloud_reason


def row(value: str, *, site: UUID | None, hours: int = 0, **more: Any) -> Factor:
    """A PUE that is valid from the given number of hours before noon."""
    columns = {"kind": "pue", "subject": "", "valid_to": None, **more}
    begin = NOON - timedelta(hours=hours)
    return Factor(value=Decimal(value), site_id=site, valid_from=begin, **columns)


def test_the_site_s_rows_take_precedence_over_the_lab_s_and_newer_over_older() -> None:
    rows = [row("1.4", site=None), row("1.3", site=SITE), row("1.2", site=SITE, hours=9)]
    book = FactorBook(rows, SITE)
    assert getattr(book.row("pue", NOON), "value", None) == Decimal("1.3")
    assert getattr(book.row("pue", NOON - timedelta(hours=2)), "value", None) == Decimal("1.2")
    assert book.row("pue", NOON - timedelta(hours=10)) is None
    assert book.row("wue", NOON) is None
    assert book.row("pue", NOON, ("GPU-1",)) is None


def price(amount: int, begin: int, end: int | None = None, price_id: str = "a") -> Price:
    """A price from one hour to another, counted from noon."""
    return Price(
        id=uuid4(),
        price_id=price_id,
        amount=Decimal(amount),
        valid_from=NOON + timedelta(hours=begin),
        valid_to=None if end is None else NOON + timedelta(hours=end),
        details=None,
    )


def test_a_price_without_an_end_is_valid_until_the_next_begins() -> None:
    rows = [price(1, 0), price(2, 5, 8), price(3, 20), price(9, 3, price_id="b")]
    amounts = {
        hour: sorted(int(p.amount) for p in in_force(rows, NOON + timedelta(hours=hour)))
        for hour in (-1, 0, 3, 5, 7, 8, 19, 20)
    }
    assert amounts == {
        -1: [],
        0: [1],
        3: [1, 9],
        5: [2, 9],
        7: [2, 9],
        8: [9],
        19: [9],
        20: [3, 9],
    }


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ((0, None), (0, None), True),
        ((0, None), (5, None), False),
        ((0, 5), (5, None), False),
        ((0, 5), (4, None), True),
        ((0, 5), (-5, 0), False),
        ((0, 5), (-5, 1), True),
        ((0, 5), (-5, None), False),
        ((0, 9), (2, 3), True),
    ],
)
def test_two_prices_overlap_either_way(
    one: tuple[int, int | None], other: tuple[int, int | None], clash: bool
) -> None:
    first, second = price(1, *one), price(2, *other)
    assert overlap(first, second) is overlap(second, first) is clash
