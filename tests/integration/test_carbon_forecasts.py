"""Forecasts are fetched and kept; a run that waits for the greenest start says what it saved."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from app.db import Database, Session
from app.schemas.carbon import CarbonImport
from app.schemas.common import Quantity
from app.schemas.tokens import TokenCreate
from app.services.carbon import green_start
from app.services.factors import carbon_series
from app.services.people import tokens
from app.services.principals import Principal
from app.settings import Settings
from models import Attempt, CarbonForecast, GreenStart
from tests.support import fake_api
from tests.support.api import Api, fields, problem
from tests.support.api import serving as api_serving
from tests.support.entries import changed, hours_csv, make_site, posted, series
from tests.support.executions import make_run

HOUR = timedelta(hours=1)
EM = "GET /carbon-intensity/forecast"
ISSUED = "2026-03-01T00:00:00Z"


def this_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def coming(*values: float) -> Iterator[tuple[datetime, float]]:
    return ((this_hour() + n * HOUR, value) for n, value in enumerate(values))


def forecast(*values: float) -> fake_api.Answer:
    points = [
        {"datetime": f"{hour:%Y-%m-%dT%H:%M:%S.000Z}", "carbonIntensity": value}
        for hour, value in coming(*values)
    ]
    return fake_api.Answer({"zone": "FR", "forecast": points, "updatedAt": ISSUED})


@pytest_asyncio.fixture
async def grid() -> AsyncIterator[fake_api.FakeApi]:
    with fake_api.serving() as fake:
        yield fake


@pytest_asyncio.fixture
async def lab(db: Database, tmp_path: Path, grid: fake_api.FakeApi) -> AsyncIterator[Api]:
    settings = Settings(
        database_url=db.url,
        data_dir=tmp_path,
        grid_zone="FR",
        electricity_maps_token=SecretStr("em-token"),
        electricity_maps_url=grid.url,
        uk_carbon_intensity_url=grid.url,
        watttime_user="lab",
        watttime_password=SecretStr("secret"),
        watttime_url=grid.url,
    )
    async with api_serving(db, settings) as opened:
        yield opened


async def fetched(lab: Api, **more: Any) -> dict[str, Any]:
    return await posted(lab, "/v1/carbon/forecasts/fetch", {"zone": "FR", **more})


async def at_site(lab: Api, zone: str | None) -> None:
    await make_site(lab, "default", grid_zone=zone)


async def test_a_run_starts_in_the_greenest_hours_of_the_forecast(
    lab: Api, grid: fake_api.FakeApi
) -> None:
    await at_site(lab, "FR")
    grid.answers[EM] = forecast(300, 300, 300, 120, 100, 400, 400)
    stored = await fetched(lab)
    assert (stored["signal"], stored["issued_at"], len(stored["hours"])) == ("average", ISSUED, 7)
    assert (await fetched(lab))["id"] == stored["id"]
    begun = datetime.now(UTC)
    accepted = await lab.member.post("/v1/runs", json=lab_run("greenest within 4 h"))
    assert accepted.status_code == 202, accepted.text
    run = (await lab.viewer.get(accepted.json()["url"])).json()
    green = run["green_start"]
    latest = datetime.fromisoformat(green["earliest"]) + 4 * HOUR
    assert run["not_before"] == green["start"]
    assert begun < datetime.fromisoformat(green["start"]) <= latest
    assert (green["forecast_id"], green["duration_source"]) == (stored["id"], "assumed")
    (site,) = (await lab.viewer.get("/v1/overview")).json()["sites"]
    every = [300, 300, 300, 120, 100, 400, 400]
    shown_hours = [value for value in site["forecast_hours"] if value is not None]
    assert shown_hours in (every, every[1:])  # the next hour may have begun
    assert (site["forecast_provider"], site["forecast_reason"]) == ("electricitymaps", None)
    page = await lab.viewer.get("/", headers={"Accept": "text/html"})
    assert "100 to 400 g/kWh, lowest at " in page.text
    carbon = await lab.viewer.get("/carbon?duration_h=1", headers={"Accept": "text/html"})
    assert "the greenest within 24 h for a run of 1:00:00: forecast" in carbon.text
    assert green["at_once"]["value"] == 300
    assert green["planned"]["value"] == 100
    assert green["saving_ratio"]["value"] == pytest.approx(2 / 3)
    assert (green["marginal_saving_ratio"]["value"], green["saved_kg"]["value"]) == (None, None)
    assert green["saved_kg"]["reason"] == "the run has not ended"
    shown = (await lab.viewer.get("/v1/carbon/forecasts?within_h=4&duration_h=1")).json()
    assert shown["average"]["id"] == stored["id"]
    assert shown["greenest"]["planned"]["value"] == 100
    quote = await lab.member.post("/v1/quotes", json={"run": lab_run("greenest within 4 h")})
    assert quote.json()["green_start"]["planned"]["value"] == 100


def lab_run(not_before: str) -> dict[str, Any]:
    command = {"stages": [{"kind": "command", "argv": ["true"]}]}
    return {
        "project": "text",
        "experiment": "green",
        "name": "waits",
        "not_before": not_before,
        "recipe": command,
    }


async def test_a_marginal_forecast_is_stated_beside_and_never_chosen_by(
    lab: Api, grid: fake_api.FakeApi
) -> None:
    await at_site(lab, "FR")
    grid.answers[EM] = forecast(300, 300, 100, 300, 300)
    await fetched(lab)
    grid.answers["GET /login"] = fake_api.Answer({"token": "t"})
    grid.answers["GET /v3/forecast"] = fake_api.Answer(
        {
            "data": [
                {"point_time": (hour + timedelta(minutes=m)).isoformat(), "value": value + m}
                for hour, value in coming(1000, 1000, 2000, 500, 500)
                for m in range(0, 60, 5)
            ],
            "meta": {"units": "lbs_co2_per_mwh", "generated_at": ISSUED},
        }
    )
    marginal = await fetched(lab, provider="watttime", provider_zone="FR")
    assert marginal["signal"] == "marginal"
    assert marginal["hours"][0]["g_per_kwh"] == pytest.approx(1027.5 * 0.45359237)
    (asked,) = [each for each in grid.asked if each.path == "/v3/forecast"]
    assert asked.headers["authorization"] == "Bearer t"
    shown = (await lab.viewer.get("/v1/carbon/forecasts?within_h=3&duration_h=0.5")).json()
    plan = shown["greenest"]
    assert plan["planned"]["value"] == 100
    assert plan["marginal_planned"]["value"] > plan["marginal_at_once"]["value"]
    assert plan["marginal_saving_ratio"]["value"] < 0


async def test_hours_without_emissions_are_a_forecast(lab: Api, grid: fake_api.FakeApi) -> None:
    await at_site(lab, "FR")
    grid.answers[EM] = forecast(0, 0, 0)
    await fetched(lab)
    (site,) = (await lab.viewer.get("/v1/overview")).json()["sites"]
    assert (site["forecast_provider"], site["forecast_reason"]) == ("electricitymaps", None)
    page = await lab.viewer.get("/", headers={"Accept": "text/html"})
    assert "0 to 0 g/kWh, lowest at " in page.text


async def test_half_hours_of_great_britain_become_hours(lab: Api, grid: fake_api.FakeApi) -> None:
    halves = [
        {
            "from": f"{hour + timedelta(minutes=m):%Y-%m-%dT%H:%MZ}",
            "intensity": {"forecast": value + m, "index": "low"},
        }
        for hour, value in coming(100, 200)
        for m in (0, 30)
    ]
    for hour, _ in coming(0, 0):  # the next one may have begun
        path = f"/intensity/{hour:%Y-%m-%dT%H:%MZ}/fw48h"
        grid.answers[f"GET {path}"] = fake_api.Answer({"data": halves[:3]})
    stored = await fetched(lab, zone="GB", provider="uk-carbon-intensity")
    assert [hour["g_per_kwh"] for hour in stored["hours"]] == [115]
    refused = await lab.admin.post(
        "/v1/carbon/forecasts/fetch", json={"zone": "FR", "provider": "uk-carbon-intensity"}
    )
    assert "GB alone" in problem(refused, 502, "provider-failed")["detail"]


@pytest.mark.parametrize(
    "answer",
    [
        fake_api.Answer({"error": "denied"}, 403),
        fake_api.Answer("<html>", kind="text/html"),
        fake_api.Answer([1]),
        fake_api.Answer({"forecast": {}}),
        fake_api.Answer({"forecast": []}),
        fake_api.Answer({"forecast": [3]}),
        fake_api.Answer({"forecast": [{"datetime": "soon", "carbonIntensity": 3}]}),
        fake_api.Answer({"forecast": [{"datetime": ISSUED, "carbonIntensity": -1}]}),
        fake_api.Answer({"forecast": [{"datetime": ISSUED, "carbonIntensity": True}]}),
        fake_api.Answer({"forecast": [{"datetime": ISSUED}]}),
    ],
)
async def test_a_provider_that_fails_leaves_no_forecast(
    lab: Api, grid: fake_api.FakeApi, answer: fake_api.Answer
) -> None:
    await at_site(lab, "FR")
    grid.answers[EM] = answer
    refused = await lab.admin.post("/v1/carbon/forecasts/fetch", json={"zone": "FR"})
    problem(refused, 502, "provider-failed")
    assert (await lab.viewer.get("/v1/carbon/forecasts")).json()["average"] is None


async def test_a_run_that_cannot_wait_for_a_forecast_is_rejected_and_leaves_nothing(
    lab: Api, grid: fake_api.FakeApi
) -> None:
    async def refusal(rule: str, code: str) -> str:
        refused = await lab.member.post("/v1/runs", json=lab_run(rule))
        details = problem(refused, 422, code)
        assert fields(details) == ["not_before"]
        error = details["errors"][0]
        quote = await lab.member.post("/v1/quotes", json={"run": lab_run(rule)})
        assert fields(problem(quote, 422, code)) == ["run.not_before"]
        return f"{error['message']}; {error['hint']}"

    await at_site(lab, None)
    assert "PRICETAG_SITE=NAME" in await refusal("greenest within 4 h", "no-forecast")
    await changed(lab, "default", grid_zone="FR")
    text = await refusal("greenest within 4 h", "no-forecast")
    assert "pricetag carbon fetch-forecast --zone FRA" in text
    grid.answers[EM] = forecast(200)
    await fetched(lab)
    assert "too early for a run of 1 h" in await refusal("greenest within 4 h", "no-forecast")
    assert "1 to 168" in await refusal("greenest within 400 h", "invalid-recipe")
    assert (await lab.viewer.get("/v1/runs")).json()["items"] == []


async def test_providers_are_off_until_they_are_configured(api: Api) -> None:
    for name, setting in (
        ("electricitymaps", "PRICETAG_ELECTRICITY_MAPS_TOKEN"),
        ("uk-carbon-intensity", "PRICETAG_UK_CARBON_INTENSITY_URL"),
        ("watttime", "PRICETAG_WATTTIME_PASSWORD"),
    ):
        body = {"zone": "GB", "provider": name}
        refused = await api.admin.post("/v1/carbon/forecasts/fetch", json=body)
        assert setting in problem(refused, 409, "provider-off")["detail"]
    refused = await api.admin.post(
        "/v1/carbon/forecasts/fetch", json={"zone": "GB", "provider": "oracle"}
    )
    assert "watttime" in problem(refused, 422, "unknown-provider")["detail"]


async def test_savings_are_those_of_the_recorded_hours(session: Session) -> None:
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    values = [400.0, 300.0, 200.0, 100.0, 100.0]
    content = hours_csv(*((f"{begin + n * HOUR:%Y-%m-%dT%H:%MZ}", g) for n, g in enumerate(values)))
    token = await tokens.create(session, TokenCreate(name="an admin", role="admin"))
    admin = Principal(token.user_id, token.id, "an admin", "admin")
    request = CarbonImport.model_validate(series("FR", content))
    await carbon_series.import_file(session, request, admin)
    stored = CarbonForecast(
        zone="FRA",
        signal="average",
        provider="electricitymaps",
        basis="forecast",
        source="a provider",
        licence="its own",
        g_per_kwh={},
    )
    session.add(stored)
    run = await make_run(session)
    await session.flush()
    session.add(
        GreenStart(
            run_id=run.id,
            forecast_id=stored.id,
            within_h=12,
            duration_s=5400,
            duration_source="quote",
            earliest=begin,
            start=begin + 3 * HOUR,
            at_once_g_per_kwh=380,
            planned_g_per_kwh=90,
        )
    )
    await session.flush()

    def attempt(start_h: float, stop_h: float | None) -> Attempt:
        ended_at = None if stop_h is None else begin + stop_h * HOUR
        return Attempt(run_id=run.id, started_at=begin + start_h * HOUR, ended_at=ended_at)

    def energy(value: float | None) -> Quantity:
        known = {"low": 1.5, "high": 3.0} if value else {"low": None, "high": None}
        return Quantity(value=value, unit="kWh", source="counter" if value else None, **known)

    async def read(*attempts: Attempt, kwh: float | None = 2.0) -> Any:
        return await green_start.read(session, run.id, attempts, energy(kwh))

    green = await read(attempt(3, 4.5))
    # At once: an hour at 400 and half an hour at 300; then at 100.
    at_once = (400 + 0.5 * 300) / 1.5
    assert green.saved_kg.value == pytest.approx(2 * (at_once - 100) / 1000)
    assert green.saved_kg.low < green.saved_kg.value < green.saved_kg.high
    assert green.saved_ratio.value == pytest.approx(1 - 100 / at_once)
    assert green.saved_ratio.low < green.saved_ratio.value < green.saved_ratio.high
    # Attempts keep their pause: 400 and 200 against 200 and 100.
    paused = await read(attempt(2, 3), attempt(4, 5))
    assert paused.saved_ratio.value == pytest.approx(1 - 150 / 300)
    assert (await read(attempt(3, None))).saved_kg.reason == "the run has not ended"
    assert "FRA" in (await read(attempt(4, 6))).saved_kg.reason
    unmetered = await read(attempt(3, 4.5), kwh=None)
    assert unmetered.saved_kg.reason == "the energy of the run is unknown"
    assert unmetered.saved_ratio.value == pytest.approx(green.saved_ratio.value)
    assert await green_start.read(session, uuid.uuid4(), [], None) is None
