"""Entering sites and factors, which never change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

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
from tests.support.resolved import PERIODS


async def test_site_shows_its_factors_with_their_origins(api: Api) -> None:
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
async def test_database_rejects_changes_of_entered_factors(
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
    entries = [(e["action"], e["object_kind"]) for e in log if e["object_kind"] not in people]
    assert entries == [("created", "factor"), ("changed", "site"), ("created", "site")]
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
async def test_only_admins_can_make_entries(
    api: Api, role: str, path: str, body: dict[str, Any]
) -> None:
    await make_site(api, "berlin")
    problem(await getattr(api, role).post(path, json=body), 403, "role-required")
    problem(await api.nobody.post(path, json=body), 401, "unauthenticated")
    change = await getattr(api, role).patch("/v1/sites/berlin", json={"grid_zone": "FR"})
    problem(change, 403, "role-required")


@pytest.mark.parametrize("path", ["/v1/sites", "/v1/factors", "/v1/prices", "/v1/carbon"])
async def test_everybody_with_a_token_can_read(api: Api, path: str) -> None:
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


async def test_error_for_an_unknown_subdivision_lists_similar_zones(api: Api) -> None:
    body = {"name": "a", "grid_zone": "US-ZZ"}
    detail = problem(await api.admin.post("/v1/sites", json=body), 422, "unknown-zone")["detail"]
    assert "USA (United States)" in detail


async def test_names_of_sites_are_unique_and_known(api: Api) -> None:
    await make_site(api, "berlin")
    again = await api.admin.post("/v1/sites", json={"name": "berlin"})
    problem(again, 409, "site-exists")
    unknown = problem(await api.viewer.get("/v1/sites/bonn"), 404, "site-not-found")
    assert "existing sites: berlin" in unknown["detail"]
    response = await api.admin.post("/v1/sites/bonn/factors", json=factor("pue", "1.2"))
    problem(response, 404, "site-not-found")


@pytest.mark.parametrize("field", ["source", "basis", "licence"])
@pytest.mark.parametrize("blank", [" ", "\u2003\u00a0"])
async def test_blank_source_of_a_factor_is_rejected(api: Api, field: str, blank: str) -> None:
    body = factor("pue", "1.2", **{field: blank})
    refused = await api.admin.post("/v1/factors", json=body)
    assert fields(problem(refused, 422, "invalid-request")) == [field]
    made = await posted(api, "/v1/factors", {**body, field: f"{blank}told "})
    assert made[field] == "told"


@pytest.mark.parametrize("value", ["1_2", "\u0661.\u0662", "1,2", "nan"])
async def test_value_of_a_factor_must_be_plain_digits(api: Api, value: str) -> None:
    refused = await api.admin.post("/v1/factors", json=factor("pue", value))
    details = problem(refused, 422, "invalid-request")
    assert fields(details) == ["value"]
    assert "digits 0 to 9" in details["detail"]


async def test_rejection_of_a_factor_lists_every_invalid_field(api: Api) -> None:
    await make_site(api, "berlin")
    body = factor("pue", "0.9", year=datetime.now(UTC).year + 1, unit="kWh")
    refused = await api.admin.post("/v1/sites/berlin/factors", json=body)
    assert fields(problem(refused, 422, "invalid-factor")) == ["year", "unit", "value"]
    assert (await api.viewer.get("/v1/factors")).json()["items"] == []
