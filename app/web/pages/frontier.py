"""Quality against cost of several runs."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from fastapi import Depends, Request, Response
from pydantic import Field

from app.api.access import READ
from app.api.deps import Caller, CurrentSession
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
from app.web.views.frontier import GROUPINGS, Settings, frontier_view
from pricetag.tag.axes import Axis

router = page_router()
WHISKERS = {"shown": "Shown", "hidden": "Hidden"}
LOGARITHMIC = {"cost": "Across", "quality": "Quality"}


class FrontierQuery(ScoreQuery):
    """Query of the page of the frontier."""

    choices: ClassVar[Choices] = {
        "metric": shared.AXES,
        "log": LOGARITHMIC,
        "whiskers": WHISKERS,
    }
    metric: Axis = Field("it_energy_kwh", title="Against")
    by: Filled[StoredName] = Field(None, title="Group by")
    log: list[Literal["cost", "quality"]] = Field([], max_length=2, title="Logarithmic")
    whiskers: Literal["shown", "hidden"] = Field("shown", title="Intervals")


AskedFrontier = Annotated[Asked[FrontierQuery], Depends(asking(FrontierQuery))]


@router.get("/insights/frontier", dependencies=[READ])
async def show_frontier(
    request: Request, session: CurrentSession, caller: Caller, asked: AskedFrontier
) -> Response:
    """Runs with cost and quality, and those that no other run beats."""
    state = shared.query(request.query_params.multi_items())
    empty: dict[str, Any] = {"view": None, "chart": None, "scores": [], "groupings": GROUPINGS}
    asked, shown = await asked.show(lambda query: _shown(session, caller, query, state), empty)
    return render(
        request,
        "frontier.html",
        status=asked.status,
        form=asked.form,
        state=state,
        axes=list(shared.AXES.items()),
        whiskers=list(WHISKERS.items()),
        logarithmic=list(LOGARITHMIC.items()),
        is_filtered=asked.query.is_filtered,
        **shown,
    )


async def _shown(
    session: Session, caller: Principal, query: FrontierQuery, state: shared.Query
) -> dict[str, Any]:
    read = await reading.frontier(
        session,
        caller,
        query.filters,
        metric=query.metric,
        wanted=query.score,
        limit=query.limit,
    )
    settings = Settings(query.metric, query.by or "", query.log, query.whiskers == "shown")
    view = frontier_view(read, settings)
    return {
        "view": view,
        "chart": await drawn(session, view.chart),
        "scores": shared.scores(read.kinds, read.kind, state),
        "groupings": view.groupings,
    }
