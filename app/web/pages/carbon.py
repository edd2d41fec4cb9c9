"""Carbon: the intensity of each site's grid by hour, and the lab's load over it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query, Request, Response

from app.api.access import READ
from app.api.deps import Caller, CurrentSession, ServerResources
from app.schemas.common import StoredName
from app.services import carbon_hours
from app.services.errors import InvalidError, NotFoundError
from app.services.factors import sites
from app.services.factors.resolution import DEFAULT_SITE
from app.web.drawn import drawn
from app.web.forms import Filled
from app.web.parameters import From, NamedPeriod, To
from app.web.rendering import page_router, render
from app.web.views import carbon as carbon_views
from app.web.views import periods
from app.web.views.periods import InvalidPeriodError, Named

router = page_router()
PERIODS: tuple[Named, ...] = ("24h", "7d", "30d", "month")
DURATIONS_H = (1, 2, 4, 8, 12, 24, 48)


@router.get("/carbon", dependencies=[READ])
async def show_carbon(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    resources: ServerResources,
    site: Annotated[Filled[StoredName], Query()] = None,
    period: NamedPeriod = None,
    first: From = None,
    last: To = None,
    duration_h: Annotated[int, Query(ge=1, le=72)] = 4,
    start_hour: Annotated[Filled[int], Query(ge=0, le=23)] = None,
) -> Response:
    """A site's hours."""
    now = datetime.now(UTC)
    names = [row.name for row in (await sites.list_all(session)).items]
    chosen = periods.period(None, None, None, now, "7d", PERIODS)
    shown: dict[str, Any] = {"carbon": None, "problem": None}
    selected = site or (names[0] if names else DEFAULT_SITE)
    try:
        chosen = periods.period(period, first, last, now, "7d", PERIODS)
        read = await carbon_hours.read(
            session,
            resources.settings,
            selected,
            start=chosen.start,
            stop=chosen.stop,
            duration_h=duration_h,
            start_hour=start_hour,
        )
        view = carbon_views.carbon(read)
        views = [await drawn(session, chart) for chart in (view.intensity, view.load)]
        shown |= {"carbon": view, "charts": [each for each in views if each is not None]}
    except (InvalidPeriodError, InvalidError, NotFoundError) as error:
        shown["problem"] = str(error)
    return render(
        request,
        "carbon.html",
        status=422 if shown["problem"] else 200,
        sites=names if DEFAULT_SITE in names else [*names, DEFAULT_SITE],
        site=selected,
        period=chosen,
        durations=DURATIONS_H,
        duration_h=duration_h,
        start_hour=start_hour,
        **shown,
    )
