"""Hourly carbon intensities are imported and fetched completely or not at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import pytest_asyncio
from pydantic import SecretStr

from app.db import Database
from app.settings import Settings
from tests.support import fake_api
from tests.support.api import Api, fields, problem
from tests.support.api import serving as api_serving
from tests.support.entries import hours_csv, posted, series

PATH = "GET /carbon-intensity/past-range"
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


async def listed(api: Api, **params: Any) -> list[dict[str, Any]]:
    document = (await api.viewer.get("/v1/carbon", params=params)).json()
    return list(document["items"])


async def test_a_file_is_imported_as_a_whole_and_its_gaps_are_reported(api: Api) -> None:
    content = hours_csv(
        ("2026-03-01T00:00Z", 300), ("2026-03-01T02:00+01:00", 310), ("2026-03-01T05:00Z", 305.5)
    )
    made = await posted(api, "/v1/carbon/import", series("de", content))
    assert (made["zone"], made["hours"], made["first"]) == ("DEU", 3, "2026-03-01T00:00:00Z")
    assert made["last"] == "2026-03-01T05:00:00Z"
    assert made["gaps"] == [{"first": "2026-03-01T02:00:00Z", "hours": 3}]
    (item,) = await listed(api, zone="DEU")
    assert item == {key: value for key, value in made.items() if key != "gaps"}
    assert await listed(api, zone="FR") == []
    (entry,) = (await api.admin.get("/v1/audit", params={"object_kind": "carbon_series"})).json()[
        "items"
    ]
    assert (entry["action"], entry["object_id"]) == ("imported", made["id"])


async def test_a_file_with_an_invalid_line_is_not_imported(api: Api) -> None:
    rows = [(f"2026-03-01T{hour:02}:00Z", 300.0) for hour in range(24)]
    content = hours_csv(*rows) + "2026-03-02T00:00,300\n2026-03-02T01:00Z,much\n"
    refused = await api.admin.post("/v1/carbon/import", json=series("DE", content))
    details = problem(refused, 422, "malformed-file")
    assert fields(details) == ["line 26, hour", "line 27, g_per_kwh"]
    assert "+01:00" in details["errors"][0]["hint"]
    assert await listed(api) == []


async def test_the_same_hours_are_not_imported_twice(api: Api) -> None:
    one = hours_csv(("2026-03-01T00:00Z", 300), ("2026-03-01T01:00Z", 310))
    other = hours_csv(("2026-03-01T02:00+01:00", 310.0), ("2026-03-01T01:00+01:00", 3e2))
    await posted(api, "/v1/carbon/import", series("DE", one))
    again = await api.admin.post("/v1/carbon/import", json=series("DE", other))
    problem(again, 409, "series-exists")
    await posted(api, "/v1/carbon/import", series("FR", one))


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"zone": "Atlantis"}, "unknown-zone", "zone"),
        ({"zone": "DE-BY"}, "unknown-zone", "zone"),
        ({"basis": "market-based"}, "invalid-series", "basis"),
        ({"basis": "Marginal, lifecycle"}, "invalid-series", "basis"),
        ({"relative_std_ratio": -1}, "invalid-request", "relative_std_ratio"),
        ({"licence": ""}, "invalid-request", "licence"),
        ({"licence": " "}, "invalid-request", "licence"),
        ({"source": " "}, "invalid-request", "source"),
        ({"basis": " "}, "invalid-request", "basis"),
        ({"content": ""}, "malformed-file", "line 1"),
    ],
)
async def test_an_invalid_series_is_rejected(
    api: Api, changes: dict[str, Any], code: str, field: str
) -> None:
    body = series("DE", hours_csv(("2026-03-01T00:00Z", 300)))
    refused = await api.admin.post("/v1/carbon/import", json={**body, **changes})
    assert fields(problem(refused, 422, code)) == [field]
    assert await listed(api) == []


async def test_a_year_of_hours_is_one_import(api: Api) -> None:
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    rows = [(f"{begin + timedelta(hours=n):%Y-%m-%dT%H:%MZ}", 250.0 + n % 24) for n in range(8760)]
    made = await posted(api, "/v1/carbon/import", series("DE", hours_csv(*rows)))
    assert (made["hours"], made["gaps"]) == (8760, [])


@dataclass
class Grid:
    """A stand-in for Electricity Maps: what it knows, and how it was asked."""

    fake: fake_api.FakeApi
    hours: dict[datetime, Any] = field(default_factory=dict)
    spans: list[timedelta] = field(default_factory=list)
    estimated: bool = False

    def answer(self, asked: fake_api.Asked) -> fake_api.Answer:
        query = {key: values[0] for key, values in parse_qs(asked.query).items()}
        if asked.headers.get("auth-token") != "em-token":
            return fake_api.Answer({"error": "no"}, 401)
        start, end = (datetime.fromisoformat(query[name]) for name in ("start", "end"))
        self.spans.append(end - start)
        data = [
            {
                "zone": query["zone"],
                "carbonIntensity": value,
                "datetime": hour.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "isEstimated": self.estimated,
                "emissionFactorType": "lifecycle",
            }
            # As the real one does: the hour at the end is among them.
            for hour, value in self.hours.items()
            if start <= hour <= end
        ]
        return fake_api.Answer({"zone": query["zone"], "data": data})


@pytest_asyncio.fixture
async def grid() -> AsyncIterator[Grid]:
    with fake_api.serving() as fake:
        served_grid = Grid(fake)
        fake.answers[PATH] = served_grid.answer
        yield served_grid


@pytest_asyncio.fixture
async def fetching(db: Database, tmp_path: Path, grid: Grid) -> AsyncIterator[Api]:
    settings = Settings(
        database_url=db.url,
        data_dir=tmp_path,
        electricity_maps_token=SecretStr("em-token"),
        electricity_maps_url=grid.fake.url,
    )
    async with api_serving(db, settings) as opened:
        yield opened


def span(hours: float, zone: str = "DE", **more: Any) -> dict[str, Any]:
    end = BEGIN + timedelta(hours=hours)
    return {"zone": zone, "start": BEGIN.isoformat(), "end": end.isoformat(), **more}


async def test_a_provider_is_disabled_without_its_token(api: Api) -> None:
    details = problem(await api.admin.post("/v1/carbon/fetch", json=span(2)), 409, "provider-off")
    assert "PRICETAG_ELECTRICITY_MAPS_TOKEN" in details["detail"]


async def test_hours_are_fetched_with_their_license(fetching: Api, grid: Grid) -> None:
    grid.hours = {BEGIN + timedelta(hours=n): 200 + n for n in range(400)}
    made = await posted(fetching, "/v1/carbon/fetch", span(300))
    assert (made["zone"], made["hours"], made["gaps"]) == ("DEU", 300, [])
    assert made["last"] == "2026-03-13T11:00:00Z"
    assert grid.spans == [timedelta(days=10), timedelta(hours=60)]
    assert "DE" in made["source"]
    assert "account" in made["licence"]
    assert (made["relative_std_ratio"], "0 of 300 hours estimated" in made["basis"]) == (0.1, True)
    (entry,) = (await fetching.admin.get("/v1/audit", params={"action": "fetched"})).json()["items"]
    assert "em-token" not in json.dumps(entry)


async def test_the_provider_s_own_zone_and_its_estimates(fetching: Api, grid: Grid) -> None:
    grid.hours, grid.estimated = {BEGIN: 180.5, BEGIN + timedelta(hours=3): 181}, True
    body = span(5, "us-ca", provider_zone="US-CAL-CISO")
    made = await posted(fetching, "/v1/carbon/fetch", body)
    assert (made["zone"], made["hours"]) == ("US-CA", 2)
    assert "US-CAL-CISO" in made["basis"]
    assert made["relative_std_ratio"] == 0.18
    assert made["gaps"] == [{"first": "2026-03-01T01:00:00Z", "hours": 2}]


@pytest.mark.parametrize(
    "response",
    [
        fake_api.Answer({"error": "denied"}, 403),
        fake_api.Answer("<html>", kind="text/html"),
        fake_api.Answer({"history": []}),
        fake_api.Answer({"data": {"a": 1}}),
        fake_api.Answer({"data": [3]}),
        fake_api.Answer({"data": []}),
        fake_api.Answer({"data": [{"carbonIntensity": 3}]}),
        fake_api.Answer({"data": [{"datetime": "2026-03-01T00:00:00", "carbonIntensity": 3}]}),
        fake_api.Answer({"data": [{"datetime": "2026-03-01T00:15:00Z", "carbonIntensity": 3}]}),
        fake_api.Answer({"data": [{"datetime": "2026-03-01T00:00:00Z", "carbonIntensity": None}]}),
        fake_api.Answer({"data": [{"datetime": "2026-03-01T00:00:00Z", "carbonIntensity": -3}]}),
    ],
)
async def test_a_provider_that_fails_leaves_nothing(
    fetching: Api, grid: Grid, response: fake_api.Answer
) -> None:
    grid.fake.answers[PATH] = response
    problem(await fetching.admin.post("/v1/carbon/fetch", json=span(2)), 502, "provider-failed")
    assert await listed(fetching) == []


async def test_an_unreachable_provider_is_reported(db: Database, tmp_path: Path) -> None:
    settings = Settings(
        database_url=db.url,
        data_dir=tmp_path,
        electricity_maps_token=SecretStr("em-token"),
        electricity_maps_url="http://127.0.0.1:9",
    )
    async with api_serving(db, settings) as api:
        refused = await api.admin.post("/v1/carbon/fetch", json=span(2))
        problem(refused, 502, "provider-failed")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (span(2, provider="oracle"), "unknown-provider", "provider"),
        (span(2, "US-ZZ"), "unknown-zone", "zone"),
        (span(-2), "invalid-series", "end"),
        (span(0), "invalid-series", "end"),
        (span(24 * 367, start="2025-01-01T00:00:00Z"), "invalid-series", "end"),
        (span(2, start="2199-01-01T00:00:00Z"), "invalid-series", "end"),
        (span(2, end="tomorrow"), "invalid-request", "end"),
    ],
)
async def test_an_invalid_fetch_is_rejected(
    fetching: Api, grid: Grid, body: dict[str, Any], code: str, field: str
) -> None:
    refused = await fetching.admin.post("/v1/carbon/fetch", json=body)
    assert fields(problem(refused, 422, code)) == [field]
    assert grid.spans == []
