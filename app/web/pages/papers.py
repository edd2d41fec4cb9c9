"""Papers: the list, each one's cost from its newest report, reporting and freezing."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import Depends, Path, Request, Response
from fastapi.responses import RedirectResponse

from app.api.access import CHANGE_PAPER, CREATE_PAPER, NEW_PAPER, READ, REPORT_PAPER, SEE_PAPER
from app.api.body import check_storable
from app.api.deps import Caller, CurrentSession
from app.schemas.papers import PaperCreate, PaperRead, PaperReportCreate
from app.services.papers import changing, collecting, files, reporting
from app.web.asked import Asked, asking
from app.web.forms import Form
from app.web.links import rel
from app.web.parameters import ListQuery
from app.web.rendering import page_router, render, section
from app.web.submitting import Rejected, submit
from app.web.views import questions
from app.web.views.forms import FormView
from app.web.views.papers import FORMATS, paper_view

router = page_router()
PaperId = Annotated[uuid.UUID, Path(description="ID of the paper.")]
OF_PAPERS = section("show_papers")
AskedList = Annotated[Asked[ListQuery], Depends(asking(ListQuery))]


@router.get("/papers", dependencies=[READ])
async def show_papers(
    request: Request, session: CurrentSession, caller: Caller, asked: AskedList
) -> Response:
    """The papers, newest first."""
    query = asked.query
    page = await collecting.list_page(
        session, caller, project=None, cursor=query.cursor, limit=query.limit
    )
    return render(request, "papers.html", page=page)


@router.get("/papers/new", dependencies=[NEW_PAPER], openapi_extra=OF_PAPERS)
async def show_new_paper(request: Request, project: str | None = None) -> Response:
    """The form for a new paper."""
    return _new_paper(request, FormView({"project": project or ""}))


def _new_paper(request: Request, form: FormView, status: int = 200) -> Response:
    return render(request, "paper_new.html", form=form, status=status)


@router.post("/papers", dependencies=[CREATE_PAPER])
async def add_paper(
    request: Request, session: CurrentSession, caller: Caller, form: Form
) -> Response:
    """Creates a paper with a rule."""

    async def create() -> PaperRead:
        plain = {name: form[name] for name in ("project", "title", "authors") if form.get(name)}
        rule: dict[str, Any] = {"tags": _words(form.get("tags"))}
        if form.get("experiment"):
            rule["experiment"] = form["experiment"]
        published = _words(form.get("published"))
        check_storable({**plain, **rule, "published": published})
        body = {**plain, "rule": rule, "published": published}
        return await changing.create(session, caller, PaperCreate.model_validate(body))

    result = await submit(session, form, create)
    if isinstance(result, Rejected):
        return _new_paper(request, result.form, result.status)
    return RedirectResponse(rel(request, "show_paper", paper_id=result.id), 303)


def _words(text: str | None) -> list[str]:
    """The words of a field that are separated by commas or spaces."""
    return (text or "").replace(",", " ").split()


@router.get("/papers/{paper_id}", dependencies=[SEE_PAPER], openapi_extra=OF_PAPERS)
async def show_paper(
    request: Request, session: CurrentSession, caller: Caller, paper_id: PaperId
) -> Response:
    """What the runs of a paper cost together."""
    paper = await collecting.read(session, caller, paper_id)
    context = await files.newest_content(session, paper_id)
    return render(request, "paper.html", view=paper_view(paper, context), formats=FORMATS)


@router.post("/papers/{paper_id}/report", dependencies=[REPORT_PAPER])
async def report_paper_here(
    request: Request, session: CurrentSession, caller: Caller, paper_id: PaperId
) -> Response:
    """Creates a report on the paper as it is now."""
    await reporting.report(session, caller, paper_id, PaperReportCreate())
    return RedirectResponse(rel(request, "show_paper", paper_id=paper_id), 303)


@router.get("/papers/{paper_id}/freeze", dependencies=[CHANGE_PAPER], openapi_extra=OF_PAPERS)
async def confirm_freeze_paper(
    request: Request, session: CurrentSession, caller: Caller, paper_id: PaperId
) -> Response:
    """Asks before the paper is frozen."""
    paper = await collecting.read_own(session, caller, paper_id)
    question = questions.freeze_paper(
        paper.title,
        len(paper.runs),
        action=rel(request, "freeze_paper_here", paper_id=paper_id),
        back=rel(request, "show_paper", paper_id=paper_id),
    )
    return render(request, "question.html", question=question)


@router.post("/papers/{paper_id}/freeze", dependencies=[CHANGE_PAPER])
async def freeze_paper_here(
    request: Request, session: CurrentSession, caller: Caller, paper_id: PaperId
) -> Response:
    """Freezes the paper."""
    await reporting.freeze(session, caller, paper_id)
    return RedirectResponse(rel(request, "show_paper", paper_id=paper_id), 303)
