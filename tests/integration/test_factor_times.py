"""Times of factors and prices: planned ones, known ones, and invalid ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models import Baseline, EnergyHour, Node
from tests.integration.test_site_bills import run_at, tag_of
from tests.support.api import Api, fields, problem
from tests.support.entries import enter, factor, make_site, posted, price

NEXT_MONTH = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
SOON = NEXT_MONTH.isoformat()
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "value", "more"),
    [
        ("pue", "1.2", {}),
        ("wue", "0.4", {}),
        ("water_intensity", "3", {}),
        ("carbon_location", "300", {}),
        ("carbon_market", "12", {}),
        ("embodied", "150", {"subject": "H100"}),
        ("calibration", "0.98", {"subject": "GPU-1", "relative_std_ratio": 0.01}),
    ],
)
async def test_measured_factors_cannot_start_in_the_future(
    api: Api, kind: str, value: str, more: dict[str, Any]
) -> None:
    await make_site(api, "berlin")
    path = "/v1/sites/berlin/factors"
    refused = await api.admin.post(path, json=factor(kind, value, valid_from=SOON, **more))
    details = problem(refused, 422, "invalid-factor")
    assert fields(details) == ["valid_from"]
    assert "is in the future" in details["errors"][0]["message"]
    assert details["errors"][0]["hint"].startswith("a time at most a day ahead")
    assert (await api.viewer.get("/v1/factors")).json()["items"] == []


async def test_a_start_one_day_ahead_is_accepted_because_of_clocks_and_time_zones(api: Api) -> None:
    await make_site(api, "berlin")
    tomorrow = (datetime.now(UTC) + timedelta(hours=23)).isoformat()
    assert (await enter(api, "berlin", "pue", "1.2", valid_from=tomorrow))["planned"] is True
    assert (await enter(api, "berlin", "pue", "1.2"))["planned"] is False


async def test_tariffs_and_prices_can_be_planned_and_are_marked_so(api: Api) -> None:
    await make_site(api, "berlin", currency="EUR")
    await enter(api, "berlin", "tariff", "0.29")
    planned = await enter(api, "berlin", "tariff", "0.35", valid_from=SOON)
    assert planned["planned"] is True
    listed = (await api.viewer.get("/v1/factors")).json()["items"]
    assert [(item["value"], item["planned"]) for item in listed] == [
        ("0.35", True),
        ("0.29", False),
    ]
    shown = (await api.viewer.get("/v1/sites/berlin")).json()["factors"]
    assert [f["value"] for f in shown if f["kind"] == "tariff"] == [0.29]
    await posted(api, "/v1/prices", price("a", "2.10"))
    assert (await posted(api, "/v1/prices", price("a", "1.90", valid_from=SOON)))["planned"] is True
    book = (await api.viewer.get("/v1/prices")).json()["items"]
    assert [(item["amount"], item["planned"]) for item in book] == [("1.90", True), ("2.10", False)]
    log = (await api.admin.get("/v1/audit")).json()["items"]
    assert all("planned" not in (entry["after"] or {}) for entry in log)


async def test_a_site_is_not_shown_as_of_a_future_time(api: Api) -> None:
    await make_site(api, "berlin")
    refused = await api.viewer.get("/v1/sites/berlin", params={"as_of": SOON})
    assert fields(problem(refused, 422, "as-of-in-the-future")) == ["as_of"]


async def test_a_site_is_not_shown_as_of_a_time_before_it_was_created(api: Api) -> None:
    made = await make_site(api, "berlin", grid_zone="DE")
    before = {"as_of": "2026-01-01T00:00:00Z"}
    details = problem(
        await api.viewer.get("/v1/sites/berlin", params=before), 409, "site-made-later"
    )
    assert fields(details) == ["as_of"]
    assert "did not exist on 2026-01-01T00:00:00Z" in details["detail"]
    assert f"it was created on {made['created_at']}" in details["detail"]
    then = await api.viewer.get("/v1/sites/berlin", params={"as_of": made["created_at"]})
    assert then.json()["grid_zone"] == "DEU"
    problem(await api.viewer.get("/v1/sites/bonn", params=before), 404, "site-not-found")


@pytest.mark.parametrize("started_at", [LONG_AGO, datetime(2026, 2, 1, tzinfo=UTC)])
async def test_a_run_is_not_priced_as_of_a_time_before_its_site_was_created(
    api: Api, started_at: datetime
) -> None:
    made = await make_site(api, "berlin", grid_zone="DE")
    run_id = await run_at(api, "berlin", started_at=started_at)
    path = f"/v1/runs/{run_id}/price-tag/reprice"
    details = problem(
        await api.admin.post(path, json={"as_of": "2026-01-01T00:00:00Z"}), 409, "site-made-later"
    )
    assert f"it was created on {made['created_at']}" in details["detail"]
    assert (await tag_of(api, run_id))["version"] == 1
    response = await api.admin.post(path, json={"as_of": made["created_at"]})
    assert (response.status_code, response.json()["version"]) == (201, 2)


async def test_a_run_at_an_unknown_site_has_the_lab_s_factors_of_that_time(api: Api) -> None:
    run_id = await run_at(api, "nowhere", started_at=LONG_AGO)
    path = f"/v1/runs/{run_id}/price-tag/reprice"
    response = await api.admin.post(path, json={"as_of": "2026-01-01T00:00:00Z"})
    assert (response.status_code, response.json()["version"]) == (201, 2)


CARD = {"relative_std_ratio": 0.01}


async def test_calibrating_an_unknown_device_gives_a_warning(api: Api) -> None:
    async with api.database.session_scope() as session:
        devices = [{"uuid": "GPU-6f0c1e2d", "name": "NVIDIA H200"}]
        session.add(Node(name="n", pool="gpus", devices=devices, capabilities={}))
    made = await enter(api, None, "calibration", "0.98", subject="GPU-6f0c1e2b", **CARD)
    (warning,) = made["warnings"]
    assert "'GPU-6f0c1e2b' has never been seen" in warning
    assert "GPU-6f0c1e2d" in warning
    of_known_device = await enter(
        api, None, "calibration", "0.98", subject="gpu:GPU-6F0C1E2D", **CARD
    )
    assert of_known_device["warnings"] == []
    assert (await enter(api, None, "pue", "1.2"))["warnings"] == []


async def test_calibrating_a_device_that_was_once_metered_gives_no_warning(api: Api) -> None:
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    seen = {"node_name": "gone", "component": "gpu:GPU-old"}
    about = {"name": "NVIDIA H200", "kind": "gpu", "method": "counter", "gain_std_ratio": 0.01}
    async with api.database.session_scope() as session:
        session.add(EnergyHour(**seen, **about, hour=hour, energy_j=1.0, covered_s=1.0))
        idle = {"state": "idle", "power_w": 60.0, "duration_s": 30.0, "source": "counter"}
        session.add(Baseline(node_name="gone", component="gpu:GPU-idle", **idle))
    for subject, warnings in (("GPU-old", 0), ("GPU-idle", 0), ("GPU-never", 1)):
        made = await enter(api, None, "calibration", "0.98", subject=subject, **CARD)
        assert len(made["warnings"]) == warnings, made["warnings"]


async def test_values_in_another_unit_give_a_warning(api: Api) -> None:
    await make_site(api, "berlin", currency="EUR")
    for kind, value, unit in (
        ("carbon_location", "0.38", "grams per kWh"),
        ("tariff", "29", "EUR per kWh"),
    ):
        (warning,) = (await enter(api, "berlin", kind, value))["warnings"]
        assert warning.startswith(f"value: {value} ")
        assert unit in warning
    assert (await enter(api, "berlin", "tariff", "0.29"))["warnings"] == []


@pytest.mark.parametrize("error", ["NaN", "Infinity"])
async def test_an_error_that_is_not_a_number_is_rejected(api: Api, error: str) -> None:
    body = factor("pue", "1.2", relative_std_ratio=error)
    refused = problem(await api.admin.post("/v1/factors", json=body), 422, "invalid-request")
    assert fields(refused) == ["relative_std_ratio"]
    assert refused["errors"][0]["message"] == "must be a number"


async def test_an_unknown_currency_is_rejected(api: Api) -> None:
    await make_site(api, "berlin")
    for response in (
        await api.admin.post("/v1/sites", json={"name": "paris", "currency": "XQZ"}),
        await api.admin.patch("/v1/sites/berlin", json={"currency": "XTS"}),
        await api.admin.post("/v1/prices", json=price("a", "2", currency="XQZ")),
    ):
        details = problem(response, 422, "invalid-request")
        assert fields(details) == ["currency"]
        assert "is not the ISO 4217 code of a currency in use" in details["errors"][0]["message"]
        assert details["errors"][0]["hint"] == "e.g. EUR or USD"
