"""Studies: post, list, show, cancel."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Header, Path, Query

from app.api.access import CANCEL_STUDY, POST_STUDY, READ, SEE_STUDY
from app.api.branches import Branch
from app.api.deps import Body, Caller, CurrentSession, Cursor, Limit
from app.api.openapi import request_body
from app.api.v1.examples import COMMAND_STUDY, STUDY
from app.api.v1.responses import BODY, problems
from app.schemas.common import StoredName
from app.schemas.studies import StudyAccepted, StudyCreate, StudyPage, StudyRead, StudyStatus
from app.services.studies import changing, reading

router = Branch(prefix="/studies", tags=["studies"])

StudyId = Annotated[uuid.UUID, Path(description="ID of the study.")]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Repeating a request with the same key and body returns the same study.",
        examples=["5f0c1b9e-1c5a-4a53-9a53-0d6d6b9f2f53"],
    ),
]


@router.post(
    "",
    status_code=202,
    dependencies=[POST_STUDY],
    summary="Post a study",
    response_description="The study has begun; its first trials are queued.",
    responses=problems(403, 409, *BODY),
    openapi_extra=request_body(
        StudyCreate, {"hyperband": STUDY, "grid": COMMAND_STUDY}, "The study, as JSON or YAML."
    ),
)
async def create_study(
    session: CurrentSession, caller: Caller, body: Body, key: IdempotencyKey = None
) -> StudyAccepted:
    """Checks a search over runs of one job and begins it. Its trials are runs in the queue, which
    are posted as the strategy, the budget and the results so far demand.

    Requires the role member.
    """
    return await changing.create(session, caller, body, key)


@router.get("", dependencies=[READ], summary="List studies", responses=problems(404))
async def list_studies(
    session: CurrentSession,
    caller: Caller,
    project: Annotated[StoredName | None, Query(description="Name of the project.")] = None,
    status: Annotated[StudyStatus | None, Query(description="Status of the studies.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> StudyPage:
    """Lists studies of the projects that you may see, newest first."""
    return await reading.list_page(
        session, caller, project=project, status=status, cursor=cursor, limit=limit
    )


@router.get(
    "/{study_id}", dependencies=[SEE_STUDY], summary="Show a study", responses=problems(404)
)
async def get_study(session: CurrentSession, caller: Caller, study_id: StudyId) -> StudyRead:
    """Shows the trials of a study, its best trial, its price tag with all runs, and the energy
    that it saved by not running every trial to the end.
    """
    return await reading.read(session, caller, study_id)


@router.post(
    "/{study_id}/cancel",
    dependencies=[CANCEL_STUDY],
    summary="Cancel a study",
    status_code=202,
    responses=problems(403, 404, 409),
)
async def cancel_study(session: CurrentSession, caller: Caller, study_id: StudyId) -> StudyAccepted:
    """Ends a study: queued runs are canceled, running ones are asked to stop, and what they have
    used stays on its bill. Members can cancel the studies they posted, administrators any study.
    """
    return await changing.cancel(session, caller, study_id)
