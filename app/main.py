"""The server: the application and its background tasks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi import Depends, FastAPI

import pricetag
from app import errors
from app.api import access, branches, browsers, codecarbon, health, metrics, openapi
from app.api.deps import Resources, reject_unknown_query
from app.api.v1.router import router as v1
from app.cancellation import end_tasks
from app.db import Database, keep_database_up, resolve_database_url
from app.edge import bodies, paths, prefixes, proxies, request_ids, traffic
from app.housekeeping import (
    keep_codecarbon,
    keep_headlines,
    keep_house,
    keep_packed,
    keep_rolled_up,
    keep_studies,
)
from app.services.live.events import EventHub
from app.settings import Settings, get_settings
from app.web import install as web

log = logging.getLogger("pricetag.server")

DESCRIPTION = """
Post a job; a worker runs and meters it; the price tag reports its energy, emissions, cost and
quality. Every figure has a unit, an interval and a source; unknown figures are null with a
reason. Errors are `application/problem+json` (RFC 9457) with a stable `code`.
"""

TAGS = [
    {"name": "runs", "description": "Jobs: lists of stages, each with its own price."},
    {"name": "studies", "description": "Searches over runs of one job, with a budget."},
    {"name": "measurements", "description": "Measurements and reports of a run."},
    {"name": "artifacts", "description": "Files written by runs."},
    {"name": "price tags", "description": "Energy, emissions, cost and quality of a run."},
    {"name": "factors", "description": "Sites, and the factors that apply to their energy."},
    {"name": "prices", "description": "The lab's own price book."},
    {"name": "insights", "description": "What several runs show together."},
    {"name": "intake", "description": "Journals of runs that no queue started."},
    {"name": "reports", "description": "Price tags of several runs, in six formats."},
    {"name": "shares", "description": "Links that show results to people without a token."},
    {"name": "recipes", "description": "Stage kinds of a run."},
    {"name": "projects", "description": "Projects and their experiments."},
    {"name": "nodes", "description": "Worker machines."},
    {"name": "users", "description": "People and services, and who you are."},
    {
        "name": "tokens",
        "description": "API tokens with the roles ingest, viewer, member and admin.",
    },
    {
        "name": "budgets",
        "description": "Limits on energy, emissions and cost, and the amounts left.",
    },
    {"name": "audit", "description": "Log of changes: who changed what, and when."},
    {"name": "quotes", "description": "Predicted energy, emissions and cost of work."},
    {"name": "health", "description": "Health checks for load balancers and supervisors."},
]


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; its database is opened when it starts.

    Args:
        settings: Configuration; the settings of the process by default.
    """
    config = settings or get_settings()
    requests = traffic.Traffic()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        url = await asyncio.to_thread(resolve_database_url, config)
        database = Database(url, application_name="pricetag server")
        hub = EventHub(database)
        resources = Resources(config, database, hub)
        app.state.resources = resources
        async with _running(
            ("events", hub.listen),
            ("live power", resources.live.listen),
            ("live pages", resources.live.keep_ticking),
            ("housekeeping", lambda: keep_house(config, database, resources.alarms)),
            ("roll-ups", lambda: keep_rolled_up(database, resources.alarms, resources.notices)),
            ("studies", lambda: keep_studies(config, database, hub)),
            ("CodeCarbon", lambda: keep_codecarbon(database)),
            ("packing", lambda: keep_packed(database, resources.alarms)),
            ("headlines", lambda: keep_headlines(database, requests)),
            ("database", lambda: keep_database_up(config)),
        ):
            yield
        await resources.charts.close()
        await database.dispose()

    app = FastAPI(
        title="Pricetag",
        summary="A price tag on machine-learning work.",
        description=DESCRIPTION.strip(),
        version=pricetag.__version__,
        openapi_tags=TAGS,
        lifespan=lifespan,
        dependencies=[Depends(reject_unknown_query), Depends(browsers.require_own_forms)],
        generate_unique_id_function=openapi.operation_id,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would trust the Host that the client sent
    )
    for branch in (health.router, metrics.router, codecarbon.router, v1):
        branches.install(app, branch)
    errors.install(app)
    openapi.install(app)
    web.install(app)
    bodies.install(app, config.max_body_bytes)
    paths.install(app)
    traffic.install(app, requests)
    prefixes.install(app, config.trusted_proxies, config.public_url)
    proxies.install(app, config.trusted_proxies)
    request_ids.install(app)
    access.require_everywhere(app)
    return app


@contextlib.asynccontextmanager
async def _running(
    *jobs: tuple[str, Callable[[], Coroutine[Any, Any, None]]],
) -> AsyncIterator[None]:
    """Runs background tasks; the failure of one is logged, and the server continues."""
    tasks = [asyncio.create_task(_logged(name, job), name=name) for name, job in jobs]
    try:
        yield
    finally:
        await end_tasks(tasks)


async def _logged(name: str, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await job()
    except Exception:
        log.exception("the server's %s task ended", name)
        raise
