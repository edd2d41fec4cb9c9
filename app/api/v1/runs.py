"""Runs: post, list, show, cancel."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query

from app.api.access import POST_RUN, READ, SEE_RUN, author
from app.api.deps import Body, Caller, CurrentSession, Cursor, Limit, RunId
from app.api.openapi import request_body
from app.api.v1.examples import COMMAND_RUN, PIPELINE_RUN
from app.api.v1.responses import BODY, problems
from app.api.v1.run_filters import OfExperiment, OfProject, WithTags
from app.repositories.runs.selection import RunFilter
from app.schemas.common import Moment, RunStatus, StoredName
from app.schemas.runs import (
    RunAccepted,
    RunCreate,
    RunKind,
    RunPage,
    RunRead,
    RunSort,
    SearchText,
)
from app.services import resuming
from app.services.runs import changing, listing, posting, reading

router = APIRouter(prefix="/runs", tags=["runs"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Repeating a request with the same key and body returns the same run.",
        examples=["5f0c1b9e-1c5a-4a53-9a53-0d6d6b9f2f52"],
    ),
]


@router.post(
    "",
    status_code=202,
    dependencies=[POST_RUN],
    summary="Post a run",
    response_description="The run is queued; run and queue entry were committed together.",
    responses=problems(403, 409, *BODY),
    openapi_extra=request_body(
        RunCreate,
        {"pipeline": PIPELINE_RUN, "command": COMMAND_RUN},
        "The run, as JSON or YAML. `GET /v1/recipes` lists the stage kinds.",
    ),
)
async def create_run(
    session: CurrentSession, caller: Caller, body: Body, key: IdempotencyKey = None
) -> RunAccepted:
    """Checks the job and queues it as a run, which a worker executes and meters.

    Requires the role member.
    """
    return await posting.create(session, caller, body, key)


@router.get("", dependencies=[READ], summary="List runs", responses=problems(404))
async def list_runs(
    session: CurrentSession,
    caller: Caller,
    project: OfProject = None,
    experiment: OfExperiment = None,
    user: Annotated[
        StoredName | None, Query(description="Only runs of this user: a name, or `me`.")
    ] = None,
    tag: WithTags = None,
    status: Annotated[
        list[RunStatus] | None,
        Query(
            max_length=5,
            description="Only runs with this status; repeatable: with any of the statuses.",
        ),
    ] = None,
    kind: Annotated[
        RunKind | None,
        Query(
            description="Only runs with a stage of this kind, or with exactly these kinds in "
            "order, e.g. `train+measure`."
        ),
    ] = None,
    q: Annotated[
        SearchText | None,
        Query(
            description="Words to search for in names and tags, in any case: each must be part "
            "of the run's name or of one of its tags."
        ),
    ] = None,
    created_after: Annotated[
        Moment | None, Query(description="Only runs posted after this time (ISO 8601).")
    ] = None,
    created_before: Annotated[
        Moment | None, Query(description="Only runs posted before this time (ISO 8601).")
    ] = None,
    finished_after: Annotated[
        Moment | None, Query(description="Only runs that ended after this time (ISO 8601).")
    ] = None,
    finished_before: Annotated[
        Moment | None, Query(description="Only runs that ended before this time (ISO 8601).")
    ] = None,
    sort: Annotated[
        RunSort,
        Query(description="Sort order; `-` is descending. Unfinished runs sort after all others."),
    ] = "-created_at",
    count: Annotated[bool, Query(description="Count the runs of all pages, up to 10,000.")] = False,
    start_at: Annotated[
        Moment | None,
        Query(
            description="Begin at this time (ISO 8601), in an order by time; not with `cursor`. "
            "`previous_cursor` leads to what comes before."
        ),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> RunPage:
    """Lists runs. Paging is stable: runs posted meanwhile cause no duplicates or gaps.

    A project, experiment or user that does not exist is a 404, with similar names.
    """
    filters = RunFilter(
        project=project,
        experiment=experiment,
        tags=tag or (),
        statuses=status or (),
        kind=kind,
        search=q,
        created_after=created_after,
        created_before=created_before,
        user=caller.name if user == "me" else user,
        finished_after=finished_after,
        finished_before=finished_before,
    )
    return await listing.list_page(
        session,
        caller,
        filters,
        sort=sort,
        cursor=cursor,
        limit=limit,
        count=count,
        start_at=start_at,
    )


@router.get(
    "/{run_id}",
    dependencies=[SEE_RUN],
    summary="Show a run",
    responses=problems(404),
)
async def get_run(session: CurrentSession, caller: Caller, run_id: RunId) -> RunRead:
    """A run with its recipe, its attempts and their stages."""
    return await reading.read(session, caller, run_id)


@router.post(
    "/{run_id}/cancel",
    dependencies=[author("cancel runs")],
    summary="Cancel a run",
    status_code=202,
    responses=problems(403, 404, 409),
)
async def cancel_run(session: CurrentSession, caller: Caller, run_id: RunId) -> RunAccepted:
    """Cancels a queued run at once; a running one is asked to stop, and its energy stays on the
    bill. Members can cancel the runs they posted, administrators any run.
    """
    return await changing.cancel(session, caller, run_id)


@router.post(
    "/{run_id}/resume",
    dependencies=[author("resume runs")],
    summary="Resume a canceled or failed run",
    status_code=202,
    responses=problems(403, 404, 409),
)
async def resume_run(session: CurrentSession, caller: Caller, run_id: RunId) -> RunAccepted:
    """Queues the run again; it continues from the stages and checkpoints of earlier attempts, and
    all attempts stay on one bill. Budgets must admit the rest of its quote. Members can resume
    the runs they posted, administrators any run.
    """
    return await resuming.resume(session, caller, run_id)
