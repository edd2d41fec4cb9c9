"""The energy account: by use, node, component, site, project or user, over time."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from fastapi import Depends, Request, Response
from pydantic import Field

from app.api.access import READ
from app.api.deps import Caller, CurrentSession, ServerResources
from app.charts.chart import LAB
from app.db import Session
from app.schemas.common import StoredName
from app.schemas.energy import Grain, TimeBy
from app.services.carbon import emissions
from app.services.energy import over_time
from app.services.energy.account import NodeNotFoundError, energy_account, require_node
from app.services.energy.ranges import InvalidEnergyRangeError
from app.services.errors import InvalidError
from app.services.overview import work
from app.services.principals import Principal
from app.web.asked import Asked, asking
from app.web.choices import Choices
from app.web.drawn import drawn
from app.web.forms import Filled
from app.web.parameters import AskedPeriod, ChosenPeriod, PeriodQuery, period_of
from app.web.rendering import page_router, render, section
from app.web.views import emissions as emission_views
from app.web.views import energy as energy_views
from app.web.views.periods import Named, Period

router = page_router()
DEFAULT: Named = "7d"
CSV = "text/csv; charset=utf-8"


class EnergyQuery(PeriodQuery):
    """Query of the page of energy."""

    choices: ClassVar[Choices] = {
        **PeriodQuery.choices,
        "by": energy_views.BY_TITLES,
        "grain": energy_views.GRAINS,
    }
    by: TimeBy = Field("use", title="By")
    grain: Filled[Grain] = Field(None, title="Bars")
    node: Filled[StoredName] = Field(None, title="Only node")


AskedEnergy = Annotated[Asked[EnergyQuery], Depends(asking(EnergyQuery))]


@router.get("/energy", dependencies=[READ])
async def show_energy(
    request: Request, session: CurrentSession, caller: Caller, asked: AskedEnergy
) -> Response:
    """The account of a period with its change, its chart and its parts."""
    period, asked = period_of(asked, DEFAULT)
    query = asked.query
    asked = await _checked(session, asked, period)
    shown: dict[str, Any] = {"account": None, "chart": None}
    if not asked.form.problems:
        shown = await _shown(session, caller, period, query.by, query.grain, query.node)
    return render(
        request,
        "energy.html",
        status=asked.status,
        form=asked.form,
        period=period,
        by=query.by,
        grain=query.grain,
        node=query.node,
        titles=energy_views.BY_TITLES,
        grains=energy_views.GRAINS,
        **shown,
    )


async def _checked(
    session: Session, asked: Asked[EnergyQuery], period: Period
) -> Asked[EnergyQuery]:
    """The query with everything that the account would reject."""
    query = asked.query
    try:
        over_time.buckets_of(period.start, period.stop, query.by, query.grain)
    except InvalidEnergyRangeError as error:
        asked = asked.rejected(error)
    try:
        if query.node is not None:
            await require_node(session, query.node)
    except NodeNotFoundError as error:
        asked = asked.rejected(error)
    return asked


async def _shown(
    session: Session,
    caller: Principal,
    period: Period,
    by: TimeBy,
    grain: Grain | None,
    node: str | None,
) -> dict[str, Any]:
    chart = await over_time.over_time(
        session, caller, start=period.start, stop=period.stop, by=by, grain=grain, node=node
    )
    written = await energy_account(
        session,
        caller,
        start=period.start,
        stop=period.stop,
        by="node" if by == "use" else by,
        node=node,
        compare=True,
        failed=True,
    )
    owned = by in ("project", "user")
    charged = await work.charged_projects(session, caller) if owned else LAB
    return {
        "chart": await drawn(session, energy_views.over_time(chart, charged), "over-time"),
        "account": energy_views.account(json.loads(written), datetime.now(UTC)),
    }


@router.get("/energy/emissions", dependencies=[READ], openapi_extra=section("show_energy"))
async def show_emissions(
    request: Request,
    session: CurrentSession,
    resources: ServerResources,
    asked: AskedPeriod,
) -> Response:
    """Scope 2 emissions by site and month."""
    period, asked = period_of(asked)
    shown: emission_views.EmissionsView | None = None
    try:
        if not asked.form.problems:
            shown = emission_views.emissions(
                await emissions.read(
                    session, resources.settings, start=period.start, stop=period.stop
                )
            )
    except InvalidError as error:
        asked = asked.rejected(error)
    return render(
        request,
        "emissions.html",
        status=asked.status,
        form=asked.form,
        period=period,
        emissions=shown,
    )


@router.get("/energy/emissions.csv", dependencies=[READ], openapi_extra=section("show_energy"))
async def download_emissions(
    session: CurrentSession,
    resources: ServerResources,
    period: ChosenPeriod,
) -> Response:
    """The same as lines of a GHG inventory."""
    read = await emissions.read(session, resources.settings, start=period.start, stop=period.stop)
    text = io.StringIO()
    writer = csv.DictWriter(text, emission_views.GHG_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(emission_views.ghg_rows(read))
    name = f"scope-2-{period.first}-{period.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.getvalue(), media_type=CSV, headers=headers)
