"""The energy account: by use, node, component, site, project or user, over time."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query, Request, Response

from app.api.access import READ
from app.api.deps import Caller, CurrentSession, ServerResources
from app.charts.chart import LAB
from app.db import Session
from app.schemas.common import StoredName
from app.schemas.energy import Grain, TimeBy
from app.services import emissions
from app.services.energy import over_time, work
from app.services.energy.account import energy_account
from app.services.errors import InvalidError, NotFoundError
from app.services.principals import Principal
from app.web.drawn import drawn
from app.web.forms import Filled
from app.web.parameters import ChosenPeriod, From, NamedPeriod, To
from app.web.rendering import page_router, render, section
from app.web.views import emissions as emission_views
from app.web.views import energy as energy_views
from app.web.views import periods
from app.web.views.periods import InvalidPeriodError, Named, Period

router = page_router()
DEFAULT: Named = "7d"
CSV = "text/csv; charset=utf-8"


@router.get("/energy", dependencies=[READ])
async def show_energy(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    period: NamedPeriod = None,
    first: From = None,
    last: To = None,
    by: Annotated[Filled[TimeBy], Query()] = None,
    grain: Annotated[Filled[Grain], Query()] = None,
    node: Annotated[Filled[StoredName], Query()] = None,
) -> Response:
    """The account of a period with its change, its chart and its parts."""
    now = datetime.now(UTC)
    shown: dict[str, Any] = {"account": None, "chart": None, "problem": None}
    try:
        chosen = periods.period(period, first, last, now, DEFAULT)
        shown |= await _shown(session, caller, chosen, by or "use", grain, node)
    except (InvalidPeriodError, InvalidError, NotFoundError) as error:
        chosen = periods.period(period if first is None else None, None, None, now, DEFAULT)
        shown["problem"] = str(error)
    return render(
        request,
        "energy.html",
        status=422 if shown["problem"] else 200,
        period=chosen,
        by=by or "use",
        grain=grain,
        node=node,
        titles=energy_views.BY_TITLES,
        grains=energy_views.GRAINS,
        **shown,
    )


async def _shown(
    session: Session,
    caller: Principal,
    chosen: Period,
    by: TimeBy,
    grain: Grain | None,
    node: str | None,
) -> dict[str, Any]:
    chart = await over_time.over_time(
        session, caller, start=chosen.start, stop=chosen.stop, by=by, grain=grain, node=node
    )
    written = await energy_account(
        session,
        caller,
        start=chosen.start,
        stop=chosen.stop,
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
    chosen: ChosenPeriod,
) -> Response:
    """Scope 2 emissions by site and month."""
    read = await emissions.read(session, resources.settings, start=chosen.start, stop=chosen.stop)
    return render(
        request, "emissions.html", period=chosen, emissions=emission_views.emissions(read)
    )


@router.get("/energy/emissions.csv", dependencies=[READ], openapi_extra=section("show_energy"))
async def download_emissions(
    session: CurrentSession,
    resources: ServerResources,
    chosen: ChosenPeriod,
) -> Response:
    """The same as lines of a GHG inventory."""
    read = await emissions.read(session, resources.settings, start=chosen.start, stop=chosen.stop)
    text = io.StringIO()
    writer = csv.DictWriter(text, emission_views.GHG_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(emission_views.ghg_rows(read))
    name = f"scope-2-{chosen.first}-{chosen.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.getvalue(), media_type=CSV, headers=headers)
