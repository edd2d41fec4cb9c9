"""The server: the application, and what runs beside its requests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi import Depends, FastAPI

import pricetag
from app import errors
from app.api import access, docs_page, health, openapi
from app.api.deps import Resources, refuse_unknown_query
from app.api.v1.router import router as v1
from app.cancellation import end_tasks
from app.db import Database, keep_database_up, resolve_database_url
from app.edge import bodies
from app.housekeeping import keep_house
from app.services.events import EventHub
from app.settings import Settings, get_settings

log = logging.getLogger("pricetag.server")

DESCRIPTION = """
Post a job; a worker runs and meters it; the price tag tells what it used, emitted, cost and
achieved. Every figure bears its unit, its interval and its source; what is unknown is null
with a reason. Errors are `application/problem+json` (RFC 9457) with a stable `code`.
"""

TAGS = [
    {"name": "runs", "description": "Jobs: a list of stages, each with its own price."},
    {"name": "measurements", "description": "What was measured and reported while a run ran."},
    {"name": "artifacts", "description": "Files that runs left behind."},
    {"name": "price tags", "description": "What a run used, emitted, cost and achieved."},
    {"name": "factors", "description": "Sites, and what their energy is multiplied with."},
    {"name": "prices", "description": "The lab's own price book."},
    {"name": "reports", "description": "Price tags of several runs, in six formats."},
    {"name": "recipes", "description": "The stage kinds a run may have."},
    {"name": "projects", "description": "Projects and their experiments."},
    {"name": "nodes", "description": "Worker machines."},
    {"name": "users", "description": "People and services, and who you are."},
    {"name": "tokens", "description": "Who may call: ingest, viewer, member, admin."},
    {"name": "budgets", "description": "What may be used, and how much of it is left."},
    {"name": "audit", "description": "Who changed what, and when."},
    {"name": "quotes", "description": "The arithmetic of a price tag without a run."},
    {"name": "health", "description": "For load balancers and supervisors."},
]


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; its database is opened when it starts.

    Args:
        settings: Configuration; the process's own without it.
    """
    chosen = settings or get_settings()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        url = await asyncio.to_thread(resolve_database_url, chosen)
        database = Database(url, application_name="pricetag server")
        hub = EventHub(database)
        app.state.resources = Resources(chosen, database, hub)
        async with _running(
            ("events", hub.listen),
            ("housekeeping", lambda: keep_house(chosen, database)),
            ("database", lambda: keep_database_up(chosen)),
        ):
            yield
        await database.dispose()

    app = FastAPI(
        title="Pricetag",
        summary="A price tag on machine-learning work.",
        description=DESCRIPTION.strip(),
        version=pricetag.__version__,
        openapi_tags=TAGS,
        lifespan=lifespan,
        dependencies=[Depends(refuse_unknown_query)],
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would trust the Host that the client sent
    )
    app.include_router(health.router)
    app.include_router(v1)
    errors.install(app)
    openapi.install(app)
    docs_page.install(app)
    bodies.install(app, chosen.max_body_bytes)
    access.require_everywhere(app)
    return app


@contextlib.asynccontextmanager
async def _running(
    *jobs: tuple[str, Callable[[], Coroutine[Any, Any, None]]],
) -> AsyncIterator[None]:
    """Runs these beside the requests; one that fails is told, and the server goes on."""
    tasks = [asyncio.create_task(_told(name, job), name=name) for name, job in jobs]
    try:
        yield
    finally:
        await end_tasks(tasks)


async def _told(name: str, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await job()
    except Exception:
        log.exception("the server's %s task ended", name)
        raise
