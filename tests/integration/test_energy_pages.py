"""Pages of energy, emissions, projects, users and carbon: what they show, and to whom."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from app.services.energy.node_hours import book_node_hours
from app.services.energy.rollups import fold_pending
from models import Attempt, Project, Run
from tests.support.api import Api, a_principal, finished_run
from tests.support.energy_hours import GPU, HOUR, NOON, charge, ended_attempt, node_hour
from tests.support.entries import enter, hours_csv, make_site, posted, series
from tests.support.site import NAMES
from tests.support.site_live import NODE, register

KWH = 3.6e6
BROWSER = {"Accept": "text/html"}
DAY = {"from": "2026-03-01", "to": "2026-03-01"}


async def page(client: httpx.AsyncClient, path: str, **params: Any) -> httpx.Response:
    return await client.get(path, params=params, headers=BROWSER)


def sha256_in(text: str) -> str:
    """The hash of a page's first chart."""
    match = re.search(r"/v1/charts/([0-9a-f]{64})", text)
    assert match is not None
    return match[1]


async def metered(api: Api, *names: str) -> None:
    async with api.database.session_scope() as session:
        for name in names or ("node",):
            for hour, energy in ((NOON, 2.0), (NOON + HOUR, 4.0)):
                row = node_hour(GPU, hour, energy * KWH, 3600.0)
                await book_node_hours(session, name, [row])


async def test_the_account_of_two_days_is_that_of_their_names(api: Api) -> None:
    await metered(api)
    shown = await page(api.viewer, "/energy", **DAY, by="node", grain="hour")
    assert shown.status_code == 200
    assert '<data value="6.0">6.00 <span class="unit">kWh</span>' in shown.text
    assert "The hour with the most energy is 03-01 13:00, 4.00 kWh" in shown.text
    assert 'value="2026-03-01"' in shown.text
    assert "the previous period is unknown" in shown.text
    hours = await api.viewer.get(f"/v1/charts/{sha256_in(shown.text)}.csv")
    assert hours.text.splitlines()[0].startswith("Start (UTC),Part,IT energy [kWh]")
    assert len(hours.text.splitlines()) == 3


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"from": "2026-03-02", "to": "2026-03-01"}, "is after the last"),
        ({"from": "2026-01-01", "to": "2026-03-01", "grain": "hour"}, "choose a longer grain"),
        ({"node": "nowhere"}, "not found"),
    ],
)
async def test_an_impossible_period_says_why_and_leads_on(
    api: Api, query: dict[str, str], words: str
) -> None:
    shown = await page(api.viewer, "/energy", **query)
    assert shown.status_code == 422
    assert words in shown.text
    assert "The last 7 days" in shown.text


def errors_at_fields(text: str) -> set[str]:
    """Names of the fields that a page marks as wrong, each with its message and linked."""
    fields = set(re.findall(r'name="(\w+)"[^>]* aria-invalid="true"', text))
    for name in fields:
        assert f'id="problem-{name}"' in text, name
        assert f'href="#field-{name}"' in text, name
    return fields


@pytest.mark.parametrize(
    ("path", "query", "wrong", "kept"),
    [
        (
            "/energy",
            {"from": "2026-13-45", "to": "<b>", "by": "color", "grain": "day", "node": "nowhere"},
            {"from", "to", "by", "node"},
            ['value="2026-13-45"', 'value="&lt;b&gt;"', "<option selected>color", "nowhere"],
        ),
        (
            "/energy",
            {"from": "2020-01-01", "to": "2026-03-01", "grain": "hour", "node": "nowhere"},
            {"grain", "node"},
            ['value="2020-01-01"', '"hour" selected', 'value="nowhere"'],
        ),
        (
            "/energy",
            {"from": "1999-01-01", "to": "1998-01-01"},
            {"from", "to"},
            ['value="1999-01-01"', 'value="1998-01-01"'],
        ),
        (
            "/energy/emissions",
            {"period": "fortnight", "from": "soon"},
            {"period", "from"},
            ["<option selected>fortnight", 'value="soon"'],
        ),
        (
            "/carbon",
            {"site": "nowhere", "duration_h": "100", "start_hour": "25", "to": "x", "period": "7d"},
            {"site", "duration_h", "start_hour", "to"},
            ["<option selected>nowhere", "<option selected>100", 'value="x"', '"7d" selected'],
        ),
        (
            "/users/a member",
            {"from": "2026-02-30", "to": "1999-01-01"},
            {"from", "to"},
            ['value="2026-02-30"', 'value="1999-01-01"'],
        ),
    ],
)
async def test_wrong_values_stay_in_the_form_and_all_errors_are_beside_their_fields(
    api: Api, path: str, query: dict[str, str], wrong: set[str], kept: list[str]
) -> None:
    shown = await page(api.viewer, path, **query)
    assert shown.status_code == 422
    assert errors_at_fields(shown.text) == wrong
    assert 'role="alert"' in shown.text
    for text in kept:
        assert text in shown.text, text


@pytest.mark.parametrize("path", ["/energy", "/energy/emissions", "/carbon", "/nodes"])
async def test_an_unknown_parameter_of_a_page_is_rejected(api: Api, path: str) -> None:
    shown = await page(api.viewer, path, colour="red")
    assert (shown.status_code, "colour" in shown.text) == (422, True)


@pytest.mark.parametrize("path", ["/nodes", f"/nodes/{NODE}"])
async def test_a_wrong_period_of_the_nodes_keeps_the_page(api: Api, path: str) -> None:
    async with api.database.session_scope() as session:
        await register(session)
    shown = await page(api.viewer, path, period="fortnight")
    assert shown.status_code == 422
    assert "Period: must be one of" in shown.text
    assert 'href="#field-period"' in shown.text
    assert 'id="field-period"' in shown.text
    assert NODE in shown.text


async def test_the_ghg_inventory_has_a_line_for_each_site_and_month(api: Api) -> None:
    await metered(api)
    await make_site(api, "default")  # that of nodes without one
    await enter(api, "default", "pue", 1.5)
    await enter(api, "default", "carbon_location", 200)
    shown = await page(api.viewer, "/energy/emissions", **DAY)
    assert "1.80" in shown.text
    assert "no market-based intensity" in shown.text
    download = await page(api.viewer, "/energy/emissions.csv", **DAY)
    assert download.headers["content-type"].startswith("text/csv")
    assert 'filename="scope-2-2026-03-01-2026-03-01.csv"' in download.headers["content-disposition"]
    [line] = csv.DictReader(io.StringIO(download.text))
    assert (line["month"], line["scope"], line["site"]) == ("2026-03", "2", "")
    assert float(line["it_energy_kwh"]) == pytest.approx(6.0)
    assert float(line["facility_energy_kwh"]) == pytest.approx(9.0)
    assert float(line["co2e_location_kg"]) == pytest.approx(1.8)
    assert float(line["co2e_location_kg_low"]) < 1.8 < float(line["co2e_location_kg_high"])
    assert (line["co2e_market_kg"], line["carbon_market_g_per_kwh"]) == ("", "")
    assert "no market-based" in line["co2e_market_kg_reason"]


async def test_a_project_shows_its_use_its_budgets_and_its_runs_to_those_who_may_see_it(
    api: Api,
) -> None:
    for name in NAMES:
        async with api.database.session_scope() as session:
            run_id = await finished_run(session)
            run = await session.get_one(Run, run_id)
            run.name = name.strip()
            renamed = update(Project).where(Project.id == run.project_id)
            await session.execute(renamed.values(name=name.strip()))
        path = str(
            httpx.URL("http://x/projects/").join(httpx.URL(path=f"/projects/{name.strip()}"))
        )
        shown = await page(api.viewer, path.removeprefix("http://x"))
        assert shown.status_code == 200, name
        assert "<img src=x" not in shown.text
        assert "sum of price tags" in shown.text
        assert "Newest runs" in shown.text
    async with api.database.session_scope() as session:
        hidden = update(Project).where(Project.name == "bert-base, baseline")
        await session.execute(hidden.values(visibility="private"))
    assert (await page(api.viewer, "/projects/bert-base, baseline")).status_code == 404
    assert (await page(api.admin, "/projects/bert-base, baseline")).status_code == 200


async def test_a_user_is_found_by_name_and_an_unknown_one_is_not(api: Api) -> None:
    await api.post_run(name="of a member")
    shown = await page(api.viewer, "/users/a member")
    assert "of a member" in shown.text
    assert "No open budget limits this user alone." in shown.text
    assert (await page(api.viewer, "/users/nobody")).status_code == 404


async def test_a_sites_hours_have_sources_gaps_and_savings(api: Api) -> None:
    await make_site(api, "hall", grid_zone="DE")
    rows = [
        ((NOON + n * HOUR).isoformat(), 100.0 if (NOON + n * HOUR).hour < 12 else 300.0)
        for n in range(72)
        if n != 5
    ]
    await posted(api, "/v1/carbon/import", series("DE", hours_csv(*rows)))
    query = {"site": "hall", "from": "2026-03-01", "to": "2026-03-04"}
    shown = await page(api.viewer, "/carbon", **query, duration_h=1, start_hour=13)
    assert shown.status_code == 200
    assert "71 of 96 hours are recorded: from 100 g/kWh" in shown.text
    assert "would have caused 66.7% less emissions" in shown.text
    assert "no marginal intensities are stored" in shown.text
    assert "no forecast of zone DEU is stored" in shown.text
    assert "report of hall 2" in shown.text
    unknown = await page(api.viewer, "/carbon", site="nowhere")
    assert (unknown.status_code, "not found" in unknown.text) == (422, True)


async def test_a_chart_by_user_is_hidden_from_those_who_see_less(api: Api) -> None:
    await metered(api)
    async with api.database.session_scope() as session:
        run = await session.get_one(Run, await finished_run(session))
        hidden = update(Project).where(Project.id == run.project_id)
        await session.execute(hidden.values(visibility="private"))
    shown = await page(api.admin, "/energy", **DAY, by="user")
    path = f"/v1/charts/{sha256_in(shown.text)}.csv"
    assert (await api.admin.get(path)).status_code == 200
    assert (await api.viewer.get(path)).status_code == 404


@pytest.mark.parametrize("is_folded", [False, True])
async def test_charts_by_owner_go_with_every_project_of_their_data(
    api: Api, is_folded: bool
) -> None:
    """Also with those that were open when the chart was stored."""
    await metered(api)
    async with api.database.session_scope() as session:
        attempt_id = await ended_attempt(session, project="text")
        charge(session, attempt_id, GPU, NOON, 0.5 * KWH, 1800.0)
        attempt = await session.get_one(Attempt, attempt_id)
        run = await session.get_one(Run, attempt.run_id)
        principal = await a_principal(session)
        run.created_by, owner = principal.user_id, principal.name
    if is_folded:
        async with api.database.session_scope() as session:
            assert await fold_pending(session)
    paths = []
    for path, query in (
        ("/energy", DAY | {"by": "project"}),
        ("/energy", DAY | {"by": "user"}),
        (f"/users/{owner}", DAY),
    ):
        shown = await page(api.viewer, path, **query)
        paths.append(f"/v1/charts/{sha256_in(shown.text)}")
        spec = (await api.viewer.get(f"{paths[-1]}.json")).json()
        assert set(spec["usermeta"]["projects"]) == {"text"}, path
    async with api.database.session_scope() as session:
        await session.execute(update(Project).values(visibility="private"))
    for path in paths:
        assert (await api.viewer.get(f"{path}.csv")).status_code == 404
        assert (await api.admin.get(f"{path}.csv")).status_code == 200
