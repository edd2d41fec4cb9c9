"""Power of a run as a picture: for print and papers, and without script."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from app.api.access import SEE_RUN
from app.api.deps import Caller, CurrentSession, RunId
from app.services.energy import power
from app.services.errors import NotFoundError
from app.services.runs import reading
from app.services.saved import charts
from app.web.drawn import drawn
from app.web.forms import Filled
from app.web.links import to
from app.web.rendering import page_router, render, section
from app.web.views.run_charts import power_chart

router = page_router()

POINTS = 1000
OF_RUNS = section("show_runs")
Attempt = Annotated[Filled[Annotated[int, Field(ge=1, le=2**31 - 1)]], Query()]


@router.get("/runs/{run_id}/power", dependencies=[SEE_RUN], openapi_extra=OF_RUNS)
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


@router.get("/runs/{run_id}/power.svg", dependencies=[SEE_RUN], openapi_extra=OF_RUNS)
async def draw_run_power(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    run_id: RunId,
    attempt: Attempt = None,
) -> Response:
    """The picture alone, which a printed page has instead of what its script draws.

    Raises:
        NotFoundError: If no power was recorded.
    """
    run = await reading.read(session, caller, run_id)
    chart = power_chart(await power.run_power(session, run_id, attempt, POINTS), run)
    if chart is None:
        raise NotFoundError("No power of this run was recorded.")
    await charts.keep(session, [chart])
    return RedirectResponse(to(request, f"/v1/charts/{chart.sha256}.svg"), 303)
