"""Factors that apply to energy used at a site, by time and as of a time."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from app.settings import Settings
from pricetag.catalog import grid_factor
from tests.support.api import Api
from tests.support.entries import (
    CITED,
    changed,
    enter,
    hours_csv,
    make_site,
    posted,
    series,
)
from tests.support.resolved import H200, hours, moment, resolved


async def test_each_site_has_its_own_factors(api: Api) -> None:
    await make_site(api, "berlin", grid_zone="de", time_zone="Europe/Berlin", currency="EUR")
    await make_site(api, "quebec", grid_zone="CA-QC", currency="CAD")
    await enter(api, "berlin", "pue", "1.3")
    await enter(api, "berlin", "tariff", "0.30")
    await enter(api, "berlin", "carbon_market", "12.5")
    await enter(api, "quebec", "pue", "1.1")
    await enter(api, None, "wue", "0.4")
    berlin, quebec = await resolved(api, "berlin"), await resolved(api, "quebec")
    assert (berlin.pue.value, quebec.pue.value) == (1.3, 1.1)
    assert berlin.carbon_intensity is not None
    assert quebec.carbon_intensity is not None
    assert berlin.carbon_intensity.value == grid_factor("DEU").g_per_kwh
    assert quebec.carbon_intensity.value == grid_factor("CA-QC").g_per_kwh
    assert quebec.carbon_intensity.zone == "CA-QC"
    assert berlin.electricity_tariff is not None
    assert (berlin.electricity_tariff.value, berlin.currency) == (0.3, "EUR")
    assert (quebec.electricity_tariff, quebec.currency) == (None, None)
    assert quebec.electricity_reason == "no electricity tariff is configured"
    assert berlin.carbon_market is not None
    assert (berlin.carbon_market.value, quebec.carbon_market) == (12.5, None)
    assert {berlin.wue.value if berlin.wue else None} == {0.4}
    assert quebec.wue == berlin.wue
    assert (berlin.site, quebec.site) == ("berlin", "quebec")


async def test_settings_and_then_the_catalog_are_the_defaults(api: Api) -> None:
    configured = Settings(pue=1.15, grid_zone="FR", electricity_per_kwh=Decimal("0.2"))
    await make_site(api, "here")
    factors = await resolved(api, "here", settings=configured)
    assert (factors.pue.value, factors.electricity_reason) == (1.15, "")
    assert factors.carbon_intensity is not None
    assert (factors.carbon_intensity.zone, factors.currency) == ("FRA", "USD")
    bare = await resolved(api, "nowhere")
    assert (bare.pue.source, bare.pue.value) == ("assumed", 1.54)
    assert bare.carbon_intensity is not None
    assert (bare.carbon_intensity.zone, bare.carbon_intensity.source) == ("WLD", "assumed")
    assert (bare.site, (await resolved(api, None)).site) == ("nowhere", "default")


async def test_the_factor_entered_last_applies(api: Api) -> None:
    await make_site(api, "berlin")
    await enter(api, None, "pue", "1.9")
    await enter(api, "berlin", "pue", "1.3")
    first = await moment(api)
    await enter(api, "berlin", "pue", "1.2", valid_from="2021-01-01T00:00:00Z")
    await enter(api, None, "pue", "1.8")
    assert (await resolved(api, "berlin")).pue.value == 1.2
    assert (await resolved(api, "berlin", as_of=first)).pue.value == 1.3
    assert (await resolved(api, "other")).pue.value == 1.8
    before = hours(0, begin=datetime(2020, 6, 1, tzinfo=UTC))
    assert (await resolved(api, "berlin", hours=before)).pue.value == 1.3
    long_ago = hours(0, begin=datetime(2019, 6, 1, tzinfo=UTC))
    assert (await resolved(api, "berlin", hours=long_ago)).pue.source == "assumed"
    assert (await resolved(api, "berlin", as_of=first)).as_of == first.isoformat()


async def test_factor_applies_to_whole_hours_within_its_validity(api: Api) -> None:
    await make_site(api, "berlin")
    await enter(
        api,
        *("berlin", "pue", "1.2"),
        valid_from="2026-03-02T12:40:00Z",
        valid_to="2026-03-02T14:00:00Z",
    )
    values = [(await resolved(api, "berlin", hours=hours(n))).pue.value for n in (-1, 0, 1, 2)]
    assert values == [1.54, 1.2, 1.2, 1.54]


async def test_earlier_zone_of_a_site_applies_as_of_an_earlier_time(api: Api) -> None:
    await make_site(api, "lab", grid_zone="DE", currency="EUR")
    first = await moment(api)
    await changed(api, "lab", grid_zone="FR")
    second = await moment(api)
    await changed(api, "lab", grid_zone="SE", currency="SEK")

    async def zone(as_of: datetime | None) -> str | None:
        intensity = (await resolved(api, "lab", as_of=as_of)).carbon_intensity
        return intensity.zone if intensity else None

    assert [await zone(at) for at in (first, second, None)] == ["DEU", "FRA", "SWE"]
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    assert await zone(long_ago) == "WLD"
    shown = await api.viewer.get("/v1/sites/lab", params={"as_of": first.isoformat()})
    assert (shown.json()["grid_zone"], shown.json()["currency"]) == ("DEU", "EUR")


async def test_hourly_series_has_priority_over_the_annual_mean(api: Api) -> None:
    await make_site(api, "berlin", grid_zone="DE")
    first = hours_csv(("2026-03-02T12:00Z", 300), ("2026-03-02T13:00Z", 310))
    await posted(api, "/v1/carbon/import", series("DE", first))
    before_import = await moment(api)
    second = hours_csv(("2026-03-02T13:00Z", 210))
    await posted(api, "/v1/carbon/import", series("DEU", second, source="corrected"))
    factors = await resolved(api, "berlin", hours=hours(0, 1, 2))
    assert factors.carbon_hours is not None
    assert list(factors.carbon_hours.by_hour.items()) == [
        (hours(0)[0], 300.0),
        (hours(1)[0], 210.0),
    ]
    about = factors.carbon_hours.factor
    assert (about.citation, about.zone) == (f"{CITED['source']}; corrected", "DEU")
    assert factors.carbon_intensity is not None
    assert factors.carbon_intensity.value == grid_factor("DEU").g_per_kwh
    before = await resolved(api, "berlin", hours=hours(0, 1, 2), as_of=before_import)
    assert before.carbon_hours is not None
    assert list(before.carbon_hours.by_hour.values()) == [300.0, 310.0]
    elsewhere = await resolved(api, "nowhere", hours=hours(0, 1))
    assert elsewhere.carbon_hours is None


async def test_annual_mean_applies_to_hours_missing_in_the_series(api: Api) -> None:
    await make_site(api, "berlin", grid_zone="DE")
    await enter(api, "berlin", "carbon_location", "100")
    await posted(api, "/v1/carbon/import", series("DE", hours_csv(("2026-03-02T12:00Z", 200))))
    factors = await resolved(api, "berlin", hours=hours(0, 1))
    assert factors.carbon_hours is not None
    assert dict(factors.carbon_hours.by_hour) == {hours(0)[0]: 200.0}
    assert factors.carbon_hours.factor.value == 200.0
    assert factors.carbon_intensity is not None
    assert factors.carbon_intensity.value == 100.0


async def test_annual_mean_that_changes_is_applied_by_the_hour(api: Api) -> None:
    await make_site(api, "lab", grid_zone="DE")
    await enter(api, "lab", "carbon_location", "100", valid_to="2026-03-02T13:00:00Z")
    await enter(api, "lab", "carbon_location", "90", valid_from="2026-03-02T13:00:00Z")
    factors = await resolved(api, "lab", hours=hours(0, 1))
    assert factors.carbon_hours is not None
    assert list(factors.carbon_hours.by_hour.values()) == [100.0, 90.0]
    assert factors.carbon_intensity is not None
    assert factors.carbon_intensity.value == 90.0


async def test_factor_of_the_lab_applies_to_all_sites_in_its_zone(api: Api) -> None:
    await make_site(api, "paris", grid_zone="FR")
    await make_site(api, "lyon", grid_zone="FR")
    await make_site(api, "berlin", grid_zone="DE")
    await enter(api, None, "carbon_location", "30", subject="FR")
    await enter(api, None, "water_intensity", "4.5", subject="FR")
    for site, wanted in (("paris", 30.0), ("lyon", 30.0), ("berlin", None)):
        factors = await resolved(api, site)
        assert factors.carbon_intensity is not None
        assert factors.carbon_intensity.value == (wanted or grid_factor("DEU").g_per_kwh)
        assert (factors.water_intensity and factors.water_intensity.value) == (wanted and 4.5)


async def test_water_intensity_of_the_catalog_applies_only_to_its_zone(api: Api) -> None:
    await make_site(api, "us", grid_zone="US")
    await make_site(api, "california", grid_zone="US-CA")
    country, state = await resolved(api, "us"), await resolved(api, "california")
    assert country.water_intensity is not None
    assert (country.water_intensity.value, state.water_intensity) == (3.142, None)
    assert country.wue is not None
    assert country.wue.source == "assumed"


async def test_embodied_emissions_of_accelerators_and_their_server(api: Api) -> None:
    await make_site(api, "lab")
    await enter(
        api,
        *("lab", "embodied", "140"),
        subject="nvidia h200",
        details={"lifetime_h": 35040, "utilisation_ratio": 0.7},
    )
    await enter(
        api, None, "embodied", "1800", subject="server", details={"accelerators_per_server": 4}
    )
    card, server = (await resolved(api, "lab", accelerators=[H200])).embodied
    assert (card.subject, card.factor.value, card.pieces) == (H200, 140.0, 1.0)
    assert (card.lifetime_h, card.utilisation_ratio) == (35040.0, 0.7)
    assert (server.subject, server.factor.value, server.pieces) == ("server", 1800.0, 0.25)
    assert (server.lifetime_h, server.utilisation_ratio) == (52560.0, 0.85)
    (alone,) = (await resolved(api, "lab")).embodied
    assert (alone.subject, alone.pieces) == ("server", 1.0)
    other, _ = (await resolved(api, "lab", accelerators=["Tesla T4"])).embodied
    assert (other.factor.value, other.factor.source) == (150.0, "assumed")


async def test_calibration_belongs_to_a_device_uuid_and_has_versions(api: Api) -> None:
    await make_site(api, "lab")
    error = {"relative_std_ratio": 0.01, "evidence": "counter"}
    error["source"] = "entered by the lab from a wall meter"
    await enter(api, "lab", "calibration", "0.98", subject="GPU-6F0C", **error)
    first = await moment(api)
    await enter(api, "lab", "calibration", "0.985", subject="gpu:GPU-6f0c", **error)
    devices = ["gpu:GPU-6f0c", "gpu:GPU-other", "cpu"]
    now = (await resolved(api, "lab", devices=devices)).calibrations
    assert {device: f.value for device, f in now.items()} == {"gpu:GPU-6f0c": 0.985}
    assert now["gpu:GPU-6f0c"].relative_std_ratio == 0.01
    before = (await resolved(api, "lab", devices=devices, as_of=first)).calibrations
    assert before["gpu:GPU-6f0c"].value == 0.98
