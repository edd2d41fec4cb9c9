"""Intake: journals of runs that no queue started."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Path, Query

from app.api.access import SEE_JOURNAL, SEND
from app.api.body import JOURNAL_TYPES
from app.api.branches import Branch
from app.api.deps import Caller, CurrentSession, JournalLines, ServerResources
from app.api.v1.responses import BODY, problems
from app.schemas.common import Name
from app.schemas.intake import JournalRead
from app.services.intake import journals
from app.services.intake.journals import Part

router = Branch(prefix="/intake", tags=["intake"])

LINES = {"schema": {"type": "string", "description": "Whole lines, each a JSON object."}}


@router.post(
    "/journals",
    dependencies=[SEND],
    summary="Send a part of a journal",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "Whole lines of the journal, as they are in its file; "
            "`Content-Encoding: gzip` is accepted.",
            "content": dict.fromkeys(JOURNAL_TYPES, LINES),
        }
    },
)
async def send_journal(
    session: CurrentSession,
    caller: Caller,
    resources: ServerResources,
    content: JournalLines,
    attempt_id: Annotated[uuid.UUID, Query(description="ID of the journal's attempt.")],
    begin_byte: Annotated[
        int, Query(ge=0, le=2**63 - 1, description="Place of the part in the journal's file.")
    ],
    project: Annotated[
        Name | None,
        Query(description="Project of a new run. Default: the one in its journal."),
    ] = None,
) -> JournalRead:
    """Takes the next part of the journal of a local or Slurm run, and applies it as a whole or not
    at all. The first part begins with the `start` record, whose IDs make the run; with the `end`
    record, the run is settled as a worker's is. A part that has arrived before changes nothing;
    another one at the same place is a `journal-conflict`. Lines that are not valid records are kept
    with the reason, and not applied.

    Requires the role ingest, member or admin.
    """
    return await journals.take(
        session,
        caller,
        Part(attempt_id, begin_byte, content),
        project=project,
        max_bytes=resources.settings.max_journal_bytes,
    )


@router.get(
    "/journals/{attempt_id}",
    dependencies=[SEE_JOURNAL],
    summary="Show how far a journal has arrived",
    responses=problems(403, 404),
)
async def get_journal(
    session: CurrentSession,
    caller: Caller,
    attempt_id: Annotated[uuid.UUID, Path(description="ID of the journal's attempt.")],
    parts: Annotated[
        bool, Query(description="Whether to list the parts in which it arrived, with their hashes.")
    ] = False,
) -> JournalRead:
    """The number of bytes that have arrived, after which the sender continues, and their hash. Only
    for the user who sent it, and administrators.
    """
    return await journals.state(session, caller, attempt_id, lists_parts=parts)
