"""Expected best score against cost, by method."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Request, Response

from app.api.access import READ
from app.api.deps import Caller, CurrentSession
from app.api.v1.insights import MOST_METHODS
from app.schemas.common import StoredName
from app.services import insights
from app.web.drawn import drawn
from app.web.forms import Filled
from app.web.parameters import Newest, Score, Selection
from app.web.rendering import page_router, render
from app.web.views import insights as shared
from app.web.views.curves import curves_view
from pricetag.tag.ratios import Metric

router = page_router()


@router.get("/insights/curves", dependencies=[READ])
async def show_curves(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    selected: Selection,
    score: Score,
    metric: Metric = "it_energy_kwh",
    method: Annotated[list[Filled[StoredName]] | None, Query(max_length=MOST_METHODS)] = None,
    draws: Literal["without", "with"] = "without",
    budget: Annotated[Filled[float], Query(gt=0, allow_inf_nan=False)] = None,
    log: Annotated[Literal["cost"] | None, Query()] = None,
    limit: Newest = 100,
) -> Response:
    """Curves of the methods, with crossings and a budget."""
    read = await insights.expected_validation(
        session,
        caller,
        selected.filters,
        metric=metric,
        wanted=score,
        methods=list(dict.fromkeys(name for name in method or () if name)),
        with_replacement=draws == "with",
        limit=limit,
    )
    view = curves_view(read, metric, budget=budget, log=log == "cost")
    state = shared.query(request.query_params.multi_items())
    return render(
        request,
        "curves.html",
        view=view,
        chart=await drawn(session, view.chart),
        state=state,
        methods=[*state.all("method"), *[""] * MOST_METHODS][:MOST_METHODS],
        costs=shared.costs(metric),
        draws=shared.choices((("without", "Without"), ("with", "With")), draws),
        scores=shared.scores(read.kinds, read.kind, state),
        log=log,
        is_filtered=selected.is_filtered or bool(method),
    )
