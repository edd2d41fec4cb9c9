"""Carbon: the intensity of each site's grid by hour, and the lab's load over it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from fastapi import Depends, Request, Response
from pydantic import Field

from app.api.access import READ
from app.api.deps import Caller, CurrentSession, ServerResources
from app.db import Session
from app.schemas.common import StoredName
from app.services.carbon import carbon_hours, forecasts
from app.services.energy.ranges import InvalidEnergyRangeError
from app.services.factors import sites
from app.services.factors.resolution import DEFAULT_SITE
from app.services.factors.sites import SiteNotFoundError
from app.settings import Settings
from app.web.asked import Asked, asking
from app.web.choices import Choices
from app.web.drawn import drawn
from app.web.forms import Filled
from app.web.parameters import PeriodQuery, period_of
from app.web.rendering import page_router, render
from app.web.views import carbon as carbon_views
from app.web.views.periods import TITLES, Named, Period

router = page_router()
PERIODS: tuple[Named, ...] = ("24h", "7d", "30d", "month")
DURATIONS = [(1, "1 hour"), *((hours, f"{hours} hours") for hours in (2, 4, 8, 12, 24, 48))]
HOURS = [("", "now"), *((hour, f"{hour}:00 UTC") for hour in range(24))]


class CarbonQuery(PeriodQuery):
    """Query of the page of carbon."""

    choices: ClassVar[Choices] = {"period": {name: TITLES[name] for name in PERIODS}}
    site: Filled[StoredName] = Field(None, title="Site")
    duration_h: int = Field(4, ge=1, le=72, title="Runs of")
    start_hour: Filled[Annotated[int, Field(ge=0, le=23)]] = Field(None, title="From")


AskedCarbon = Annotated[Asked[CarbonQuery], Depends(asking(CarbonQuery))]


@router.get("/carbon", dependencies=[READ])
async def show_carbon(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    resources: ServerResources,
    asked: AskedCarbon,
) -> Response:
    """A site's hours."""
    names = [row.name for row in (await sites.list_all(session)).items]
    period, asked = period_of(asked, "7d", PERIODS)
    selected = asked.query.site or (names[0] if names else DEFAULT_SITE)
    asked = await _checked(session, asked, period, selected)
    shown: dict[str, Any] = {"carbon": None}
    if not asked.form.problems:
        shown = await _shown(session, resources.settings, asked.query, period, selected)
        asked = asked.filled({"site": selected})
    return render(
        request,
        "carbon.html",
        status=asked.status,
        form=asked.form,
        sites=[(name, name) for name in dict.fromkeys([*names, DEFAULT_SITE])],
        period=period,
        durations=DURATIONS,
        hours=HOURS,
        **shown,
    )


async def _checked(
    session: Session, asked: Asked[CarbonQuery], period: Period, site: str
) -> Asked[CarbonQuery]:
    """The query with everything that the service would reject."""
    try:
        carbon_hours.hours_shown(period.start, period.stop)
    except InvalidEnergyRangeError as error:
        asked = asked.rejected(error)
    try:
        if site != DEFAULT_SITE:
            await sites.require(session, site)
    except SiteNotFoundError as error:
        asked = asked.rejected(error)
    return asked


async def _shown(
    session: Session, settings: Settings, query: CarbonQuery, period: Period, site: str
) -> dict[str, Any]:
    read = await carbon_hours.read(
        session,
        settings,
        site,
        start=period.start,
        stop=period.stop,
        duration_h=query.duration_h,
        start_hour=query.start_hour,
    )
    ahead = await forecasts.read(
        session, settings, site, within_h=carbon_views.AHEAD_H, duration_h=query.duration_h
    )
    view = carbon_views.carbon(read, ahead)
    views = [await drawn(session, chart) for chart in (view.intensity, view.load)]
    return {"carbon": view, "charts": [each for each in views if each is not None]}
