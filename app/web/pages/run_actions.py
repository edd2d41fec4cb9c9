"""Actions on a run: cancel, resume, re-price, verify, report."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, get_args

from fastapi import Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import TypeAdapter, ValidationError

from app.api.access import REPORT_RUN, SEE_RUN, author
from app.api.deps import Caller, CurrentSession, RunId, ServerResources
from app.schemas.common import Moment
from app.schemas.reports import ReportCreate, ReportFormat
from app.services import access, reports
from app.services.errors import InvalidError
from app.services.repricing import reissue
from app.services.runs import changing, reading, resuming
from app.web import links
from app.web.forms import Form
from app.web.rendering import page_router, render, section
from app.web.views import questions
from pricetag.tag.measured import QUEUE

router = page_router()
OF_RUNS = section("show_runs")
AsOf = Annotated[str | None, Query(max_length=40)]
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


class InvalidFieldError(InvalidError):
    """A field of the form has an invalid value."""

    code = "invalid-request"


def back(request: Request, run_id: RunId, **query: str | int) -> RedirectResponse:
    """Leads to the run's page."""
    return RedirectResponse(links.rel(request, "show_run", query, run_id=run_id), 303)


@router.get("/runs/{run_id}/cancel", dependencies=[author("cancel runs")], openapi_extra=OF_RUNS)
async def confirm_cancel_run(
    request: Request, session: CurrentSession, caller: Caller, run_id: RunId
) -> Response:
    """Asks before the run is canceled."""
    run = await changing.lock_open(session, caller, run_id)
    question = questions.cancel_run(
        run.name,
        is_running=run.status == "running",
        is_queues=run.origin == QUEUE,
        action=links.rel(request, "cancel_run_here", run_id=run_id),
        back=links.rel(request, "show_run", run_id=run_id),
    )
    return render(request, "question.html", question=question)


@router.post("/runs/{run_id}/cancel", dependencies=[author("cancel runs")])
async def cancel_run_here(
    request: Request, session: CurrentSession, caller: Caller, run_id: RunId
) -> Response:
    """Cancels the run."""
    await changing.cancel(session, caller, run_id)
    return back(request, run_id)


@router.post("/runs/{run_id}/resume", dependencies=[author("resume runs")])
async def resume_run_here(
    request: Request, session: CurrentSession, caller: Caller, run_id: RunId
) -> Response:
    """Queues the run again."""
    await resuming.resume(session, caller, run_id)
    return back(request, run_id)


@router.get("/runs/{run_id}/reprice", dependencies=[author("re-price runs")], openapi_extra=OF_RUNS)
async def confirm_reprice_run(
    request: Request, session: CurrentSession, caller: Caller, run_id: RunId, as_of: AsOf = None
) -> Response:
    """Asks before a new version is issued."""
    run = await changing.lock_own(session, caller, run_id, "re-price")
    _as_of(as_of)
    question = questions.reprice_run(
        run.name,
        as_of or "",
        action=links.rel(request, "reprice_run_here", run_id=run_id),
        back=links.rel(request, "show_run", run_id=run_id),
    )
    return render(request, "question.html", question=question)


@router.post("/runs/{run_id}/reprice", dependencies=[author("re-price runs")])
async def reprice_run_here(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    resources: ServerResources,
    run_id: RunId,
    form: Form,
) -> Response:
    """Issues a new version with the factors of a time."""
    as_of = _as_of(form.get("as_of"))
    issued = await reissue.reprice(session, caller, run_id, as_of, settings=resources.settings)
    return back(request, run_id, version=issued.version)


def _as_of(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        return _MOMENT.validate_python(text)
    except ValidationError as error:
        raise InvalidFieldError(f"as_of: {error.errors()[0]['msg']}", field="as_of") from error


@router.post("/runs/{run_id}/verify", dependencies=[SEE_RUN])
async def verify_run_here(
    request: Request, session: CurrentSession, caller: Caller, run_id: RunId, form: Form
) -> Response:
    """Leads to the checks of a version."""
    await access.require_run(session, caller, run_id)
    version = form.get("version")
    query = {"version": version} if version else {}
    return RedirectResponse(links.rel(request, "show_run_verification", query, run_id=run_id), 303)


@router.post("/runs/{run_id}/report", dependencies=[REPORT_RUN])
async def report_run_here(
    request: Request, session: CurrentSession, caller: Caller, run_id: RunId, form: Form
) -> Response:
    """Creates a report on the run, and leads to it in the chosen format."""
    fmt = form.get("format", "html")
    if fmt not in get_args(ReportFormat):
        listed = ", ".join(get_args(ReportFormat))
        raise InvalidFieldError(f"format: must be one of {listed} (got '{fmt}').", field="format")
    run = await reading.read(session, caller, run_id)
    version = form.get("version", "")
    wanted = ReportCreate(
        title=run.name[:200],
        profile="site",
        runs=[run_id],
        versions={run_id: int(version)} if version.isdecimal() else {},
    )
    report = await reports.create(session, caller, wanted)
    return RedirectResponse(links.to(request, f"/v1/reports/{report.id}.{fmt}"), 303)
