"""The burn-down of a budget: past use by day, the fan of its open runs, and the crossing."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.db import Session
from app.services.outlook import burn_down as burn_down_service
from app.services.outlook import open_runs
from app.services.queueing import pool_queue, waiting
from app.services.queueing.waiting import Offer
from models import Experiment, Project, Run, Spend, User
from pricetag.accounting.quantity.quantity import Source, weakest
from tests.support.api import Api, fields, finished_run, problem, run_body
from tests.support.budgets import J_PER_KWH, PUE, make_budget
from tests.support.quoted import claimed_journal, half_trained, trained, training

pytestmark = pytest.mark.usefixtures("budget_factors")
GPUS = {"gpus": 1, "pool": "default"}
RUN_KWH = 2400.0 * PUE / J_PER_KWH


async def burn_down(api: Api, budget_id: str) -> dict[str, Any]:
    response = await api.viewer.get(f"/v1/budgets/{budget_id}/burn-down")
    assert response.status_code == 200, response.text
    return dict(response.json())


async def ended(api: Api, *days_ago: float) -> list[UUID]:
    """Runs of one project that ended some days ago."""
    now = datetime.now(UTC)
    run_ids = []
    async with api.database.session_scope() as session:
        for days in days_ago:
            run_ids.append(await finished_run(session))
            at = now - timedelta(days=days)
            await session.execute(update(Spend).where(Spend.run_id == run_ids[-1]).values(at=at))
    return run_ids


async def test_past_use_is_cumulated_by_day_up_to_now(api: Api) -> None:
    await ended(api, 3, 3, 1, 0)
    budget = await make_budget(api, amount=3.5 * RUN_KWH)
    shown = await burn_down(api, budget["id"])
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    points = {p["at"]: p for p in shown["points"]}
    assert list(points) == sorted(points, key=datetime.fromisoformat)

    def spent(days_ago: int) -> float:
        at = (today - timedelta(days=days_ago)).isoformat().replace("+00:00", "Z")
        return float(points[at]["spent"]) / RUN_KWH

    assert [round(spent(days), 6) for days in (3, 2, 1, 0)] == [0, 2, 2, 3]
    last = shown["points"][-1]
    assert last["at"] == shown["at"]
    assert last["spent"] == pytest.approx(4 * RUN_KWH)
    assert last["left"] == 0
    assert shown["spent"] == last["spent"]
    current = (await api.viewer.get(f"/v1/budgets/{budget['id']}")).json()
    assert shown["by_source"] == current["by_source"]
    assert sum(shown["by_source"].values()) == pytest.approx(shown["spent"])


async def test_a_period_counts_from_its_start_in_its_time_zone(api: Api) -> None:
    await ended(api, 0, 400)
    budget = await make_budget(api, period="year", time_zone="Asia/Kolkata")
    shown = await burn_down(api, budget["id"])
    assert shown["points"][0] == {"at": shown["period_start"], "spent": 0.0, "left": 10.0}
    assert shown["points"][-1]["spent"] == pytest.approx(RUN_KWH)
    values = [point["spent"] for point in shown["points"]]
    assert values == sorted(values)


async def test_a_long_history_has_a_limited_number_of_points(api: Api) -> None:
    await ended(api, 3000, 0)
    shown = await burn_down(api, (await make_budget(api))["id"])
    assert 200 < len(shown["points"]) <= 402
    assert shown["points"][-1]["spent"] == pytest.approx(2 * RUN_KWH)
    assert shown["points"][-2]["spent"] == pytest.approx(RUN_KWH)


async def test_requests_share_the_open_runs_until_one_of_them_is_written(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets = [(await make_budget(api, name=name))["id"] for name in ("one", "two")]
    await api.post_run()
    looks = []
    look = pool_queue.look

    async def counted(*arguments: Any, **named: Any) -> Any:
        looks.append(arguments)
        return await look(*arguments, **named)

    monkeypatch.setattr(pool_queue, "look", counted)
    first = [await burn_down(api, budget_id) for budget_id in budgets]
    assert len(looks) == 1
    assert [len(each["open_runs"]) for each in first] == [1, 1]
    await api.post_run()
    assert len((await burn_down(api, budgets[0]))["open_runs"]) == 2
    assert len(looks) == 2
    monkeypatch.setattr(open_runs, "SHARED_S", 0.0)
    await burn_down(api, budgets[0])
    assert len(looks) == 3


async def test_without_open_runs_nothing_is_projected(api: Api) -> None:
    shown = await burn_down(api, (await make_budget(api))["id"])
    assert shown["projection"] == []
    assert shown["expected"] == dict.fromkeys(("value", "low", "high"), 0.0) | {
        "open_runs": 0,
        "unknown_runs": 0,
    }
    assert shown["open_runs"] == []
    assert shown["crossing"]["reason"] == (
        "no run is queued or running, so no further use is expected"
    )


async def test_open_runs_with_their_quotes_cross_the_limit_at_a_time_with_an_interval(
    api: Api,
) -> None:
    await trained(api, resources=GPUS)  # history: 48 s
    async with api.database.session_scope() as session:
        await waiting.announce(session, "w1", "node", Offer("default", 1, 0, False))
    running = await api.post_run(recipe=training(), resources=GPUS)
    async with api.database.session_scope() as session:
        journal = await claimed_journal(session, running)
    waits = await api.post_run(recipe=training(), resources=GPUS)
    async with api.database.session_scope() as session:
        await half_trained(session, journal)
    quote = (await api.viewer.get(f"/v1/runs/{waits}/quote")).json()["quantities"]
    budget = await make_budget(api, amount=1.0)
    before = await burn_down(api, budget["id"])
    assert before["crossing"] == {
        "at": None,
        "low": None,
        "high": None,
        "reason": "the open runs with a known use do not reach the limit in this period",
    }
    assert (before["expected"]["open_runs"], before["expected"]["unknown_runs"]) == (2, 0)
    fan = before["projection"]
    assert fan[0]["value"] == pytest.approx(before["spent"] + before["running"])
    assert before["running"] > 0
    assert before["points"][-1]["spent"] == pytest.approx(fan[0]["value"])  # no jump at present
    assert fan[-1]["value"] == pytest.approx(before["expected"]["value"])
    values = [point["value"] for point in fan]
    assert values == sorted(values)
    assert all(p["low"] - 1e-12 <= p["value"] <= p["high"] + 1e-12 for p in fan)
    # The last to end is the waiting run, which uses its whole quote.
    used = before["spent"] + before["running"]
    assert before["expected"]["value"] - used > quote["facility_energy_kwh"]["value"]
    limit = before["expected"]["value"] - 0.5 * quote["facility_energy_kwh"]["value"]
    change_to = {"amount": limit}
    assert (await api.admin.patch(f"/v1/budgets/{budget['id']}", json=change_to)).status_code == 200
    crossing = (await burn_down(api, budget["id"]))["crossing"]
    assert crossing["low"] <= crossing["at"]
    [own] = (await api.viewer.get("/v1/queue")).json()["pools"]
    start = datetime.fromisoformat(own["waiting"][0]["expected_start"]["at"])
    middle = start + timedelta(seconds=0.5 * quote["duration_s"]["value"])
    assert abs((datetime.fromisoformat(crossing["at"]) - middle).total_seconds()) < 2.0


async def test_open_runs_of_unknown_use_are_counted(api: Api) -> None:
    await api.post_run()
    await api.post_run(project="other")
    budget = await make_budget(api, scope="project", project="text")
    shown = await burn_down(api, budget["id"])
    assert (shown["expected"]["open_runs"], shown["expected"]["unknown_runs"]) == (0, 1)
    assert shown["crossing"]["reason"] == "no open run has a known use, start and end"
    [unknown] = shown["open_runs"]
    assert (unknown["status"], unknown["value"], unknown["ends_at"]) == ("queued", None, None)


async def test_what_if_omits_runs_or_adds_one(api: Api) -> None:
    await trained(api, resources=GPUS)
    async with api.database.session_scope() as session:
        await waiting.announce(session, "w1", "node", Offer("default", 1, 0, False))
    waits = await api.post_run(recipe=training(), resources=GPUS)
    budget = await make_budget(api, amount=1.0)
    path = f"/v1/budgets/{budget['id']}/what-if"
    as_is = await burn_down(api, budget["id"])
    [waiting_run] = as_is["open_runs"]
    assert (waiting_run["run_id"], waiting_run["status"]) == (waits, "queued")
    assert waiting_run["low"] < waiting_run["value"] < waiting_run["high"]
    without = (await api.viewer.post(path, json={"without": [waits]})).json()
    assert (without["quote"], without["is_charged"], without["admission"]) == (None, None, None)
    assert without["before"] == as_is["expected"]
    assert without["burn_down"]["open_runs"] == []
    assert without["burn_down"]["expected"]["value"] == pytest.approx(as_is["spent"])
    body = run_body(recipe=training(), resources=GPUS)
    added = (await api.member.post(path, json={"run": body})).json()
    assert (added["is_charged"], added["admission"]) == (True, "admitted")
    one = added["quote"]["quantities"]["facility_energy_kwh"]["value"]
    after, before = added["burn_down"]["expected"], added["before"]
    assert (before["open_runs"], after["open_runs"]) == (1, 2)
    assert after["value"] - before["value"] == pytest.approx(one)
    # It starts once the run before it has ended.
    new = next(run for run in added["burn_down"]["open_runs"] if run["run_id"] != waits)
    assert new["starts_at"] >= waiting_run["ends_at"][:19]
    tight = await make_budget(api, name="tight", amount=1.5 * one + as_is["spent"])
    path = f"/v1/budgets/{tight['id']}/what-if"
    added = (await api.member.post(path, json={"run": body})).json()
    assert added["admission"] == "too-much"
    assert added["before_crossing"]["at"] is None
    assert added["burn_down"]["crossing"]["at"] is not None
    elsewhere = await make_budget(api, name="p", scope="project", project="elsewhere")
    path = f"/v1/budgets/{elsewhere['id']}/what-if"
    other = (await api.member.post(path, json={"run": body})).json()
    assert (other["is_charged"], other["admission"]) == (False, None)
    assert other["burn_down"]["expected"]["open_runs"] == 0
    wrong = await api.member.post(path, json={"run": {"name": "x"}})
    assert "run.project" in fields(problem(wrong, 422, "invalid-recipe"))
    assert fields(problem(await api.member.post(path, json={"with": 1}), 422, "invalid-request"))
    # Nothing was posted or reserved.
    again = await burn_down(api, budget["id"])
    same = ("spent", "running", "reserved", "left", "expected")
    assert {name: again[name] for name in same} == {name: as_is[name] for name in same}


async def test_hidden_runs_are_counted_not_listed_and_cannot_be_omitted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trained(api, resources=GPUS)
    async with api.database.session_scope() as session:
        await waiting.announce(session, "w1", "node", Offer("default", 1, 0, False))
    hidden = [
        await api.post_run(project="secret", recipe=training(), resources=GPUS) for _ in range(2)
    ]
    budget = await make_budget(api)
    async with api.database.session_scope() as session:
        await session.execute(
            update(Project).where(Project.name == "secret").values(visibility="private")
        )
    page = await api.viewer.get(f"/budgets/{budget['id']}", headers={"Accept": "text/html"})
    assert "2 open runs under this budget are hidden from you." in page.text
    assert "No run under this budget" not in page.text
    own = await api.post_run(recipe=training(), resources=GPUS)
    monkeypatch.setattr(burn_down_service, "MOST_RUNS", 1)
    as_is = await burn_down(api, budget["id"])
    assert ([run["run_id"] for run in as_is["open_runs"]], as_is["hidden_runs"]) == ([own], 2)
    path = f"/v1/budgets/{budget['id']}/what-if"
    without = (await api.viewer.post(path, json={"without": hidden})).json()
    assert without["burn_down"]["expected"] == without["before"]
    assert without["burn_down"]["hidden_runs"] == 2
    of_member = (await api.member.post(path, json={"without": hidden})).json()["burn_down"]
    assert of_member["expected"]["open_runs"] == 1


async def test_the_outlook_lists_budgets_in_the_order_in_which_they_are_used_up(api: Api) -> None:
    await ended(api, 0)
    await trained(api, resources=GPUS)
    async with api.database.session_scope() as session:
        await waiting.announce(session, "w1", "node", Offer("default", 1, 0, False))
    await api.post_run(recipe=training(), resources=GPUS)
    large = await make_budget(api, name="large", amount=1000.0)
    larger = await make_budget(api, name="a larger one", amount=9000.0)
    spent, expected = large["spent"], (await burn_down(api, large["id"]))["expected"]["value"]
    later = await make_budget(api, name="later", amount=spent + 0.9 * (expected - spent))
    soon = await make_budget(api, name="soon", amount=spent + 0.1 * (expected - spent))
    used_up = await make_budget(api, name="used up", amount=0.5 * spent)
    closed = await make_budget(api, name="closed")
    await api.admin.post(f"/v1/budgets/{closed['id']}/close")
    shown = (await api.viewer.get("/v1/budget-outlook")).json()["items"]
    order = [used_up, soon, later, large, larger]
    assert [each["budget"]["name"] for each in shown] == [budget["name"] for budget in order]
    for each in shown:
        own = await burn_down(api, each["budget"]["id"])
        assert each["expected"] == own["expected"]
        assert each["crossing"]["reason"] == own["crossing"]["reason"]
        assert (each["crossing"]["at"] is None) == (own["crossing"]["at"] is None)


async def test_parts_are_by_user_in_a_project_and_by_project_elsewhere(api: Api) -> None:
    first, second = await ended(api, 0, 0)
    async with api.database.session_scope() as session:
        run = await session.get_one(Run, first)
        other = await session.get_one(Run, second)
        names = [(await session.get_one(Project, each.project_id)).name for each in (run, other)]
        hide = update(Project).where(Project.id == other.project_id)
        await session.execute(hide.values(visibility="private"))
    lab = await burn_down(api, (await make_budget(api))["id"])
    assert lab["by"] == "project"
    parts = {part["name"]: part["share_ratio"] for part in lab["parts"]}
    assert parts == {names[0]: pytest.approx(0.5), "(private projects)": pytest.approx(0.5)}
    own = await make_budget(api, name="p", scope="project", project=names[0])
    shown = await burn_down(api, own["id"])
    assert shown["by"] == "user"
    assert [(part["name"], part["share_ratio"]) for part in shown["parts"]] == [(None, 1.0)]


async def test_parts_add_up_to_what_was_spent(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await ended(api, *[0] * 5)
    budget = await make_budget(api)
    monkeypatch.setattr(burn_down_service, "MOST_PARTS", 5)
    whole = await burn_down(api, budget["id"])
    assert len(whole["parts"]) == 5
    monkeypatch.setattr(burn_down_service, "MOST_PARTS", 3)
    shown = await burn_down(api, budget["id"])
    assert [part["name"] for part in shown["parts"]] == [
        *(part["name"] for part in whole["parts"][:2]),
        "(all others)",
    ]
    for each in (whole, shown):
        assert sum(part["spent"] for part in each["parts"]) == pytest.approx(each["spent"])
        assert sum(part["share_ratio"] for part in each["parts"]) == pytest.approx(1.0)


async def test_each_part_has_its_amount_and_evidence_whatever_pieces_it_is_read_from(
    api: Api,
) -> None:
    days_ago = (0, 0.3, 1, 2, 33, 70, 71, 200, 400, 401)
    run_ids = await ended(api, *days_ago)
    kinds = ("counter", "modelled", "estimated")
    async with api.database.session_scope() as session:
        runs = [await session.get_one(Run, run_id) for run_id in run_ids]
        project = await session.get_one(Project, runs[0].project_id)
        owners = [User(name=name, role="member") for name in ("ada", "bob")]
        session.add_all(owners)
        await session.flush()
        for number, run_id in enumerate(run_ids):
            values: dict[str, Any] = {
                "user_id": owners[number % 2].id,
                "facility_energy_kwh": 0.1 * (number + 1),
                "sources": {"facility_energy_kwh": kinds[number // 4]},
            }
            if number < 6:
                values |= {"project_id": project.id, "experiment_id": runs[0].experiment_id}
            await session.execute(update(Spend).where(Spend.run_id == run_id).values(**values))
        name, experiment = project.name, await session.get_one(Experiment, runs[0].experiment_id)
    year: dict[str, Any] = {"period": "year", "time_zone": "Asia/Kolkata"}
    of_project: dict[str, Any] = {"scope": "project", "project": name}
    differ = False
    for number, scope in enumerate(
        (
            {},
            year,
            of_project,
            of_project | year,
            {"scope": "user", "user": "ada"},
            {"scope": "user", "user": "bob"} | year,
            {**of_project, "scope": "experiment", "experiment": experiment.name},
        )
    ):
        budget = await make_budget(api, name=f"budget {number}", amount=1000, **scope)
        response = await api.admin.get(f"/v1/budgets/{budget['id']}/burn-down")
        shown = response.json()
        async with api.database.session_scope() as session:
            expected = await by_hand(session, shown, scope)
        parts = {part["name"]: (part["spent"], part["source"]) for part in shown["parts"]}
        assert parts == {
            owner: (pytest.approx(amount), source) for owner, (amount, source) in expected.items()
        }
        differ |= len({source for _, source in parts.values()}) > 1
    assert differ  # a part is not as weak as the weakest of the whole


async def by_hand(
    session: Session, shown: dict[str, Any], scope: dict[str, Any]
) -> dict[str, tuple[float, str]]:
    """Amount and weakest evidence of each part, from the rows of all attempts."""
    start = shown["period_start"]
    amounts: dict[str, float] = defaultdict(float)
    sources: dict[str, list[Source]] = defaultdict(list)
    for row in (await session.execute(select(Spend))).scalars():
        project = await session.get_one(Project, row.project_id)
        user = await session.get_one(User, row.user_id)
        experiment = await session.get_one(Experiment, row.experiment_id)
        names = {"project": project.name, "user": user.name, "experiment": experiment.name}
        if any(names[kind] != scope[kind] for kind in names if kind in scope):
            continue
        if start is not None and row.at < datetime.fromisoformat(start):
            continue
        amounts[names[shown["by"]]] += row.facility_energy_kwh or 0.0
        sources[names[shown["by"]]].append(row.sources["facility_energy_kwh"])
    return {name: (amount, weakest(*sources[name])) for name, amount in amounts.items()}


async def test_hidden_unknown_closed_and_used_up_budgets(api: Api) -> None:
    await ended(api, 0)
    used_up = await make_budget(api, name="used up", amount=0.5 * RUN_KWH)
    reason = (await burn_down(api, used_up["id"]))["crossing"]["reason"]
    assert reason == "the limit has already been reached"
    await api.admin.post(f"/v1/budgets/{used_up['id']}/close")
    closed = await burn_down(api, used_up["id"])
    assert closed["crossing"]["reason"].startswith("the budget is closed")
    secret = await make_budget(api, name="s", scope="project", project="secret")
    async with api.database.session_scope() as session:
        hide = update(Project).where(Project.name == "secret").values(visibility="private")
        await session.execute(hide)
    path = f"/v1/budgets/{secret['id']}/burn-down"
    problem(await api.viewer.get(path), 404, "budget-not-found")
    assert (await api.admin.get(path)).status_code == 200
