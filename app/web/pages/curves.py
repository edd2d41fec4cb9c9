"""Expected best score against cost, by method."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from fastapi import Depends, Request, Response
from pydantic import Field

from app.api.access import READ
from app.api.deps import Caller, CurrentSession
from app.api.v1.insights import MOST_METHODS
from app.db import Session
from app.schemas.common import StoredName
from app.services.insights import reading
from app.services.principals import Principal
from app.web.asked import Asked, asking
from app.web.choices import Choices
from app.web.drawn import drawn
from app.web.forms import Filled
from app.web.parameters import ScoreQuery
from app.web.rendering import page_router, render
from app.web.views import insights as shared
from app.web.views.curves import curves_view
from pricetag.tag.axes import Spending

router = page_router()
DRAWS = {"without": "Without", "with": "With"}
LOGARITHMIC = {"cost": "Cost"}


class CurvesQuery(ScoreQuery):
    """Query of the page of expected validation."""

    choices: ClassVar[Choices] = {"metric": shared.SPENT, "draws": DRAWS, "log": LOGARITHMIC}
    metric: Spending = Field("it_energy_kwh", title="Cost")
    method: list[StoredName] = Field([], max_length=MOST_METHODS, title="Tags of the methods")
    draws: Literal["without", "with"] = Field("without", title="Replacement")
    budget: Filled[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(None, title="Budget")
    log: Filled[Literal["cost"]] = Field(None, title="Logarithmic")


AskedCurves = Annotated[Asked[CurvesQuery], Depends(asking(CurvesQuery))]


@router.get("/insights/curves", dependencies=[READ])
async def show_curves(
    request: Request, session: CurrentSession, caller: Caller, asked: AskedCurves
) -> Response:
    """Curves of the methods, with crossings and a budget."""
    state = shared.query(request.query_params.multi_items())
    empty: dict[str, Any] = {"view": None, "chart": None, "scores": []}
    asked, shown = await asked.show(lambda query: _shown(session, caller, query, state), empty)
    return render(
        request,
        "curves.html",
        status=asked.status,
        form=asked.form,
        state=state,
        methods=[*state.all("method"), *[""] * MOST_METHODS][
            : max(MOST_METHODS, len(state.all("method")))
        ],
        costs=list(shared.SPENT.items()),
        draws=list(DRAWS.items()),
        logarithmic=list(LOGARITHMIC.items()),
        is_filtered=asked.query.is_filtered or bool(asked.query.method),
        **shown,
    )


async def _shown(
    session: Session, caller: Principal, query: CurvesQuery, state: shared.Query
) -> dict[str, Any]:
    read = await reading.expected_validation(
        session,
        caller,
        query.filters,
        metric=query.metric,
        wanted=query.score,
        methods=list(dict.fromkeys(query.method)),
        with_replacement=query.draws == "with",
        limit=query.limit,
    )
    view = curves_view(read, query.metric, budget=query.budget, log=query.log is not None)
    return {
        "view": view,
        "chart": await drawn(session, view.chart),
        "scores": shared.scores(read.kinds, read.kind, state),
    }
