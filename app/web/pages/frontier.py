"""Quality against cost of several runs."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Request, Response

from app.api.access import READ
from app.api.deps import Caller, CurrentSession
from app.schemas.common import StoredName
from app.services import charts, insights
from app.services.runs.listing import RunFilter
from app.web.forms import Filled
from app.web.rendering import page_router, render
from app.web.views import insights as shared
from app.web.views.charts import chart_view
from app.web.views.frontier import Settings, frontier_view
from pricetag.tag.ratios import Metric

router = page_router()
Text = Annotated[Filled[StoredName], Query()]


@router.get("/insights/frontier", dependencies=[READ])
async def show_frontier(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    project: Text = None,
    experiment: Text = None,
    tag: Annotated[list[Filled[StoredName]] | None, Query(max_length=20)] = None,
    metric: Metric = "it_energy_kwh",
    quality: Text = None,
    split: Text = None,
    task: Text = None,
    data: Text = None,
    by: Text = None,
    log: Annotated[list[Literal["cost", "quality"]] | None, Query(max_length=2)] = None,
    whiskers: Literal["shown", "hidden"] = "shown",
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> Response:
    """Runs with cost and quality, and those that no other run beats."""
    tags = [name for name in tag or () if name]
    read = await insights.frontier(
        session,
        caller,
        RunFilter(project=project, experiment=experiment, tags=tags, statuses=insights.FINAL),
        metric=metric,
        wanted={"metric": quality, "split": split, "task": task, "data": data},
        limit=limit,
    )
    view = frontier_view(read, Settings(metric, by or "", log or (), whiskers == "shown"))
    await charts.keep(session, [view.chart] if view.chart else [])
    state = shared.query(request.query_params.multi_items())
    return render(
        request,
        "frontier.html",
        view=view,
        chart=chart_view(view.chart) if view.chart else None,
        state=state,
        costs=shared.costs(metric),
        scores=shared.scores(read.kinds, read.kind, state),
        log=log or (),
        whiskers=whiskers,
        limit=limit,
        is_filtered=bool(project or experiment or tags),
    )
