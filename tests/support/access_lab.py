"""A lab with a private and an open project, and one caller of each kind.

Each request is undone before the next one, so that all of them meet the same database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import async_sessionmaker

from app.api.deps import Resources
from app.charts.chart import Chart
from app.db import Database, Session
from app.main import create_app
from app.repositories.people import projects as project_rows
from app.schemas.budgets import BudgetCreate
from app.schemas.common import ProjectRole, Role
from app.schemas.papers import PaperCreate, PaperReportCreate
from app.schemas.reports import ReportCreate
from app.schemas.shares import ShareCreate
from app.schemas.sites import SiteCreate
from app.schemas.tokens import TokenCreate
from app.schemas.users import UserCreate, UserTokenCreate
from app.schemas.views import ViewCreate
from app.services import reports
from app.services.billing.issuing import get_price_tag
from app.services.budgets import admin as budget_admin
from app.services.factors import sites
from app.services.intake import codecarbon, journals
from app.services.intake.journals import Part
from app.services.live.events import EventHub
from app.services.papers import changing, reporting
from app.services.people import sign_in_links, tokens, users, web_sessions
from app.services.principals import Principal
from app.services.runs import posting, series
from app.services.saved import charts, views
from app.services.sharing import links
from app.services.studies import changing as studies
from app.settings import Settings
from models import Project, Run, StudyRun, Token, User
from tests.support import site_live
from tests.support.api import finished_run, run_body, running_run, study_body
from tests.support.local_runs import journal_bytes

Target = Literal["private", "open"]
TARGETS: tuple[Target, ...] = ("private", "open")
Caller = Literal[
    "none", "garbage", "revoked", "expired", "disabled", "ingest", "viewer", "outsider", "scoped",
    "member", "owner", "admin",
]  # fmt: skip
UNKNOWN = ("none", "garbage", "revoked", "expired", "disabled")
USERS: dict[Caller, Role] = {
    "ingest": "ingest",
    "viewer": "viewer",
    "outsider": "member",
    "member": "member",
    "owner": "member",
    "admin": "admin",
}
ROLES: dict[Caller, Role] = {**USERS, "scoped": "member"}
RANK = {"ingest": 0, "viewer": 1, "member": 2, "admin": 3}
MEMBERSHIPS: dict[Caller, ProjectRole] = {"member": "member", "owner": "owner"}
"""Roles in both projects. `scoped` is a token of `member` that is limited to a third one."""


@dataclass
class Things:
    """The records of one project that requests address."""

    project: str
    ids: dict[str, str] = field(default_factory=dict)


@dataclass
class Lab:
    """One seeded database behind the application, and who calls it."""

    app: FastAPI
    http: httpx.AsyncClient
    secrets: dict[Caller, str | None]
    records: dict[Target, Things]
    undo: Callable[[], Any]

    async def ask(self, caller: Caller, method: str, path: str, **request: Any) -> httpx.Response:
        """One request, undone afterwards."""
        secret = self.secrets[caller]
        headers = {"Sec-Fetch-Site": "same-origin"}
        headers |= {"Authorization": f"Bearer {secret}"} if secret else {}
        headers |= request.pop("headers", {})
        async with self.undo():
            return await self.http.request(method, path, headers=headers, **request)


class _OneConnection(Database):
    """A database whose sessions share a connection, so that all they write can be undone."""

    def __init__(self, database: Database, connection: Any) -> None:
        self.url = database.url
        self.engine = database.engine
        self.sessions = async_sessionmaker(
            bind=connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )


async def _people(session: Session) -> dict[Caller, Principal]:
    principals: dict[Caller, Principal] = {}
    for name, role in USERS.items():
        made = await tokens.create(session, TokenCreate(name=name, role=role))
        principals[name] = Principal(made.user_id, made.id, name, role)
    return principals


async def _secrets(
    session: Session, people: Mapping[Caller, Principal], elsewhere: str
) -> dict[Caller, str | None]:
    """One token of each caller; the useless ones are a member's and would see everything."""

    async def secret(caller: Caller, **more: Any) -> tuple[UUID, str]:
        wanted = TokenCreate(name="t", user=caller, **more)
        made = await tokens.create(session, wanted)
        return made.id, made.secret

    secrets: dict[Caller, str | None] = {"none": None, "garbage": "pt_garbage"}
    for caller in USERS:
        _, secrets[caller] = await secret(caller)
    _, secrets["scoped"] = await secret("member", project=elsewhere)
    revoked, secrets["revoked"] = await secret("owner")
    await tokens.revoke(session, revoked)
    expired, secrets["expired"] = await secret("owner")
    past = datetime.now(UTC) - timedelta(seconds=1)
    await session.execute(update(Token).where(Token.id == expired).values(expires_at=past))
    gone = await users.create(session, UserCreate(name="gone", role="admin"), None)
    by_admin = people["admin"]
    made = await tokens.create_for(session, gone.id, UserTokenCreate(name="t"), by_admin)
    await session.execute(
        update(User).where(User.id == gone.id).values(disabled_at=datetime.now(UTC))
    )
    secrets["disabled"] = made.secret
    return secrets


async def _things(session: Session, people: Mapping[Caller, Principal], target: Target) -> Things:
    """A project with a run in every state, a report, and a budget; runs are the member's."""
    admin, member = people["admin"], people["member"]
    posted = await posting.create(session, member, run_body(project=target), None)
    row = await session.get(Run, posted.id)
    assert row is not None
    project_id = row.project_id
    for caller, role in MEMBERSHIPS.items():
        await project_rows.put_member(session, project_id, people[caller].user_id, role)
    finished = await finished_run(session, created_by=member.user_id)
    twin = await finished_run(session, created_by=member.user_id)
    running = await running_run(session, 2, created_by=member.user_id)
    quoted = await posting.create(session, member, run_body(project=target), f"key {target}")
    failed = await posting.create(session, member, run_body(project=target), None)
    place = {"project_id": project_id, "experiment_id": row.experiment_id}
    for run_id in (finished, twin, running):
        await session.execute(update(Run).where(Run.id == run_id).values(**place))
    await session.execute(update(Run).where(Run.id == failed.id).values(status="failed"))
    wanted = ReportCreate(title=f"of {target}", profile="strubell2019", runs=[finished])
    report = await reports.create(session, member, wanted)
    collected = PaperCreate(project=target, title=f"paper of {target}", runs=[finished])
    paper = await changing.create(session, member, collected)
    paper_report = await reporting.report(session, member, paper.id, PaperReportCreate())
    share = await links.create(session, member, ShareCreate(paper=paper.id, anonymous=True))
    budgets = {}
    for scope in ("project", "experiment"):
        experiment = "sst2" if scope == "experiment" else None
        wanted_budget = BudgetCreate.model_validate(
            {
                "name": f"{scope} of {target}",
                "scope": scope,
                "project": target,
                "experiment": experiment,
                "metric": "co2e_kg",
                "amount": 1000,
            }
        )
        budgets[scope] = (await budget_admin.create(session, admin, wanted_budget)).id
    chart = Chart("test", "t", f"of {target}", [], [], {}, frozenset({target}))
    await charts.keep(session, [chart])
    artifacts = (await series.artifacts(session, finished)).items
    wanted_view = ViewCreate(name=f"view of {target}", query="status=failed", project=target)
    view = await views.save(session, member, wanted_view)
    wanted_study = study_body(
        base=run_body(project=target), strategy={"kind": "random", "trials": 1}
    )
    study = await studies.create(session, member, wanted_study, f"study of {target}")
    of_study = select(StudyRun.run_id).where(StudyRun.study_id == study.id)
    trial = (await session.execute(of_study)).scalar_one()
    run_id, attempt_id = uuid4(), uuid4()
    content = journal_bytes(run_id=str(run_id), attempt_id=str(attempt_id))
    part = Part(attempt_id, 0, content)
    await journals.take(session, member, part, project=target, max_bytes=len(content))
    client = await codecarbon.start(session, member, {"experiment_id": target})
    tag = await get_price_tag(session, finished)
    user = await users.get(session, member.user_id)
    begun = await web_sessions.begin(session, user, "link")
    link = await sign_in_links.create(session, user)
    visibility = "private" if target == "private" else "open"
    await session.execute(
        update(Project).where(Project.id == project_id).values(visibility=visibility)
    )
    ids = {
        "finished": finished,
        "twin": twin,
        "running": running,
        "queued": posted.id,
        "quoted": quoted.id,
        "failed": failed.id,
        "report": report.id,
        "paper": paper.id,
        "paper_report": paper_report.id,
        "share": share.id,
        "secret": share.secret,
        "budget": budgets["project"],
        "experiment_budget": budgets["experiment"],
        "chart": chart.sha256,
        "artifact": artifacts[0].id,
        "member": member.user_id,
        "token": member.token_id,
        "session": begun.id,
        "link": link,
        "view": view.id,
        "study": study.id,
        "trial": trial,
        "sent": run_id,
        "journal": attempt_id,
        "codecarbon": client,
        "hash": tag.content_sha256,
    }
    return Things(target, {name: str(id_) for name, id_ in ids.items()})


@asynccontextmanager
async def access_lab(database: Database, data_dir: Path) -> AsyncIterator[Lab]:
    """The lab on a database; everything written is rolled back at the end.

    Args:
        database: An empty, migrated database.
        data_dir: Folder for artifacts.
    """
    artifact = data_dir / "artifacts/run/1/model.safetensors"
    artifact.parent.mkdir(parents=True)
    artifact.write_bytes(b"weights")
    settings = Settings(database_url=database.url, data_dir=data_dir)
    async with database.engine.connect() as connection:
        outer = await connection.begin()
        shared = _OneConnection(database, connection)
        async with shared.session_scope() as session:
            people = await _people(session)
            await sites.create(session, SiteCreate(name="berlin"), people["admin"])
            targets = {target: await _things(session, people, target) for target in TARGETS}
            await posting.create(session, people["member"], run_body(project="elsewhere"), None)
            await site_live.register(session)
            secrets = await _secrets(session, people, "elsewhere")

        @asynccontextmanager
        async def undo() -> AsyncIterator[None]:
            savepoint = await connection.begin_nested()
            try:
                yield
            finally:
                await savepoint.rollback()

        app = create_app(settings)
        app.state.resources = Resources(settings, shared, EventHub(shared))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="https://lab.test") as http:
            yield Lab(app, http, secrets, targets, undo)
        await outer.rollback()
