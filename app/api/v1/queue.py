"""The queue of each pool."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from app.api.access import READ
from app.api.branches import Branch
from app.api.deps import Caller, CurrentSession, Limit
from app.api.v1.responses import problems
from app.schemas.queue import QueueRead
from app.services.queueing import pool_queue
from pricetag.recipes.run_spec import POOL_PATTERN

router = Branch(prefix="/queue", tags=["runs"])


@router.get("", dependencies=[READ], summary="Show the queue of each pool", responses=problems())
async def get_queue(
    session: CurrentSession,
    caller: Caller,
    pool: Annotated[
        str | None, Query(pattern=POOL_PATTERN, description="Only this pool of workers.")
    ] = None,
    limit: Limit = 50,
) -> QueueRead:
    """Lists the queued runs of each pool in the order in which workers take them, each with the
    reason why it waits and its expected start. The start is calculated from the progress of the
    running runs and the quotes of the runs ahead; it is null with a reason where these are
    unknown. `limit` is the number of runs of each pool. Runs that you may not see keep their
    position and are counted, but not listed.
    """
    return await pool_queue.read(session, caller, pool=pool, limit=limit)
