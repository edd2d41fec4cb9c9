"""Actions on runs selected in the table, and on its views."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import StringConstraints

from app.api.access import CREATE_REPORT, DELETE_VIEW, READ, SAVE_VIEW
from app.api.body import BodyError, validated
from app.api.deps import Caller, CurrentSession
from app.schemas.reports import ReportCreate
from app.schemas.views import ViewCreate
from app.services import reports
from app.services.runs import exporting
from app.services.runs.exporting import MOST_CHOSEN
from app.services.saved import views
from app.web.forms import Form, RepeatedForm
from app.web.links import rel, to
from app.web.pages.compare import ask_for_groups
from app.web.rendering import page_router, render, section
from app.web.views import questions

router = page_router()

Selected = Annotated[list[uuid.UUID] | None, Query(max_length=MOST_CHOSEN)]
SelectedGroups = Annotated[
    list[Annotated[str, StringConstraints(max_length=4000)]] | None, Query(max_length=200)
]


class SelectionError(BodyError):
    """The selected runs cannot be used for this action."""

    def __init__(self, message: str) -> None:
        super().__init__(422, "invalid-selection", message, "run")


@router.get("/runs/selected", dependencies=[READ])
async def use_selection(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    run: Selected = None,
    group: SelectedGroups = None,
    to_: Annotated[Literal["compare", "md", "tex"], Query(alias="to")] = "compare",
) -> Response:
    """Leads to the comparison of runs or of groups of runs, or to a table of the runs."""
    if to_ == "compare":
        return ask_for_groups(
            request, group or [str(run_id) for run_id in dict.fromkeys(run or ())]
        )
    items = await exporting.chosen(session, caller, run or [])
    content = exporting.as_table(items, to_)
    return Response(content, media_type=exporting.MEDIA_TYPES[to_])


@router.post("/runs/report", dependencies=[CREATE_REPORT])
async def report_selection(
    request: Request, session: CurrentSession, caller: Caller, form: RepeatedForm
) -> Response:
    """Makes a report of the selected runs, and leads to it."""
    run_ids = form.get("run", [])
    if not run_ids:
        raise SelectionError("select runs for the report first")
    noun = "run" if len(run_ids) == 1 else "runs"
    body = {"title": f"What {len(run_ids)} {noun} cost", "profile": "site", "runs": run_ids}
    report = await reports.create(session, caller, validated(ReportCreate, body))
    return RedirectResponse(to(request, f"/v1/reports/{report.id}.html"), 303)


def _view(form: Any) -> dict[str, Any]:
    """The fields of a view from a form: those that were filled in."""
    fields = {name: form[name] for name in ("name", "query", "project") if form.get(name)}
    return {"query": "", **fields, "is_default": form.get("is_default") == "1"}


@router.post("/runs/views", dependencies=[SAVE_VIEW])
async def save_view(
    request: Request, session: CurrentSession, caller: Caller, form: Form
) -> Response:
    """Saves the view of the table under a name, and leads to it."""
    view = await views.save(session, caller, validated(ViewCreate, _view(form)))
    return RedirectResponse(rel(request, "show_runs", {"view": str(view.id)}), 303)


@router.post("/runs/links", dependencies=[SAVE_VIEW])
async def store_link(
    request: Request, session: CurrentSession, caller: Caller, form: Form
) -> Response:
    """Stores a long address, and leads to the short one."""
    body = {"query": form.get("query", "")}
    view = await views.save(session, caller, validated(ViewCreate, body))
    return RedirectResponse(rel(request, "show_runs", {"view": str(view.id)}), 303)


ViewId = Annotated[uuid.UUID, Path(description="ID of the view.")]


@router.get(
    "/runs/views/{view_id}/delete",
    dependencies=[DELETE_VIEW],
    openapi_extra=section("show_runs"),
)
async def confirm_delete_view(
    request: Request, session: CurrentSession, caller: Caller, view_id: ViewId
) -> Response:
    """Asks before a view is deleted."""
    view = await views.own(session, caller, view_id)
    question = questions.delete_view(
        view.name or "A stored link",
        view.project,
        action=rel(request, "delete_view", view_id=view_id),
        back=rel(request, "show_runs"),
    )
    return render(request, "question.html", question=question)


@router.post("/runs/views/{view_id}/delete", dependencies=[DELETE_VIEW])
async def delete_view(
    request: Request, session: CurrentSession, caller: Caller, view_id: ViewId
) -> Response:
    """Deletes a view."""
    await views.delete(session, caller, view_id)
    return RedirectResponse(rel(request, "show_runs"), 303)
