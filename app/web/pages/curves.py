"""Expected best score against cost, by method."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Request, Response

from app.api.access import READ
from app.api.deps import Caller, CurrentSession
from app.api.v1.insights import MOST_METHODS
from app.schemas.common import StoredName
from app.services import charts, insights
from app.services.runs.listing import RunFilter
from app.web.forms import Filled
from app.web.rendering import page_router, render
from app.web.views import insights as shared
from app.web.views.charts import chart_view
from app.web.views.curves import curves_view
from pricetag.tag.ratios import Metric

router = page_router()
Text = Annotated[Filled[StoredName], Query()]


@router.get("/insights/curves", dependencies=[READ])
async def show_curves(
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
    method: Annotated[list[Filled[StoredName]] | None, Query(max_length=MOST_METHODS)] = None,
    draws: Literal["without", "with"] = "without",
    budget: Annotated[Filled[float], Query(gt=0, allow_inf_nan=False)] = None,
    log: Annotated[Literal["cost"] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> Response:
    """Curves of the methods, with crossings and a budget."""
    tags = [name for name in tag or () if name]
    read = await insights.expected_validation(
        session,
        caller,
        RunFilter(project=project, experiment=experiment, tags=tags, statuses=insights.FINAL),
        metric=metric,
        wanted={"metric": quality, "split": split, "task": task, "data": data},
        methods=list(dict.fromkeys(name for name in method or () if name)),
        with_replacement=draws == "with",
        limit=limit,
    )
    view = curves_view(read, metric, budget=budget, log=log == "cost")
    await charts.keep(session, [view.chart] if view.chart else [])
    state = shared.query(request.query_params.multi_items())
    return render(
        request,
        "curves.html",
        view=view,
        chart=chart_view(view.chart) if view.chart else None,
        state=state,
        methods=[*state.all("method"), *[""] * MOST_METHODS][:MOST_METHODS],
        costs=shared.costs(metric),
        draws=shared.choices((("without", "Without"), ("with", "With")), draws),
        scores=shared.scores(read.kinds, read.kind, state),
        log=log,
        is_filtered=bool(project or experiment or tags or method),
    )
