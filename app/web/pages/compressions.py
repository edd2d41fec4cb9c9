"""What compression cost, what it saves, and when it has paid back."""

from __future__ import annotations

import uuid
from typing import Annotated

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
from app.web.views.compressions import compressions_view

router = page_router()
Text = Annotated[Filled[StoredName], Query()]


@router.get("/insights/compressions", dependencies=[READ])
async def show_compressions(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    project: Text = None,
    experiment: Text = None,
    tag: Annotated[list[Filled[StoredName]] | None, Query(max_length=20)] = None,
    run: Annotated[Filled[uuid.UUID], Query()] = None,
    baseline: Text = None,
    inferences: Annotated[Filled[int], Query(ge=1, le=10**15)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> Response:
    """The ledger, and the energy of one run's variants against inferences."""
    tags = [name for name in tag or () if name]
    ledger = await insights.compressions(
        session,
        caller,
        RunFilter(project=project, experiment=experiment, tags=tags, statuses=insights.FINAL),
        limit=limit,
        baseline=baseline,
        inferences=inferences,
    )
    view = compressions_view(
        ledger,
        run_id=None if run is None else str(run),
        baseline=baseline or "",
        inferences=inferences,
    )
    await charts.keep(session, [view.chart] if view.chart else [])
    return render(
        request,
        "compressions.html",
        view=view,
        chart=chart_view(view.chart) if view.chart else None,
        state=shared.query(request.query_params.multi_items()),
        is_filtered=bool(project or experiment or tags),
    )
