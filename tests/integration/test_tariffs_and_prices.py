"""Electricity tariffs and prices of device-hours."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.settings import Settings
from tests.support.api import Api
from tests.support.entries import (
    enter,
    make_site,
    posted,
    price,
)
from tests.support.resolved import H200, PERIODS, hours, moment, resolved


async def test_tariff_of_the_settings_in_another_currency_is_ignored(api: Api) -> None:
    await make_site(api, "berlin", currency="EUR")
    factors = await resolved(api, "berlin", settings=Settings(electricity_per_kwh=Decimal("0.2")))
    assert factors.electricity_tariff is None
    assert factors.electricity_reason == (
        "the tariff is in USD/kWh, and the site's currency is EUR"
    )


async def test_time_of_use_tariff_uses_local_time(api: Api) -> None:
    await make_site(api, "berlin", time_zone="Europe/Berlin", currency="EUR")
    await make_site(api, "boston", time_zone="America/New_York", currency="EUR")
    for site in ("berlin", "boston"):
        await enter(api, site, "tariff", details={"periods": PERIODS})
    used = hours(-7, 0, 9, 10)  # 05, 12, 21 and 22 UTC
    berlin = (await resolved(api, "berlin", hours=used)).tariff_hours
    boston = (await resolved(api, "boston", hours=used)).tariff_hours
    assert berlin is not None
    assert boston is not None
    assert list(berlin.by_hour.values()) == [0.21, 0.31, 0.21, 0.21]
    assert list(boston.by_hour.values()) == [0.21, 0.31, 0.31, 0.31]
    assert berlin.factor.unit == "EUR/kWh"
    assert berlin.factor.value == pytest.approx(0.235)
    assert list(berlin.by_hour) == used


async def test_tariff_that_changes_is_applied_by_the_hour(api: Api) -> None:
    await make_site(api, "berlin", currency="EUR")
    await enter(api, "berlin", "tariff", "0.30", valid_to="2026-03-02T13:00:00Z")
    await enter(api, "berlin", "tariff", "0.40", valid_from="2026-03-02T13:00:00Z")
    factors = await resolved(api, "berlin", hours=hours(0, 1, 2))
    assert factors.tariff_hours is not None
    assert list(factors.tariff_hours.by_hour.values()) == [0.30, 0.40, 0.40]
    flat = await resolved(api, "berlin", hours=hours(1, 2))
    assert (flat.tariff_hours, flat.electricity_tariff and flat.electricity_tariff.value) == (
        None,
        0.40,
    )


async def test_hours_without_a_tariff_have_no_price(api: Api) -> None:
    await make_site(api, "berlin", currency="EUR")
    await enter(api, "berlin", "tariff", "0.40", valid_from="2026-03-02T13:00:00Z")
    factors = await resolved(api, "berlin", hours=hours(0, 1))
    assert factors.tariff_hours is not None
    assert dict(factors.tariff_hours.by_hour) == {hours(1)[0]: 0.40}
    assert factors.electricity_tariff is None
    assert factors.currency == "EUR"


async def test_price_book_has_priority_over_the_catalog(api: Api) -> None:
    v100 = "Tesla V100-SXM2-16GB"
    examples = await resolved(api, "lab", accelerators=[v100])
    assert examples.cloud_price_low is not None
    assert (examples.cloud_price_low.value, examples.cloud_price_low.source) == (0.74, "assumed")
    for price_id, amount in (("a", "1.00"), ("b", "1.50"), ("c", "0.90")):
        await posted(api, "/v1/prices", price(price_id, amount, accelerator="V100"))
    first = await moment(api)
    factors = await resolved(api, "lab", accelerators=[v100])
    assert factors.cloud_price_low is not None
    assert factors.cloud_price_high is not None
    assert (factors.cloud_price_low.value, factors.cloud_price_high.value) == (0.9, 1.5)
    assert (factors.cloud_price_low.source, factors.currency) == ("estimated", "USD")
    body = price("c", "1.10", accelerator="V100", valid_from="2026-01-01T00:00:00Z")
    await posted(api, "/v1/prices", body)
    now = await resolved(api, "lab", accelerators=[v100])
    then = await resolved(api, "lab", accelerators=[v100], as_of=first)
    assert (now.cloud_price_low and now.cloud_price_low.value) == 1.0
    assert (then.cloud_price_low and then.cloud_price_low.value) == 0.9


async def test_prices_in_another_currency_yield_no_cost_with_a_reason(api: Api) -> None:
    await make_site(api, "berlin", currency="EUR")
    await posted(api, "/v1/prices", price("a", "2.10", currency="USD"))
    await posted(api, "/v1/prices", price("own", "1.10", currency="USD", kind="internal"))
    factors = await resolved(api, "berlin", accelerators=[H200])
    money = (
        factors.cloud_price_low,
        factors.cloud_price_high,
        factors.internal_price,
        factors.currency,
    )
    assert money == (None,) * 4
    reason = f"the price book has {H200} in USD, and the site's currency is EUR"
    assert (factors.cloud_price_reason, factors.internal_price_reason) == (reason, reason)
    v100 = await resolved(api, "berlin", accelerators=["Tesla V100"])
    assert v100.cloud_price_reason.startswith("the catalog has Tesla V100 in USD")


async def test_accelerators_with_different_prices_yield_no_cost_with_a_reason(api: Api) -> None:
    await posted(api, "/v1/prices", price("a", "2.10"))
    await posted(api, "/v1/prices", price("b", "1.10", accelerator="A100"))
    both = await resolved(api, "lab", accelerators=[H200, "NVIDIA A100-SXM4-80GB"])
    assert both.cloud_price_low is None
    assert both.cloud_price_reason == (
        "the accelerators differ in price: NVIDIA H200, NVIDIA A100-SXM4-80GB"
    )
    one = await resolved(api, "lab", accelerators=[H200, "Tesla T4"])
    assert one.cloud_price_reason == "no price of a device-hour is known for Tesla T4"


async def test_price_of_owned_hardware_is_capex_over_hours_in_use(api: Api) -> None:
    owned = {"capex": "28000", "lifetime_h": "35040", "utilisation_ratio": "0.7"}
    made = await posted(api, "/v1/prices", price("own", None, kind="internal", ownership=owned))
    assert made["amount"] == "1.141553"
    assert made["details"] == owned
    factors = await resolved(api, "lab", accelerators=[H200])
    assert factors.internal_price is not None
    assert factors.internal_price.value == pytest.approx(28000 / (35040 * 0.7), rel=1e-6)
    assert (factors.cloud_price_low, factors.currency) == (None, "USD")
