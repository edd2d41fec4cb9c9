"""The queue: the runs that wait in each pool, the reasons, and their expected starts."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from app.api.access import READ, author
from app.api.body import validated
from app.api.deps import Caller, CurrentSession, RunId
from app.schemas.runs import RunPriority
from app.services.queueing import pool_queue
from app.services.runs import changing
from app.web.forms import Form
from app.web.links import rel, stream_url
from app.web.rendering import page_router, render, section
from app.web.views import questions
from app.web.views import queue as queue_views

router = page_router()


@router.get("/queue", dependencies=[READ])
async def show_queue(request: Request, session: CurrentSession, caller: Caller) -> Response:
    """The queue of every pool."""
    read = await pool_queue.read(session, caller)
    return render(
        request,
        "queue.html",
        queue=queue_views.queue(read, caller),
        stream=stream_url(request),
    )


@router.post(
    "/queue/{run_id}/priority",
    dependencies=[author("prioritize runs")],
    openapi_extra=section("show_queue"),
)
async def prioritize_waiting(
    request: Request, session: CurrentSession, caller: Caller, run_id: RunId, form: Form
) -> Response:
    """Changes the priority of a run that waits."""
    typed = form.get("priority", "")
    body = {"priority": int(typed) if typed.lstrip("-").isdecimal() else typed}
    priority = validated(RunPriority, body).priority
    await changing.prioritize(session, caller, run_id, priority)
    return RedirectResponse(rel(request, "show_queue"), 303)


@router.get(
    "/queue/{run_id}/cancel",
    dependencies=[author("cancel runs")],
    openapi_extra=section("show_queue"),
)
async def confirm_cancel_waiting(
    request: Request, session: CurrentSession, caller: Caller, run_id: RunId
) -> Response:
    """Asks before a run of the queue is canceled."""
    run = await changing.lock_open(session, caller, run_id)
    question = questions.cancel_run(
        run.name,
        is_running=run.status == "running",
        action=rel(request, "cancel_waiting", run_id=run_id),
        back=rel(request, "show_queue"),
    )
    return render(request, "question.html", question=question)


@router.post(
    "/queue/{run_id}/cancel",
    dependencies=[author("cancel runs")],
    openapi_extra=section("show_queue"),
)
async def cancel_waiting(
    request: Request, session: CurrentSession, caller: Caller, run_id: RunId
) -> Response:
    """Cancels a run that waits."""
    await changing.cancel(session, caller, run_id)
    return RedirectResponse(rel(request, "show_queue"), 303)
