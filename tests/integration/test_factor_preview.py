"""What a factor would change, before it is entered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from app.services.energy import rollups
from models import EnergyHour, Factor, PriceTag
from pricetag import catalog
from pricetag.accounting.units import kwh_to_joules
from tests.support.api import Api, finished_run, problem
from tests.support.energy_hours import GPU, KINDS

FACTOR: dict[str, Any] = {
    "kind": "pue",
    "value": "1.2",
    "year": 2025,
    "basis": "annual mean",
    "source": "meter of hall 2",
    "licence": "own",
    "valid_from": "2020-01-01T00:00Z",
}
CARBON = FACTOR | {"kind": "carbon_location", "value": "400", "relative_std_ratio": 0.1}
TARIFF = FACTOR | {"kind": "tariff", "value": "0.25"}
IT_KWH = 10.0


async def preview(api: Api, factor: dict[str, Any], site: str | None = "berlin") -> dict[str, Any]:
    path = "/v1/factors" if site is None else f"/v1/sites/{site}/factors"
    response = await api.admin.post(f"{path}/preview", json=factor)
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


async def enter(api: Api, factor: dict[str, Any]) -> None:
    response = await api.admin.post("/v1/sites/berlin/factors", json=factor)
    assert response.status_code == 201, response.text


async def lab(api: Api) -> None:
    """A site with a PUE, an intensity and 10 kWh in this hour."""
    made = await api.admin.post("/v1/sites", json={"name": "berlin", "currency": "EUR"})
    assert made.status_code == 201
    await enter(api, FACTOR)
    await enter(api, CARBON)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    kind, name, method, gain = KINDS[GPU]
    async with api.database.session_scope() as session:
        session.add(
            EnergyHour(
                node_name="n",
                component=GPU,
                name=name,
                kind=kind,
                method=method,
                gain_std_ratio=gain,
                hour=hour,
                attempt_id=None,
                site="berlin",
                energy_j=kwh_to_joules(IT_KWH),
                covered_s=3600.0,
            )
        )
    async with api.database.session_scope() as session:
        await rollups.fold_pending(session, now=datetime.now(UTC) + timedelta(days=3))


async def test_the_month_before_and_after_is_energy_times_pue_times_intensity(api: Api) -> None:
    await lab(api)
    (month,) = (await preview(api, FACTOR | {"value": "1.5"}))["sites"]
    assert month["it_energy_kwh"]["value"] == pytest.approx(IT_KWH)
    co2e = month["co2e_kg"]
    assert co2e["before"]["value"] == pytest.approx(IT_KWH * 1.2 * 0.4)
    assert co2e["after"]["value"] == pytest.approx(IT_KWH * 1.5 * 0.4)
    assert co2e["change_ratio"] == pytest.approx(1.5 / 1.2 - 1)
    for figure in (co2e["before"], co2e["after"]):
        assert figure["low"] < figure["value"] < figure["high"]
        assert figure["unit"] == "kg"
        assert figure["source"] == "estimated"
    cost = month["electricity_cost"]
    assert cost["before"]["value"] is None
    assert "no electricity tariff" in cost["before"]["reason"]
    assert cost["change_ratio"] is None


async def test_a_first_tariff_makes_the_cost_known(api: Api) -> None:
    await lab(api)
    (month,) = (await preview(api, TARIFF))["sites"]
    cost = month["electricity_cost"]
    assert cost["before"]["value"] is None
    assert cost["after"]["value"] == pytest.approx(IT_KWH * 1.2 * 0.25)
    assert cost["after"]["unit"] == "EUR"
    assert month["co2e_kg"]["change_ratio"] == 0


async def test_a_factor_that_begins_later_changes_nothing_now(api: Api) -> None:
    await lab(api)
    begin = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    result = await preview(api, TARIFF | {"valid_from": begin})
    assert (result["attempts"], result["runs"], result["examples"]) == (0, 0, [])
    cost = result["sites"][0]["electricity_cost"]
    assert cost["before"] == cost["after"]


async def test_runs_are_counted_and_the_newest_re_priced_in_trial(api: Api) -> None:
    async with api.database.session_scope() as session:
        ids = [str(await finished_run(session)) for _ in range(4)]
    result = await preview(api, FACTOR | {"value": "2"}, site=None)
    assert (result["attempts"], result["runs"], result["at_least"]) == (4, 4, False)
    assert len(result["examples"]) == 3
    assert {one["run_id"] for one in result["examples"]} <= set(ids)
    newest = result["examples"][0]
    issued = (await api.viewer.get(f"/v1/runs/{newest['run_id']}/price-tag")).json()
    assert newest["co2e_kg"]["before"]["value"] == issued["co2e_kg"]["value"]
    pue = catalog.pue().as_factor().value
    assert newest["co2e_kg"]["change_ratio"] == pytest.approx(2 / pue - 1)
    assert newest["embodied_co2e_kg"]["change_ratio"] == 0
    await enter_lab(api, FACTOR | {"value": "2"})
    repriced = await api.admin.post(f"/v1/runs/{newest['run_id']}/price-tag/reprice", json={})
    assert repriced.status_code == 201, repriced.text
    again = (await api.viewer.get(f"/v1/runs/{newest['run_id']}/price-tag")).json()
    assert again["co2e_kg"]["value"] == newest["co2e_kg"]["after"]["value"]


async def enter_lab(api: Api, factor: dict[str, Any]) -> None:
    response = await api.admin.post("/v1/factors", json=factor)
    assert response.status_code == 201, response.text


async def test_nothing_is_stored_and_warnings_and_errors_are_those_of_the_entry(api: Api) -> None:
    async with api.database.session_scope() as session:
        await finished_run(session)
    log = (await api.admin.get("/v1/audit")).json()["items"]
    result = await preview(api, FACTOR | {"value": "1.1", "relative_std_ratio": 0.5}, site=None)
    assert "would give a 95% interval" in result["warnings"][0]
    async with api.database.session_scope() as session:
        assert (await session.execute(select(func.count(Factor.id)))).scalar_one() == 0
        assert (await session.execute(select(func.count(PriceTag.id)))).scalar_one() == 1
    assert (await api.admin.get("/v1/audit")).json()["items"] == log
    wrong = await api.admin.post("/v1/factors/preview", json=FACTOR | {"value": "0.5"})
    problem(wrong, 422, "invalid-factor")
    refused = await api.member.post("/v1/factors/preview", json=FACTOR)
    problem(refused, 403, "role-required")
