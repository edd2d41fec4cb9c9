"""Sites and their factors: entered, never changed, resolved by time and as of a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.services.factors import resolution as factors
from app.settings import Settings
from pricetag.accounting.bill.inputs import Factors
from pricetag.catalog import grid_factor
from tests.support.api import Api, fields, problem
from tests.support.entries import (
    CITED,
    changed,
    enter,
    factor,
    hours_csv,
    make_site,
    posted,
    price,
    series,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
H200 = "NVIDIA H200"


def hours(*numbers: int, begin: datetime = NOON) -> list[str]:
    return [(begin + timedelta(hours=n)).isoformat() for n in numbers]


async def resolved(api: Api, site: str | None, **more: Any) -> Factors:
    given: dict[str, Any] = {"hours": hours(0), "used_in_year": 2026, **more}
    settings = given.pop("settings", Settings())
    async with api.database.session_scope() as session:
        return await factors.resolve(session, site=site, settings=settings, **given)


async def moment(api: Api) -> datetime:
    """A time after everything that was entered, and before what will be."""
    return datetime.now(UTC)


async def test_two_sites_of_one_lab_are_both_right(api: Api) -> None:
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


async def test_settings_and_then_the_catalog_stand_in_for_what_nobody_entered(api: Api) -> None:
    told = Settings(pue=1.15, grid_zone="FR", electricity_per_kwh=Decimal("0.2"))
    await make_site(api, "here")
    found = await resolved(api, "here", settings=told)
    assert (found.pue.value, found.electricity_reason) == (1.15, "")
    assert found.carbon_intensity is not None
    assert (found.carbon_intensity.zone, found.currency) == ("FRA", "USD")
    bare = await resolved(api, "nowhere")
    assert (bare.pue.source, bare.pue.value) == ("assumed", 1.54)
    assert bare.carbon_intensity is not None
    assert (bare.carbon_intensity.zone, bare.carbon_intensity.source) == ("WLD", "assumed")
    assert (bare.site, (await resolved(api, None)).site) == ("nowhere", "default")


async def test_a_tariff_of_the_settings_in_other_money_is_passed_over(api: Api) -> None:
    await make_site(api, "berlin", currency="EUR")
    found = await resolved(api, "berlin", settings=Settings(electricity_per_kwh=Decimal("0.2")))
    assert found.electricity_tariff is None
    assert found.electricity_reason == ("the tariff is in USD/kWh, and the site's currency is EUR")


async def test_of_several_that_hold_the_one_entered_last_does(api: Api) -> None:
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


async def test_a_factor_holds_by_whole_hours_from_its_beginning_to_its_end(api: Api) -> None:
    await make_site(api, "berlin")
    await enter(
        api,
        *("berlin", "pue", "1.2"),
        valid_from="2026-03-02T12:40:00Z",
        valid_to="2026-03-02T14:00:00Z",
    )
    found = [(await resolved(api, "berlin", hours=hours(n))).pue.value for n in (-1, 0, 1, 2)]
    assert found == [1.54, 1.2, 1.2, 1.54]


async def test_a_zone_that_changes_is_known_as_it_was(api: Api) -> None:
    await make_site(api, "lab", grid_zone="DE", currency="EUR")
    first = await moment(api)
    await changed(api, "lab", grid_zone="FR")
    second = await moment(api)
    await changed(api, "lab", grid_zone="SE", currency="SEK")

    async def zone(as_of: datetime | None) -> str | None:
        found = (await resolved(api, "lab", as_of=as_of)).carbon_intensity
        return found.zone if found else None

    assert [await zone(at) for at in (first, second, None)] == ["DEU", "FRA", "SWE"]
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    assert await zone(long_ago) == "WLD"
    shown = await api.viewer.get("/v1/sites/lab", params={"as_of": first.isoformat()})
    assert (shown.json()["grid_zone"], shown.json()["currency"]) == ("DEU", "EUR")


PERIODS = [
    {"days": ["mon-sun"], "from": "07:00", "to": "22:00", "price": "0.31"},
    {"days": ["mon-sun"], "from": "22:00", "to": "07:00", "price": "0.21"},
]


async def test_a_tariff_by_the_time_of_use_goes_by_the_site_s_clocks(api: Api) -> None:
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


async def test_a_tariff_that_changes_meanwhile_is_applied_by_the_hour(api: Api) -> None:
    await make_site(api, "berlin", currency="EUR")
    await enter(api, "berlin", "tariff", "0.30", valid_to="2026-03-02T13:00:00Z")
    await enter(api, "berlin", "tariff", "0.40", valid_from="2026-03-02T13:00:00Z")
    found = await resolved(api, "berlin", hours=hours(0, 1, 2))
    assert found.tariff_hours is not None
    assert list(found.tariff_hours.by_hour.values()) == [0.30, 0.40, 0.40]
    flat = await resolved(api, "berlin", hours=hours(1, 2))
    assert (flat.tariff_hours, flat.electricity_tariff and flat.electricity_tariff.value) == (
        None,
        0.40,
    )


async def test_hours_without_a_tariff_do_not_borrow_one(api: Api) -> None:
    await make_site(api, "berlin", currency="EUR")
    await enter(api, "berlin", "tariff", "0.40", valid_from="2026-03-02T13:00:00Z")
    found = await resolved(api, "berlin", hours=hours(0, 1))
    assert found.tariff_hours is not None
    assert dict(found.tariff_hours.by_hour) == {hours(1)[0]: 0.40}
    assert found.electricity_tariff is None
    assert found.currency == "EUR"


async def test_an_hourly_series_goes_before_the_annual_mean_of_its_zone(api: Api) -> None:
    await make_site(api, "berlin", grid_zone="DE")
    first = hours_csv(("2026-03-02T12:00Z", 300), ("2026-03-02T13:00Z", 310))
    await posted(api, "/v1/carbon/import", series("DE", first))
    known = await moment(api)
    second = hours_csv(("2026-03-02T13:00Z", 210))
    await posted(api, "/v1/carbon/import", series("DEU", second, source="corrected"))
    found = await resolved(api, "berlin", hours=hours(0, 1, 2))
    assert found.carbon_hours is not None
    assert list(found.carbon_hours.by_hour.items()) == [(hours(0)[0], 300.0), (hours(1)[0], 210.0)]
    about = found.carbon_hours.factor
    assert (about.citation, about.zone) == (f"{CITED['source']}; corrected", "DEU")
    assert found.carbon_intensity is not None
    assert found.carbon_intensity.value == grid_factor("DEU").g_per_kwh
    before = await resolved(api, "berlin", hours=hours(0, 1, 2), as_of=known)
    assert before.carbon_hours is not None
    assert list(before.carbon_hours.by_hour.values()) == [300.0, 310.0]
    elsewhere = await resolved(api, "nowhere", hours=hours(0, 1))
    assert elsewhere.carbon_hours is None


async def test_an_hour_without_its_own_figure_is_left_to_the_annual_one(api: Api) -> None:
    await make_site(api, "berlin", grid_zone="DE")
    await enter(api, "berlin", "carbon_location", "100")
    await posted(api, "/v1/carbon/import", series("DE", hours_csv(("2026-03-02T12:00Z", 200))))
    found = await resolved(api, "berlin", hours=hours(0, 1))
    assert found.carbon_hours is not None
    assert dict(found.carbon_hours.by_hour) == {hours(0)[0]: 200.0}
    assert found.carbon_hours.factor.value == 200.0
    assert found.carbon_intensity is not None
    assert found.carbon_intensity.value == 100.0


async def test_an_annual_figure_that_changes_meanwhile_is_applied_by_the_hour(api: Api) -> None:
    await make_site(api, "lab", grid_zone="DE")
    await enter(api, "lab", "carbon_location", "100", valid_to="2026-03-02T13:00:00Z")
    await enter(api, "lab", "carbon_location", "90", valid_from="2026-03-02T13:00:00Z")
    found = await resolved(api, "lab", hours=hours(0, 1))
    assert found.carbon_hours is not None
    assert list(found.carbon_hours.by_hour.values()) == [100.0, 90.0]
    assert found.carbon_intensity is not None
    assert found.carbon_intensity.value == 90.0


async def test_the_lab_s_figure_of_a_zone_is_every_site_s_there(api: Api) -> None:
    await make_site(api, "paris", grid_zone="FR")
    await make_site(api, "lyon", grid_zone="FR")
    await make_site(api, "berlin", grid_zone="DE")
    await enter(api, None, "carbon_location", "30", subject="FR")
    await enter(api, None, "water_intensity", "4.5", subject="FR")
    for site, wanted in (("paris", 30.0), ("lyon", 30.0), ("berlin", None)):
        found = await resolved(api, site)
        assert found.carbon_intensity is not None
        assert found.carbon_intensity.value == (wanted or grid_factor("DEU").g_per_kwh)
        assert (found.water_intensity and found.water_intensity.value) == (wanted and 4.5)


async def test_water_of_the_catalog_is_for_its_own_zone(api: Api) -> None:
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


async def test_a_card_s_calibration_goes_by_its_uuid_and_is_versioned(api: Api) -> None:
    await make_site(api, "lab")
    told = {"relative_std_ratio": 0.01, "evidence": "counter"}
    told["source"] = "entered by the lab from a wall meter"
    await enter(api, "lab", "calibration", "0.98", subject="GPU-6F0C", **told)
    first = await moment(api)
    await enter(api, "lab", "calibration", "0.985", subject="gpu:GPU-6f0c", **told)
    devices = ["gpu:GPU-6f0c", "gpu:GPU-other", "cpu"]
    now = (await resolved(api, "lab", devices=devices)).calibrations
    assert {device: f.value for device, f in now.items()} == {"gpu:GPU-6f0c": 0.985}
    assert now["gpu:GPU-6f0c"].relative_std_ratio == 0.01
    before = (await resolved(api, "lab", devices=devices, as_of=first)).calibrations
    assert before["gpu:GPU-6f0c"].value == 0.98


async def test_the_price_book_goes_before_the_catalog_s_examples(api: Api) -> None:
    v100 = "Tesla V100-SXM2-16GB"
    examples = await resolved(api, "lab", accelerators=[v100])
    assert examples.cloud_price_low is not None
    assert (examples.cloud_price_low.value, examples.cloud_price_low.source) == (0.74, "assumed")
    for price_id, amount in (("a", "1.00"), ("b", "1.50"), ("c", "0.90")):
        await posted(api, "/v1/prices", price(price_id, amount, accelerator="V100"))
    first = await moment(api)
    found = await resolved(api, "lab", accelerators=[v100])
    assert found.cloud_price_low is not None
    assert found.cloud_price_high is not None
    assert (found.cloud_price_low.value, found.cloud_price_high.value) == (0.9, 1.5)
    assert (found.cloud_price_low.source, found.currency) == ("estimated", "USD")
    body = price("c", "1.10", accelerator="V100", valid_from="2026-01-01T00:00:00Z")
    await posted(api, "/v1/prices", body)
    now = await resolved(api, "lab", accelerators=[v100])
    then = await resolved(api, "lab", accelerators=[v100], as_of=first)
    assert (now.cloud_price_low and now.cloud_price_low.value) == 1.0
    assert (then.cloud_price_low and then.cloud_price_low.value) == 0.9


async def test_prices_in_other_money_give_no_cost_and_say_so(api: Api) -> None:
    await make_site(api, "berlin", currency="EUR")
    await posted(api, "/v1/prices", price("a", "2.10", currency="USD"))
    await posted(api, "/v1/prices", price("own", "1.10", currency="USD", kind="internal"))
    found = await resolved(api, "berlin", accelerators=[H200])
    money = (found.cloud_price_low, found.cloud_price_high, found.internal_price, found.currency)
    assert money == (None,) * 4
    said = f"the price book has {H200} in USD, and the site's currency is EUR"
    assert (found.cloud_price_reason, found.internal_price_reason) == (said, said)
    v100 = await resolved(api, "berlin", accelerators=["Tesla V100"])
    assert v100.cloud_price_reason.startswith("the catalog has Tesla V100 in USD")


async def test_accelerators_that_differ_in_price_give_none_and_say_so(api: Api) -> None:
    await posted(api, "/v1/prices", price("a", "2.10"))
    await posted(api, "/v1/prices", price("b", "1.10", accelerator="A100"))
    both = await resolved(api, "lab", accelerators=[H200, "NVIDIA A100-SXM4-80GB"])
    assert both.cloud_price_low is None
    assert both.cloud_price_reason == (
        "the accelerators differ in price: NVIDIA H200, NVIDIA A100-SXM4-80GB"
    )
    one = await resolved(api, "lab", accelerators=[H200, "Tesla T4"])
    assert one.cloud_price_reason == "no price of a device-hour is known for Tesla T4"


async def test_owned_hardware_is_priced_by_capex_over_its_use(api: Api) -> None:
    owned = {"capex": "28000", "lifetime_h": "35040", "utilisation_ratio": "0.7"}
    made = await posted(api, "/v1/prices", price("own", None, kind="internal", ownership=owned))
    assert made["amount"] == "1.141553"
    assert made["details"] == owned
    found = await resolved(api, "lab", accelerators=[H200])
    assert found.internal_price is not None
    assert found.internal_price.value == pytest.approx(28000 / (35040 * 0.7), rel=1e-6)
    assert (found.cloud_price_low, found.currency) == (None, "USD")


async def test_a_site_shows_its_factors_and_who_said_so(api: Api) -> None:
    await make_site(api, "berlin", grid_zone="DE", currency="EUR", time_zone="Europe/Berlin")
    await enter(api, "berlin", "pue", "1.3")
    await enter(api, None, "wue", "0.4")
    await enter(api, "berlin", "tariff", details={"periods": PERIODS})
    await enter(api, None, "calibration", "0.98", subject="GPU-1", relative_std_ratio=0.01)
    shown = (await api.viewer.get("/v1/sites/berlin")).json()
    held = {(f["kind"], f["subject"]): f for f in shown["factors"]}
    origins = {key: f["origin"] for key, f in held.items()}
    assert origins == {
        ("pue", ""): "site",
        ("wue", ""): "lab",
        ("tariff", ""): "site",
        ("carbon_location", ""): "catalog",
        ("calibration", "GPU-1"): "lab",
        ("embodied", "server"): "catalog",
    }
    assert held["pue", ""]["source"] == CITED["source"]
    assert held["carbon_location", ""]["licence"] == "CC BY 4.0"
    tariff = held["tariff", ""]
    assert (tariff["by_the_hour"], tariff["value"] in (0.21, 0.31)) == (True, True)
    assert set(shown["unknown"]) == {"carbon_market", "water_intensity"}
    assert {f["evidence"] for f in shown["factors"]} == {"estimated", "assumed"}


async def test_factors_are_listed_as_they_were_entered(api: Api) -> None:
    await make_site(api, "berlin")
    for number in range(5):
        await enter(api, "berlin" if number % 2 else None, "pue", f"1.{number}")
    page = (await api.viewer.get("/v1/factors", params={"limit": 3})).json()
    rest = await api.viewer.get("/v1/factors", params={"limit": 3, "cursor": page["next_cursor"]})
    values = [item["value"] for item in page["items"] + rest.json()["items"]]
    assert values == ["1.4", "1.3", "1.2", "1.1", "1"]
    assert rest.json()["next_cursor"] is None
    only = (await api.viewer.get("/v1/factors", params={"site": "berlin"})).json()["items"]
    assert [(item["value"], item["site"]) for item in only] == [
        ("1.3", "berlin"),
        ("1.1", "berlin"),
    ]
    none = (await api.viewer.get("/v1/factors", params={"kind": "wue"})).json()
    assert none == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("table", ["factors", "prices", "carbon_series", "carbon_hours"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
async def test_the_database_itself_refuses_to_change_them(
    api: Api, table: str, change: str
) -> None:
    await enter(api, None, "pue", "1.3")
    await posted(api, "/v1/prices", price("a", "2.10"))
    content = hours_csv(("2026-03-02T12:00Z", 300))
    await posted(api, "/v1/carbon/import", series("DE", content))
    column = "series_id" if table == "carbon_hours" else "id"
    statement = change.format(table, column, column)
    async with api.database.sessions() as session:
        with pytest.raises(DBAPIError, match=f"{table} is append-only"):
            await session.execute(text(statement))


async def test_every_entry_is_in_the_audit_log(api: Api) -> None:
    await make_site(api, "berlin", grid_zone="DE")
    await changed(api, "berlin", grid_zone="FR")
    await changed(api, "berlin", grid_zone="FR")  # changes nothing
    await enter(api, "berlin", "pue", "1.3")
    log = (await api.admin.get("/v1/audit")).json()["items"]
    people = ("token", "user")  # of the fixture
    told = [(e["action"], e["object_kind"]) for e in log if e["object_kind"] not in people]
    assert told == [("created", "factor"), ("changed", "site"), ("created", "site")]
    made, change = log[0], log[1]
    assert (made["after"]["value"], made["after"]["site"]) == ("1.3", "berlin")
    assert (change["before"]["grid_zone"], change["after"]["grid_zone"]) == ("DEU", "FRA")
    assert change["actor"] == "a admin"


WRITES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/sites", {"name": "paris"}),
    ("/v1/sites/berlin/factors", factor("pue", "1.2")),
    ("/v1/factors", factor("pue", "1.2")),
    ("/v1/prices", price("a", "2.10")),
    ("/v1/prices/import", {"format": "csv", "content": ""}),
    ("/v1/carbon/import", series("DE", "")),
    ("/v1/carbon/fetch", {"zone": "DE", "start": "2026-03-01T00:00:00Z", "end": "2026-03-02"}),
]


@pytest.mark.parametrize("role", ["viewer", "member"])
@pytest.mark.parametrize(("path", "body"), WRITES)
async def test_only_admins_enter(api: Api, role: str, path: str, body: dict[str, Any]) -> None:
    await make_site(api, "berlin")
    problem(await getattr(api, role).post(path, json=body), 403, "role-required")
    problem(await api.nobody.post(path, json=body), 401, "unauthenticated")
    change = await getattr(api, role).patch("/v1/sites/berlin", json={"grid_zone": "FR"})
    problem(change, 403, "role-required")


@pytest.mark.parametrize("path", ["/v1/sites", "/v1/factors", "/v1/prices", "/v1/carbon"])
async def test_everybody_with_a_token_reads(api: Api, path: str) -> None:
    assert (await api.viewer.get(path)).status_code == 200
    problem(await api.nobody.get(path), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"name": "a", "grid_zone": "Atlantis"}, "unknown-zone", "grid_zone"),
        ({"name": "a", "grid_zone": "US-ZZ"}, "unknown-zone", "grid_zone"),
        ({"name": "a", "time_zone": "Mars/Olympus"}, "unknown-time-zone", "time_zone"),
        ({"name": "a", "time_zone": "../../etc/passwd"}, "unknown-time-zone", "time_zone"),
        ({"name": "a", "time_zone": "localtime"}, "unknown-time-zone", "time_zone"),
        ({"name": "a b"}, "invalid-request", "name"),
        ({"name": "a", "currency": "euro"}, "invalid-request", "currency"),
        ({"name": "a", "zone": "DE"}, "invalid-request", "zone"),
    ],
)
async def test_an_invalid_site_is_rejected(
    api: Api, body: dict[str, Any], code: str, field: str
) -> None:
    assert fields(problem(await api.admin.post("/v1/sites", json=body), 422, code)) == [field]


async def test_an_unknown_part_of_a_country_is_told_what_is_near(api: Api) -> None:
    body = {"name": "a", "grid_zone": "US-ZZ"}
    told = problem(await api.admin.post("/v1/sites", json=body), 422, "unknown-zone")["detail"]
    assert "USA (United States)" in told


async def test_names_of_sites_are_unique_and_known(api: Api) -> None:
    await make_site(api, "berlin")
    again = await api.admin.post("/v1/sites", json={"name": "berlin"})
    problem(again, 409, "site-exists")
    unknown = problem(await api.viewer.get("/v1/sites/bonn"), 404, "site-not-found")
    assert "existing sites: berlin" in unknown["detail"]
    answer = await api.admin.post("/v1/sites/bonn/factors", json=factor("pue", "1.2"))
    problem(answer, 404, "site-not-found")


@pytest.mark.parametrize("field", ["source", "basis", "licence"])
@pytest.mark.parametrize("blank", [" ", "\u2003\u00a0"])
async def test_where_a_factor_is_from_is_no_blank(api: Api, field: str, blank: str) -> None:
    body = factor("pue", "1.2", **{field: blank})
    refused = await api.admin.post("/v1/factors", json=body)
    assert fields(problem(refused, 422, "invalid-request")) == [field]
    made = await posted(api, "/v1/factors", {**body, field: f"{blank}told "})
    assert made[field] == "told"


@pytest.mark.parametrize("value", ["1_2", "\u0661.\u0662", "1,2", "nan"])
async def test_a_factor_s_value_is_in_plain_digits(api: Api, value: str) -> None:
    refused = await api.admin.post("/v1/factors", json=factor("pue", value))
    told = problem(refused, 422, "invalid-request")
    assert fields(told) == ["value"]
    assert "digits 0 to 9" in told["detail"]


async def test_a_factor_that_cannot_be_is_rejected_with_every_field(api: Api) -> None:
    await make_site(api, "berlin")
    body = factor("pue", "0.9", year=datetime.now(UTC).year + 1, unit="kWh")
    refused = await api.admin.post("/v1/sites/berlin/factors", json=body)
    assert fields(problem(refused, 422, "invalid-factor")) == ["year", "unit", "value"]
    assert (await api.viewer.get("/v1/factors")).json()["items"] == []
