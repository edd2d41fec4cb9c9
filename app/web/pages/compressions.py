"""Cost and savings of compression, and the break-even."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import Field

from app.api.access import READ
from app.api.deps import Caller, CurrentSession
from app.db import Session
from app.schemas.common import StoredName
from app.services.insights import reading
from app.services.principals import Principal
from app.web.asked import Asked, asking
from app.web.drawn import drawn
from app.web.forms import Filled
from app.web.parameters import SelectionQuery
from app.web.rendering import page_router, render
from app.web.views import insights as shared
from app.web.views.compressions import compressions_view

router = page_router()


class CompressionsQuery(SelectionQuery):
    """Query of the page of compressions."""

    run: Filled[uuid.UUID] = Field(None, title="Drawn run")
    baseline: Filled[StoredName] = Field(None, title="Baseline")
    inferences: Filled[Annotated[int, Field(ge=1, le=10**15)]] = Field(
        None, title="Expected inferences"
    )


AskedCompressions = Annotated[Asked[CompressionsQuery], Depends(asking(CompressionsQuery))]


@router.get("/insights/compressions", dependencies=[READ])
async def show_compressions(
    request: Request, session: CurrentSession, caller: Caller, asked: AskedCompressions
) -> Response:
    """The ledger, and the energy of one run's variants against inferences."""
    empty: dict[str, Any] = {"view": None, "chart": None, "baselines": [("", "First measured")]}
    asked, shown = await asked.show(lambda query: _shown(session, caller, query), empty)
    return render(
        request,
        "compressions.html",
        status=asked.status,
        form=asked.form,
        state=shared.query(request.query_params.multi_items()),
        is_filtered=asked.query.is_filtered,
        **shown,
    )


async def _shown(session: Session, caller: Principal, query: CompressionsQuery) -> dict[str, Any]:
    ledger = await reading.compressions(
        session,
        caller,
        query.filters,
        limit=query.limit,
        baseline=query.baseline,
        inferences=query.inferences,
    )
    view = compressions_view(
        ledger,
        run_id=None if query.run is None else str(query.run),
        baseline=query.baseline or "",
        inferences=query.inferences,
    )
    return {
        "view": view,
        "chart": await drawn(session, view.chart),
        "baselines": view.baselines,
    }
