"""Quality against cost of several runs."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Request, Response

from app.api.access import READ
from app.api.deps import Caller, CurrentSession
from app.services import insights
from app.web.drawn import drawn
from app.web.parameters import Newest, Score, Selection, Text
from app.web.rendering import page_router, render
from app.web.views import insights as shared
from app.web.views.frontier import Settings, frontier_view
from pricetag.tag.ratios import Metric

router = page_router()


@router.get("/insights/frontier", dependencies=[READ])
async def show_frontier(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    selected: Selection,
    score: Score,
    metric: Metric = "it_energy_kwh",
    by: Text = None,
    log: Annotated[list[Literal["cost", "quality"]] | None, Query(max_length=2)] = None,
    whiskers: Literal["shown", "hidden"] = "shown",
    limit: Newest = 100,
) -> Response:
    """Runs with cost and quality, and those that no other run beats."""
    read = await insights.frontier(
        session,
        caller,
        selected.filters,
        metric=metric,
        wanted=score,
        limit=limit,
    )
    view = frontier_view(read, Settings(metric, by or "", log or (), whiskers == "shown"))
    state = shared.query(request.query_params.multi_items())
    return render(
        request,
        "frontier.html",
        view=view,
        chart=await drawn(session, view.chart),
        state=state,
        costs=shared.costs(metric),
        scores=shared.scores(read.kinds, read.kind, state),
        log=log or (),
        whiskers=whiskers,
        limit=limit,
        is_filtered=selected.is_filtered,
    )
