"""Studies: the list, and one study with its trials, rungs, best trial and price tag."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path, Request, Response
from fastapi.responses import RedirectResponse

from app.api.access import CANCEL_STUDY, READ, SEE_STUDY
from app.api.deps import Caller, CurrentSession, Cursor
from app.services.studies import changing, reading
from app.web.links import rel, stream_url
from app.web.rendering import page_router, render, section
from app.web.views import questions
from app.web.views import studies as study_views

router = page_router()
StudyId = Annotated[uuid.UUID, Path(description="ID of the study.")]
OF_STUDIES = section("show_studies")
ON_A_PAGE = 50


@router.get("/studies", dependencies=[READ])
async def show_studies(
    request: Request, session: CurrentSession, caller: Caller, cursor: Cursor = None
) -> Response:
    """Studies of the projects that the visitor may see, newest first."""
    page = await reading.list_page(
        session, caller, project=None, status=None, cursor=cursor, limit=ON_A_PAGE
    )
    return render(
        request,
        "studies.html",
        rows=study_views.rows(page.items),
        next_cursor=page.next_cursor,
        is_first=cursor is None,
        at=datetime.now(UTC),
        stream=stream_url(request),
    )


@router.get("/studies/{study_id}", dependencies=[SEE_STUDY], openapi_extra=OF_STUDIES)
async def show_study(
    request: Request, session: CurrentSession, caller: Caller, study_id: StudyId
) -> Response:
    """One study."""
    study = await reading.read(session, caller, study_id)
    return render(
        request,
        "study.html",
        view=study_views.view(study, caller),
        at=datetime.now(UTC),
        stream=stream_url(request),
    )


@router.get("/studies/{study_id}/cancel", dependencies=[CANCEL_STUDY], openapi_extra=OF_STUDIES)
async def confirm_cancel_study(
    request: Request, session: CurrentSession, caller: Caller, study_id: StudyId
) -> Response:
    """Asks before a study is canceled."""
    study, _ = await changing.lock_open(session, caller, study_id)
    question = questions.cancel_study(
        study.name,
        action=rel(request, "cancel_study_here", study_id=study_id),
        back=rel(request, "show_study", study_id=study_id),
    )
    return render(request, "question.html", question=question)


@router.post("/studies/{study_id}/cancel", dependencies=[CANCEL_STUDY], openapi_extra=OF_STUDIES)
async def cancel_study_here(
    request: Request, session: CurrentSession, caller: Caller, study_id: StudyId
) -> Response:
    """Cancels a study."""
    await changing.cancel(session, caller, study_id)
    return RedirectResponse(rel(request, "show_study", study_id=study_id), 303)
