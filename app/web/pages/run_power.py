"""Power of a run as a picture: for print and papers, and without script."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import Field

from app.api.access import SEE_RUN
from app.api.deps import Caller, CurrentSession, RunId
from app.services.energy import power
from app.services.runs import reading
from app.web.drawn import drawn
from app.web.forms import Filled
from app.web.rendering import page_router, render, section
from app.web.views.run_charts import power_chart

router = page_router()

POINTS = 1000
Attempt = Annotated[Filled[Annotated[int, Field(ge=1, le=2**31 - 1)]], Query()]


@router.get("/runs/{run_id}/power", dependencies=[SEE_RUN], openapi_extra=section("show_runs"))
async def show_run_power(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    run_id: RunId,
    attempt: Attempt = None,
) -> Response:
    """The chart of power with its table and its files."""
    run = await reading.read(session, caller, run_id)
    chart = power_chart(await power.run_power(session, run_id, attempt, POINTS), run)
    return render(request, "run_picture.html", run=run, chart=await drawn(session, chart))
