"""Liveness and readiness checks, which need no token."""

from __future__ import annotations

from fastapi import APIRouter

import pricetag
from app.api.access import OPEN
from app.api.deps import CurrentSession, Held
from app.api.v1.responses import open_problems
from app.schemas.health import Health, Readiness
from app.services import readiness

router = APIRouter(tags=["health"])


@router.get(
    "/healthz",
    operation_id="getHealth",
    dependencies=[OPEN],
    summary="Liveness check",
    responses=open_problems(),
)
async def healthz() -> Health:
    """Responds without accessing the database."""
    return Health(status="ok", version=pricetag.__version__)


@router.get(
    "/readyz",
    operation_id="getReadiness",
    dependencies=[OPEN],
    summary="Readiness check",
    responses=open_problems(503),
)
async def readyz(session: CurrentSession, held: Held) -> Readiness:
    """Checks that the database responds and has the newest schema, and shows alarms."""
    return Readiness(
        status="ready",
        revision=await readiness.check(session),
        alarms=list(held.alarms.messages),
    )
