"""Price tags of runs at two sites of one lab: each has its own site's factors."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from app.services.attempts import execution
from app.settings import Settings
from pricetag.catalog import grid_factor
from tests.support.api import Api
from tests.support.entries import changed, enter, make_site, posted, price
from tests.support.executions import JournalMaker, make_run

KWH = 2400 / 3.6e6


async def run_at(api: Api, site: str, **values: Any) -> str:
    """A run of 2400 J that ended there."""
    async with api.database.session_scope() as session:
        run = await make_run(session, **values)
        claim = await execution.claim(
            session,
            run.id,
            worker="w",
            node_name=f"node of {site}",
            devices=[{"uuid": "GPU-1", "name": "NVIDIA H200"}],
            site=site,
        )
        assert claim is not None
        journal = JournalMaker(claim.attempt_id)
        journal.whole()
        await execution.ingest(session, claim.attempt_id, journal.records)
    return str(run.id)


async def tag_of(api: Api, run_id: str | UUID, **params: Any) -> dict[str, Any]:
    response = await api.viewer.get(f"/v1/runs/{run_id}/price-tag", params=params)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_each_run_is_billed_with_the_factors_of_its_site(api: Api) -> None:
    await make_site(api, "berlin", grid_zone="DE", currency="EUR")
    await make_site(api, "quebec", grid_zone="CA-QC", currency="CAD")
    since = {"valid_from": "2020-01-01T00:00:00Z"}
    await enter(api, "berlin", "pue", "1.3", **since)
    await enter(api, "berlin", "tariff", "0.30", **since)
    await enter(api, "quebec", "pue", "1.1", **since)
    await posted(api, "/v1/prices", price("euro", "2", currency="EUR"))
    berlin = await tag_of(api, await run_at(api, "berlin"))
    quebec = await tag_of(api, await run_at(api, "quebec"))
    for tag, pue, zone in ((berlin, 1.3, "DEU"), (quebec, 1.1, "CA-QC")):
        assert tag["it_energy_kwh"]["value"] == pytest.approx(KWH)
        assert tag["facility_energy_kwh"]["value"] == pytest.approx(KWH * pue)
        g_per_kwh = grid_factor(zone).g_per_kwh
        assert tag["co2e_kg"]["value"] == pytest.approx(KWH * pue * g_per_kwh / 1000)
    assert berlin["cost"]["electricity"]["value"] == pytest.approx(KWH * 1.3 * 0.30)
    assert (berlin["cost"]["currency"], berlin["cost"]["cloud"]["unit"]) == ("EUR", "EUR")
    cloud = quebec["cost"]["cloud"]
    assert cloud["value"] is None
    assert "in EUR, and the site's currency is CAD" in cloud["reason"]


async def test_issued_price_tags_stay_when_their_factors_change(api: Api) -> None:
    await make_site(api, "lab", grid_zone="DE")
    run_id = await run_at(api, "lab")
    before = await tag_of(api, run_id)
    await enter(api, "lab", "pue", "2.0", valid_from="2020-01-01T00:00:00Z")
    await changed(api, "lab", grid_zone="FR")
    assert await tag_of(api, run_id) == before
    again = await api.admin.post(f"/v1/runs/{run_id}/price-tag/reprice", json={})
    assert again.status_code in (200, 201), again.text
    after = await tag_of(api, run_id)
    assert (before["version"], after["version"]) == (1, 2)
    assert after["facility_energy_kwh"]["value"] == pytest.approx(KWH * 2.0)
    assert after["provenance"]["factors"]["carbon_intensity"]["zone"] == "FRA"
    assert await tag_of(api, run_id, version=1) == before
    pue = before["provenance"]["factors"]["pue"]
    assert (pue["source"], Settings().pue) == ("assumed", None)


async def test_the_extremes_that_may_be_entered_can_all_be_billed(api: Api) -> None:
    """Nothing that is accepted may keep a price tag from being built."""
    since = {"valid_from": "2020-01-01T00:00:00Z"}
    for name, values in (
        ("least", {"pue": "1", "wue": "0", "water_intensity": "0", "carbon_location": "0"}),
        ("most", {"pue": "10", "wue": "100", "water_intensity": "1000", "carbon_location": "5000"}),
    ):
        await make_site(api, name)
        for kind, value in values.items():
            await enter(api, name, kind, value, **since)
        for kind in ("carbon_market", "tariff"):
            await enter(api, name, kind, "0" if name == "least" else "5000", **since)
        kg = "0" if name == "least" else "1000000"
        for subject in ("NVIDIA H200", "server"):
            await enter(api, name, "embodied", kg, subject=subject, **since)
        gain = "0.5" if name == "least" else "2"
        calibrated = {"subject": "GPU-1", "relative_std_ratio": 0.01, **since}
        await enter(api, name, "calibration", gain, **calibrated)
    await posted(api, "/v1/prices", price("free", "0"))
    await posted(api, "/v1/prices", price("own", "0", kind="internal"))
    least = await tag_of(api, await run_at(api, "least"))
    most = await tag_of(api, await run_at(api, "most"))
    gpu_kwh, cpu_kwh = 1600 / 3.6e6, 800 / 3.6e6
    assert least["it_energy_kwh"]["value"] == pytest.approx(gpu_kwh / 2 + cpu_kwh)
    assert most["it_energy_kwh"]["value"] == pytest.approx(gpu_kwh * 2 + cpu_kwh)
    assert (least["co2e_kg"]["value"], least["cost"]["total"]["value"]) == (0.0, 0.0)
    facility_kwh = most["facility_energy_kwh"]["value"]
    assert facility_kwh == pytest.approx(10 * (gpu_kwh * 2 + cpu_kwh))
    assert most["co2e_kg"]["value"] == pytest.approx(5 * facility_kwh)
    assert most["cost"]["electricity"]["value"] == pytest.approx(5000 * facility_kwh)


async def test_a_tariff_that_begins_after_the_run_leaves_its_cost_unknown(api: Api) -> None:
    await make_site(api, "lab", currency="EUR")
    await enter(api, "lab", "tariff", "0.3", valid_from="2026-03-01T13:00:00Z")
    tag = await tag_of(api, await run_at(api, "lab"))
    assert tag["cost"]["electricity"]["value"] is None
    assert tag["cost"]["electricity"]["reason"] == "no electricity tariff is configured"
