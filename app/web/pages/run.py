"""A run: its bill, power, causes of error, variants, quote, recipe, provenance and files."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import Field

from app.api.access import SEE_RUN
from app.api.deps import Caller, CurrentSession, RunId
from app.db import Session
from app.schemas.queue import WaitingRun
from app.schemas.quotes import StoredQuoteRead
from app.schemas.runs import RunRead
from app.services import access
from app.services.billing import issuing
from app.services.billing.documents import PriceTagUnreadableError, tag_view
from app.services.errors import PricetagError, PriceTagNotFoundError
from app.services.principals import Principal
from app.services.queueing import pool_queue
from app.services.repricing import reissue
from app.services.runs import quotes, reading, series, windows
from app.services.saved import charts
from app.services.verification import checking
from app.web import links
from app.web.forms import Filled
from app.web.rendering import page_router, render, section
from app.web.views import run as views
from app.web.views import run_bill, run_charts, run_copy, run_sections
from app.web.views.charts import chart_view
from app.web.views.run_chain import chain
from app.web.views.run_verification import verification_view
from pricetag.tag.measured import NOT_THESE, OTHER_TOOLS

router = page_router()
OF_RUNS = section("show_runs")

Whole = Annotated[int, Field(ge=1, le=2**31 - 1)]
Number = Annotated[Filled[Whole], Query()]
Seconds = Annotated[Filled[Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e12)]], Query()]
LISTED = 200
"""Number of places of a queue in which the run is searched."""


@router.get("/runs/{run_id}", dependencies=[SEE_RUN], openapi_extra=OF_RUNS)
async def show_run(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    run_id: RunId,
    version: Number = None,
    attempt: Number = None,
    from_s: Seconds = None,
    to_s: Seconds = None,
) -> Response:
    """A run with a version of its price tag, by default the newest."""
    run = await reading.read(session, caller, run_id)
    tag, no_tag = await _tag(session, run_id, version)
    stored = (await reissue.versions(session, run_id)).items if run.price_tag else []
    quote = await _quote(session, caller, run_id)
    part = _Window(session, run_id, attempt, from_s, to_s)
    waterfalls = run_charts.waterfalls(tag.shown, run.project) if tag else []
    shown: dict[str, Any] = {
        "artifacts": views.artifacts((await series.artifacts(session, run_id)).items),
        "reported": await series.reported(session, run_id) if run.origin in OTHER_TOOLS else None,
        "waiting": await _waiting(session, caller, run),
        "part": await part.view(),
    }
    await charts.keep(session, waterfalls)  # last, as it may lock what other pages store
    return render(
        request,
        "run.html",
        view=views.run_view(run, caller, has_tag=tag is not None, now=datetime.now(UTC)),
        versions=views.versions(stored, version) if stored else None,
        quote=views.quote_view(quote) if quote else None,
        chain=chain(run),
        attempt=attempt,
        no_tag=no_tag,
        not_these=NOT_THESE,
        waterfalls=[
            chart_view(chart, id=f"waterfall-{n}", is_half=True)
            for n, chart in enumerate(waterfalls)
        ],
        **shown,
        **_tag_views(tag, run),
        **_sources(request, run_id),
    )


def _tag_views(tag: views.IssuedTag | None, run: RunRead) -> dict[str, Any]:
    """What the page shows of a price tag; nothing without one."""
    if tag is None:
        return {"tag": None, "bill": None}
    shown = tag.shown
    return {
        "tag": tag,
        "bill": run_bill.bill(shown, is_open=run.status in views.OPEN),
        "variants": run_sections.measured_models(shown),
        "scores": run_sections.scores(shown),
        "origin": run_sections.origin(shown),
        "markdown": run_copy.markdown(shown),
        "latex": run_copy.latex(shown),
    }


def _sources(request: Request, run_id: UUID) -> dict[str, Any]:
    """Addresses of the page's own requests and of its downloads."""
    api = f"/v1/runs/{run_id}"
    return {f"{name}_url": links.to(request, f"{api}/{path}") for name, path in _PATHS.items()}


_PATHS = {
    "power": "power",
    "metrics": "metrics",
    "logs": "logs",
    "price_tag": "price-tag",
    "artifacts": "artifacts",
}


async def _tag(
    session: Session, run_id: UUID, version: int | None
) -> tuple[views.IssuedTag | None, str | None]:
    """The price tag, or why there is none. A version that does not exist is an error.

    One that cannot be read is none: the page shows everything else.
    """
    try:
        row = await issuing.get_price_tag(session, run_id, version)
        return views.IssuedTag(row.version, tag_view(row.content, row.cause)), None
    except PriceTagUnreadableError as error:
        return None, error.message
    except PriceTagNotFoundError as error:
        if error.field == "version":
            raise
        return None, error.message


async def _waiting(session: Session, caller: Principal, run: RunRead) -> WaitingRun | None:
    """The place of a queued run; None for others, and far behind in the queue."""
    if run.status != "queued":
        return None
    queue = await pool_queue.read(session, caller, pool=run.resources.pool, limit=LISTED)
    waiting = (each for pool in queue.pools for each in pool.waiting)
    return next((each for each in waiting if each.run_id == run.id), None)


async def _quote(session: Session, caller: Principal, run_id: UUID) -> StoredQuoteRead | None:
    try:
        return await quotes.stored(session, caller, run_id)
    except quotes.QuoteNotFoundError:
        return None


class _Window:
    """The part of an attempt that the address selects."""

    def __init__(
        self,
        session: Session,
        run_id: UUID,
        attempt: int | None,
        from_s: float | None,
        to_s: float | None,
    ) -> None:
        self.session, self.run_id = session, run_id
        self.attempt, self.from_s, self.to_s = attempt, from_s, to_s

    async def view(self) -> dict[str, Any]:
        """The content of the fields, and the energy or the errors of the fields."""
        shown: dict[str, Any] = {"from_s": self.from_s, "to_s": self.to_s, "attempt": self.attempt}
        if self.from_s is None or self.to_s is None:
            return {**shown, "energy": None, "problem": None}
        try:
            energy = await windows.energy_between(
                self.session,
                self.run_id,
                attempt=self.attempt or 1,
                from_s=self.from_s,
                to_s=self.to_s,
            )
        except PricetagError as error:
            return {**shown, "energy": None, "problem": error.message}
        return {**shown, "energy": views.window_view(energy), "problem": None}


# As deep as the page itself, so that its relative links are right there too.
@router.get("/run-progress/{run_id}", dependencies=[SEE_RUN], openapi_extra=OF_RUNS)
async def show_run_progress(
    request: Request, session: CurrentSession, caller: Caller, run_id: RunId
) -> Response:
    """The part of the page with the reason for waiting, or the progress so far."""
    run = await reading.read(session, caller, run_id)
    view = views.run_view(run, caller, has_tag=False, now=datetime.now(UTC))
    waiting = await _waiting(session, caller, run)
    return render(request, "run_progress.html", view=view, waiting=waiting)


@router.get("/runs/{run_id}/verification", dependencies=[SEE_RUN], openapi_extra=OF_RUNS)
async def show_run_verification(
    request: Request, session: CurrentSession, caller: Caller, run_id: RunId, version: Number = None
) -> Response:
    """Each check of a price tag."""
    await access.require_run(session, caller, run_id)
    run = await reading.read(session, caller, run_id)
    shown: dict[str, Any] = {"run": run, "view": None, "version": version, "unreadable": None}
    try:
        verified = await checking.verify(session, run_id, version)
    except PriceTagUnreadableError as error:
        shown["version"] = version or (run.price_tag.version if run.price_tag else None)
        shown["unreadable"] = error.message
    else:
        shown["view"], shown["version"] = verification_view(verified), verified.version
    return render(request, "run_verification.html", **shown)
