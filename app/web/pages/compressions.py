"""What compression cost, what it saves, and when it has paid back."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Query, Request, Response

from app.api.access import READ
from app.api.deps import Caller, CurrentSession
from app.services import insights
from app.web.drawn import drawn
from app.web.forms import Filled
from app.web.parameters import Newest, Selection, Text
from app.web.rendering import page_router, render
from app.web.views import insights as shared
from app.web.views.compressions import compressions_view

router = page_router()


@router.get("/insights/compressions", dependencies=[READ])
async def show_compressions(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    selected: Selection,
    run: Annotated[Filled[uuid.UUID], Query()] = None,
    baseline: Text = None,
    inferences: Annotated[Filled[int], Query(ge=1, le=10**15)] = None,
    limit: Newest = 100,
) -> Response:
    """The ledger, and the energy of one run's variants against inferences."""
    ledger = await insights.compressions(
        session,
        caller,
        selected.filters,
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
    return render(
        request,
        "compressions.html",
        view=view,
        chart=await drawn(session, view.chart),
        state=shared.query(request.query_params.multi_items()),
        is_filtered=selected.is_filtered,
    )
