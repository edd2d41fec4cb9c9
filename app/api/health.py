"""Liveness and readiness checks, which need no token."""

from __future__ import annotations

import pricetag
from app.api.access import OPEN
from app.api.branches import Branch
from app.api.deps import CurrentSession, ServerResources
from app.api.v1.responses import open_problems
from app.schemas.health import Health, Readiness
from app.services.health import readiness

router = Branch(tags=["health"])


@router.get(
    "/healthz",
    dependencies=[OPEN],
    summary="Liveness check",
    responses=open_problems(),
)
async def get_health() -> Health:
    """Responds without accessing the database."""
    return Health(status="ok", version=pricetag.__version__)


@router.get(
    "/readyz",
    dependencies=[OPEN],
    summary="Readiness check",
    responses=open_problems(503),
)
async def get_readiness(session: CurrentSession, resources: ServerResources) -> Readiness:
    """Checks that the database responds and has the current schema; lists alarms and notices."""
    return Readiness(
        status="ready",
        revision=await readiness.check(session),
        alarms=list(resources.alarms.messages),
        notices=list(resources.notices.messages),
    )
