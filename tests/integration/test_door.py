"""Runs that no queue started: one door, whatever sends them."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from app.db import Session
from app.repositories.runs.selection import RunFilter
from app.schemas.intake import ExternalRun
from app.services.attempts import execution
from app.services.billing.issuing import get_price_tag
from app.services.errors import NotYourRunError
from app.services.intake import door
from app.services.principals import Principal, RoleRequiredError
from app.services.runs import listing
from app.services.verification import checking
from models import Attempt, Outcome, Project, Run
from tests.support.api import Api, a_principal, problem
from tests.support.executions import BEGIN, JournalMaker


def external(**changes: Any) -> ExternalRun:
    """A run of a CodeCarbon client."""
    fields = {
        "run_id": uuid4(),
        "attempt_id": uuid4(),
        "origin": "codecarbon",
        "measured_by": "codecarbon 3.3.2",
        "name": "notebook",
        "project": "vision",
        "experiment": "first",
        "tags": ["b", "", "a", "b"],
        "started_at": BEGIN,
        "node_name": "laptop",
    }
    return ExternalRun.model_validate({**fields, **changes})


async def page(api: Api, path: str, **query: str) -> str:
    """The text of a page."""
    headers = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
    answer = await api.admin.get(path, params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


async def settled(session: Session, principal: Principal, sent: ExternalRun) -> None:
    """Sends the records of a whole run."""
    opened = await door.open_run(session, principal, sent)
    journal = JournalMaker(opened.attempt.id)
    journal.whole()
    await execution.ingest(session, opened.attempt.id, journal.records)


async def test_a_run_is_created_once_however_often_it_is_sent(session: Session) -> None:
    member = await a_principal(session, "member")
    sent = external()
    first = await door.open_run(session, member, sent)
    again = await door.open_run(session, member, sent)
    assert (first.is_new, again.is_new) == (True, False)
    assert (again.run.id, again.attempt.id) == (sent.run_id, sent.attempt_id)
    run = again.run
    assert (run.status, run.origin, run.max_attempts, run.tags) == (
        "running",
        "codecarbon",
        1,
        ["b", "a"],
    )
    assert (run.created_at, run.started_at, again.attempt.started_at) == (BEGIN, BEGIN, BEGIN)
    counted = select(func.count()).select_from(Run).where(Run.id == sent.run_id)
    assert (await session.execute(counted)).scalar_one() == 1
    for other in (external(run_id=sent.run_id), external(attempt_id=sent.attempt_id)):
        with pytest.raises(door.IntakeConflictError):
            await door.open_run(session, member, other)


async def test_only_its_sender_continues_a_run_and_a_viewer_sends_none(session: Session) -> None:
    sent = external()
    await door.open_run(session, await a_principal(session, "ingest"), sent)
    with pytest.raises(NotYourRunError):
        await door.open_run(session, await a_principal(session, "member"), sent)
    assert not (await door.open_run(session, await a_principal(session, "admin"), sent)).is_new
    with pytest.raises(RoleRequiredError, match="send measurements"):
        await door.open_run(session, await a_principal(session, "viewer"), external())


async def test_a_clock_that_was_never_set_is_rejected_and_leaves_nothing(session: Session) -> None:
    member = await a_principal(session, "member")
    for year in (1970, 2999):
        sent = external(started_at=BEGIN.replace(year=year), project=f"of {year}")
        with pytest.raises(door.ClockError, match=f"{year}-03-01"):
            await door.open_run(session, member, sent)
        of_name = select(Project).where(Project.name == sent.project)
        assert (await session.execute(of_name)).first() is None


async def test_no_worker_and_no_lease_ends_it(session: Session) -> None:
    member = await a_principal(session, "member")
    sent = external(node_name="node")
    await door.open_run(session, member, sent)
    now_s = 1000.0
    observer = execution.LeaseObserver(lambda: now_s)
    for _ in range(20):
        now_s += 10.0
        assert await execution.reap(session, observer=observer, lease_s=60.0) == []
    assert await execution.open_attempts(session, "node") == []
    attempt = await session.get_one(Attempt, sent.attempt_id)
    assert attempt.ended_at is None


async def test_its_price_tag_states_who_measured_and_is_verified(session: Session) -> None:
    member = await a_principal(session, "member")
    sent = external()
    await settled(session, member, sent)
    tag = await get_price_tag(session, sent.run_id)
    provenance = tag.content["provenance"]
    assert (provenance["origin"], provenance["measured_by"]) == ("codecarbon", "codecarbon 3.3.2")
    assert tag.content["it_energy_kwh"]["value"] == pytest.approx(2400 / 3.6e6)
    verified = await checking.verify(session, sent.run_id)
    assert verified.outcome == "verified", verified.steps
    outcomes = select(Outcome).where(Outcome.run_id == sent.run_id)
    assert (await session.execute(outcomes)).first() is None  # quotes are for the queue


@pytest.mark.parametrize("sort", ["-created_at", "-it_energy_kwh"])
async def test_lists_select_by_origin(session: Session, sort: Any) -> None:
    member = await a_principal(session, "member")
    for origin in ("codecarbon", "import"):
        await settled(session, member, external(origin=origin, name=origin))

    async def listed(*origins: str) -> list[str]:
        wanted = RunFilter(origins=origins, project="vision")
        page = await listing.list_page(session, member, wanted, sort=sort, cursor=None, limit=9)
        return sorted(run.name for run in page.items)

    assert await listed() == ["codecarbon", "import"]
    assert await listed("import") == ["import"]
    assert await listed("import", "codecarbon") == ["codecarbon", "import"]
    assert await listed("queue") == []


async def test_it_is_shown_with_its_origin_and_can_be_ended_but_not_resumed(
    api: Api,
) -> None:
    async with api.database.session_scope() as session:
        principal = await a_principal(session)
        failed, running = external(name="failed one"), external()
        opened = await door.open_run(session, principal, failed)
        journal = JournalMaker(opened.attempt.id)
        journal.whole("failed", {"code": "exception", "message": "ValueError: no data"})
        await execution.ingest(session, opened.attempt.id, journal.records)
        await door.open_run(session, principal, running)

    async def shown(run_id: UUID) -> dict[str, Any]:
        document: dict[str, Any] = (await api.admin.get(f"/v1/runs/{run_id}")).json()
        return document

    run = await shown(failed.run_id)
    assert (run["origin"], run["measured_by"]) == ("codecarbon", "codecarbon 3.3.2")
    assert (run["status"], run["status_reason"]["code"]) == ("failed", "exception")
    assert (await shown(running.run_id))["status_reason"]["code"] == door.ARRIVING
    answer = await api.admin.post(f"/v1/runs/{failed.run_id}/resume")
    assert "origin is codecarbon" in problem(answer, 409, "measured-elsewhere")["detail"]
    ended = (await api.admin.post(f"/v1/runs/{running.run_id}/cancel")).json()
    assert ended["status"] == "failed"
    table = (await api.admin.get("/v1/runs.csv", params={"origin": "codecarbon"})).text
    assert table.count("codecarbon,codecarbon 3.3.2") == 2
    own = await page(api, f"/runs/{failed.run_id}")
    assert "Measured by codecarbon according to its sender, codecarbon 3.3.2; reported by a" in own
    assert "Runs that were measured outside the queue" in own
    assert "Resume" not in own
    assert "failed one codecarbon" in await page(api, "/runs", origin="codecarbon")
    listed = problem(
        await api.admin.get("/v1/runs", params={"origin": "x"}), 422, "invalid-request"
    )
    assert listed["errors"][0]["field"] == "origin"
