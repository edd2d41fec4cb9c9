"""The API in this process, and runs with everything a worker would have left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI

from app.api.deps import Resources
from app.charts.drawing import Drawing
from app.db import Database, Session
from app.main import create_app
from app.schemas.common import Role
from app.schemas.tokens import TokenCreate
from app.services.attempts import execution
from app.services.live.events import EventHub
from app.services.people import tokens
from app.services.principals import Principal
from app.settings import Settings
from tests.support.executions import JournalMaker, claimed, make_run

ROLES: tuple[Role, ...] = ("admin", "member", "viewer")
COMMAND: dict[str, Any] = {"stages": [{"kind": "command", "argv": ["echo", "hi"]}]}


def run_body(**changes: Any) -> dict[str, Any]:
    """The body of a small valid run."""
    return {"project": "text", "experiment": "sst2", "name": "a run", "recipe": COMMAND} | changes


def study_body(**changes: Any) -> dict[str, Any]:
    """The body of a small valid study of commands."""
    field = "recipe.stages.0.env.LR"
    return {
        "name": "a study",
        "base": run_body(),
        "space": [{"kind": "choice", "field": field, "values": ["1", "2", "3"]}],
        "strategy": {"kind": "random", "trials": 4},
        "metric": {"name": "accuracy"},
    } | changes


async def make_token(session: Session, role: Role) -> str:
    """The secret of a new token."""
    return (await tokens.create(session, TokenCreate(name=f"a {role}", role=role))).secret


async def a_principal(session: Session, role: Role = "admin") -> Principal:
    """A caller with a role, as a request would resolve it."""
    return await tokens.authenticate(session, await make_token(session, role))


async def finished_run(session: Session, **values: Any) -> UUID:
    """A run that succeeded: 2400 J in 16 s on a GPU and a CPU, with a price tag."""
    run = await make_run(session, **values)
    claim = await claimed(session, run.id)
    journal = JournalMaker(claim.attempt_id)
    journal.whole()
    await execution.ingest(session, claim.attempt_id, journal.records)
    return run.id


async def running_run(session: Session, seconds: int, **values: Any) -> UUID:
    """A run that has been running for some seconds."""
    run = await make_run(session, **values)
    claim = await claimed(session, run.id)
    journal = JournalMaker(claim.attempt_id)
    journal.start()
    for second in range(seconds + 1):
        journal.read(float(second), gpu_w=100.0 + second)
    await execution.ingest(session, claim.attempt_id, journal.records)
    return run.id


@dataclass(frozen=True)
class Api:
    """An application in this process, on a database, with a client for each role."""

    app: FastAPI
    database: Database
    settings: Settings
    admin: httpx.AsyncClient
    member: httpx.AsyncClient
    viewer: httpx.AsyncClient
    nobody: httpx.AsyncClient

    async def post_run(self, **changes: Any) -> str:
        """Posts a run as the member; returns its ID."""
        response = await self.member.post("/v1/runs", json=run_body(**changes))
        assert response.status_code == 202, response.text
        return str(response.json()["id"])


@contextmanager
def application(database: Database, settings: Settings) -> Iterator[FastAPI]:
    """An application that no other test uses at the same time, on a database that is open already.

    Its routes take longer to build than most tests of them: the next test uses them again. What
    a test gives it is in its resources alone.
    """
    unused = _unused.setdefault(settings.max_body_bytes, [])
    app = unused.pop() if unused else create_app(settings)
    app.state.resources = Resources(settings, database, EventHub(database))
    try:
        yield app
    finally:
        del app.state.resources
        unused.append(app)


_unused: dict[int, list[FastAPI]] = {}
"""Applications by the one setting that they are built with."""


@asynccontextmanager
async def serving(
    database: Database, settings: Settings, charts: Drawing | None = None
) -> AsyncIterator[Api]:
    """The application on a database that is open already; nothing runs beside requests.

    Args:
        database: The database.
        settings: Settings of the server.
        charts: Draws the charts; by default its own process.
    """
    async with AsyncExitStack() as stack:
        app = stack.enter_context(application(database, settings))
        if charts is None:
            stack.push_async_callback(app.state.resources.charts.close)
        else:
            app.state.resources.charts = charts

        async def client(secret: str | None) -> httpx.AsyncClient:
            opened = httpx.AsyncClient(
                # As uvicorn does: an exception becomes its answer, and is not raised here.
                transport=httpx.ASGITransport(app, raise_app_exceptions=False),
                base_url="http://pricetag.test",
                headers={"Authorization": f"Bearer {secret}"} if secret else {},
            )
            return await stack.enter_async_context(opened)

        async with database.session_scope() as session:
            secrets = {role: await make_token(session, role) for role in ROLES}
        yield Api(
            app=app,
            database=database,
            settings=settings,
            admin=await client(secrets["admin"]),
            member=await client(secrets["member"]),
            viewer=await client(secrets["viewer"]),
            nobody=await client(None),
        )


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The error document of an answer, which must be this one."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    document: dict[str, Any] = response.json()
    assert (response.status_code, document["status"], document["code"]) == (status, status, code), (
        document
    )
    assert document["type"] == f"urn:pricetag:problem:{code}"
    assert document["detail"]
    return document


def fields(document: dict[str, Any]) -> list[str | None]:
    """The fields that an error document names."""
    return [error["field"] for error in document["errors"]]
