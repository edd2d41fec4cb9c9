"""Whether the process lives, and whether it can serve. Neither needs a token."""

from __future__ import annotations

from fastapi import APIRouter

import pricetag
from app.api.access import OPEN
from app.api.deps import CurrentSession
from app.api.v1.responses import open_problems
from app.schemas.health import Health, Readiness
from app.services import readiness

router = APIRouter(tags=["health"])


@router.get(
    "/healthz",
    operation_id="getHealth",
    dependencies=[OPEN],
    summary="The process lives",
    responses=open_problems(),
)
async def healthz() -> Health:
    """Answers without looking at the database."""
    return Health(status="ok", version=pricetag.__version__)


@router.get(
    "/readyz",
    operation_id="getReadiness",
    dependencies=[OPEN],
    summary="The server can serve",
    responses=open_problems(503),
)
async def readyz(session: CurrentSession) -> Readiness:
    """The database answers and is migrated to the newest schema."""
    return Readiness(status="ready", revision=await readiness.check(session))
