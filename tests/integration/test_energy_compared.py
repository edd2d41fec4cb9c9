"""The energy account against the period before, and the share of failed work."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from app.services.attempts import execution
from app.services.energy.account import changes
from app.services.energy.node_hours import book_node_hours
from models import Attempt, Project, Run, Spend
from pricetag.accounting.bill.node_account import Account
from pricetag.accounting.quantity.quantity import Quantity
from tests.support.api import Api, finished_run
from tests.support.energy_hours import GPU, HOUR, NOON, node_hour
from tests.support.executions import JournalMaker, claimed, make_run

KWH = 3.6e6
RANGE = {"from": NOON.isoformat(), "to": (NOON + 2 * HOUR).isoformat()}


async def energy(api: Api, **query: Any) -> dict[str, Any]:
    response = await api.viewer.get("/v1/energy", params={**RANGE, **query})
    assert response.status_code == 200, response.text
    return dict(response.json())


async def test_the_period_before_has_the_same_length_and_ends_where_this_one_begins(
    api: Api,
) -> None:
    async with api.database.session_scope() as session:
        for hours, energy_j in ((-3, 7.0), (-2, 1.0), (-1, 2.0), (0, 4.0), (1, 8.0), (2, 16.0)):
            hour = node_hour(GPU, NOON + hours * HOUR, energy_j * KWH, 3600.0)
            await book_node_hours(session, "a", [hour])
    plain = await energy(api)
    assert (plain.get("before"), plain.get("change"), plain.get("failed")) == (None, None, None)
    shown = await energy(api, compare="true", by="hour")
    assert {name: shown[name] for name in ("total", "from", "to")} == {
        name: plain[name] for name in ("total", "from", "to")
    }
    before = shown["before"]
    start, stop = (datetime.fromisoformat(before[name]) for name in ("from", "to"))
    assert (start, stop) == (NOON - 2 * HOUR, NOON)
    assert before["total"]["total_kwh"]["value"] == pytest.approx(3.0)
    assert len(before["items"]) == 2
    change = shown["change"]["total_kwh"]
    assert change["difference_kwh"] == pytest.approx(9.0)
    now, then = plain["total"]["total_kwh"], before["total"]["total_kwh"]
    assert change["low"] == pytest.approx(now["low"] - then["high"])
    assert change["high"] == pytest.approx(now["high"] - then["low"])
    assert change["is_larger_than_error"] is True


def test_a_difference_within_the_errors_is_not_larger_than_them() -> None:
    def total(value: float | None) -> Account:
        figure = (
            Quantity.unknown("kWh", "not metered")
            if value is None
            else Quantity(value, 0.9 * value, 1.1 * value, "kWh", "counter")
        )
        return Account(figure, figure, figure, figure, figure, 0.0, ())

    small = changes(total(10.0), total(9.5))["total_kwh"]
    assert small["difference_kwh"] == pytest.approx(0.5)
    assert (small["low"], small["high"]) == (pytest.approx(-1.45), pytest.approx(2.45))
    assert small["is_larger_than_error"] is False
    assert changes(total(5.0), total(10.0))["charged_kwh"]["is_larger_than_error"] is True
    unknown = changes(total(None), total(10.0))["unallocated_kwh"]
    assert set(unknown.values()) == {None}


async def ended(api: Api, status: str, at: datetime, *, metered: bool = True) -> UUID:
    async with api.database.session_scope() as session:
        run = await make_run(session, max_attempts=1)
        claim = await claimed(session, run.id)
        journal = JournalMaker(claim.attempt_id)
        journal.whole(status, None if status == "succeeded" else {"code": "x", "message": "y"})
        await execution.ingest(session, claim.attempt_id, journal.records)
        values: dict[str, Any] = {"at": at} if metered else {"at": at, "it_energy_kwh": None}
        await session.execute(update(Spend).where(Spend.run_id == run.id).values(**values))
    return UUID(str(run.id))


async def test_failed_work_is_what_led_to_no_result(api: Api) -> None:
    inside, outside = NOON + timedelta(minutes=30), NOON + 3 * HOUR
    for status in ("succeeded", "succeeded", "failed", "cancelled"):
        await ended(api, status, inside)
    await ended(api, "failed", outside)
    assert (await energy(api, failed="true"))["failed"]["share_ratio"] == pytest.approx(0.25)
    await ended(api, "failed", inside, metered=False)
    failed = (await energy(api, failed="true"))["failed"]
    one = 2400.0 / KWH
    assert failed["it_energy_kwh"] == pytest.approx(one)
    assert failed["share_ratio"] is None  # of an unknown whole
    assert (failed["attempts"], failed["unknown_attempts"], failed["items"]) == (2, 1, [])
    assert failed["by_status"] == {
        "succeeded": pytest.approx(2 * one),
        "failed": pytest.approx(one),
        "cancelled": pytest.approx(one),
    }
    assert (await energy(api, failed="true", **{"from": RANGE["from"]}))["failed"] == failed


async def test_without_ended_attempts_the_share_is_unknown(api: Api) -> None:
    failed = (await energy(api, failed="true", by="user"))["failed"]
    assert failed == {
        "it_energy_kwh": 0.0,
        "source": "counter",  # that there are none is counted
        "share_ratio": None,
        "attempts": 0,
        "unknown_attempts": 0,
        "by_status": {},
        "items": [],
    }


async def test_failed_work_of_private_projects_is_one_item_without_a_name(api: Api) -> None:
    at = NOON + timedelta(minutes=1)
    seen, hidden = await ended(api, "failed", at), await ended(api, "succeeded", at)
    async with api.database.session_scope() as session:
        names = {}
        for run_id in (seen, hidden):
            run = await session.get_one(Run, run_id)
            names[run_id] = (await session.get_one(Project, run.project_id)).name
        hide = update(Project).where(Project.name == names[hidden]).values(visibility="private")
        await session.execute(hide)
    shown = await energy(api, failed="true", by="project")
    shares = {item["name"]: item["share_ratio"] for item in shown["failed"]["items"]}
    assert shares == {names[seen]: 1.0, "(private projects)": 0.0}
    query = {**RANGE, "by": "project", "failed": "true"}
    everything = (await api.admin.get("/v1/energy", params=query)).json()
    assert {item["name"] for item in everything["failed"]["items"]} == set(names.values())
    by_user = await energy(api, failed="true", by="user")
    owners = {item["name"] for item in by_user["failed"]["items"]}
    assert owners == {"(no user)", "(private projects)"}


async def test_a_node_has_its_own_failed_work(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
        values = update(Spend).where(Spend.run_id == run_id).values(at=NOON)
        await session.execute(values)
        await session.execute(update(Attempt).where(Attempt.run_id == run_id).values(ended_at=NOON))
        await execution.register_node(session, "node", "default", [], {})
        await execution.register_node(session, "other", "default", [], {})
    own = (await energy(api, failed="true", node="node"))["failed"]
    assert own["share_ratio"] == 0.0
    assert (await energy(api, failed="true", node="other"))["failed"]["share_ratio"] is None
