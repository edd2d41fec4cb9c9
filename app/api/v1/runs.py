"""Runs: post, list, show, cancel."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Header, Path, Query, Response
from fastapi.responses import StreamingResponse

from app.api.access import POST_RUN, READ, SEE_RUN, author
from app.api.body import validated
from app.api.branches import Branch
from app.api.deps import Body, Caller, CurrentSession, Cursor, Limit, RunId, ServerResources
from app.api.openapi import request_body
from app.api.v1.examples import COMMAND_RUN, PIPELINE_RUN
from app.api.v1.responses import BODY, problems
from app.api.v1.run_filters import SelectedRuns
from app.schemas.common import Moment
from app.schemas.run_groups import MOST_RUNS, GroupBy, RunGroups
from app.schemas.runs import RunAccepted, RunCreate, RunPage, RunPriority, RunRead, RunSort
from app.services.runs import changing, exporting, grouping, listing, posting, reading, resuming
from app.services.runs.exporting import TableFormat

router = Branch(prefix="/runs", tags=["runs"])

Sort = Annotated[
    RunSort,
    Query(
        description=(
            "Sort order; `-` is descending. Unfinished runs sort after all others; so do runs "
            "whose newest price tag does not know the sorted figure, and by `cost` those in a "
            "currency other than the server's."
        )
    ),
]

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
    filters: SelectedRuns,
    sort: Sort = "-created_at",
    count: Annotated[bool, Query(description="Count the runs of all pages, up to 10,000.")] = False,
    start_at: Annotated[
        Moment | None,
        Query(
            description=(
                "Begin at this time (ISO 8601) in a list sorted by time; not with `cursor`. "
                "`previous_cursor` leads to the runs before it."
            )
        ),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> RunPage:
    """Lists runs. Paging is stable: runs posted in the meantime cause no duplicates or gaps.

    A project, experiment or user that does not exist is a 404, with similar names.
    """
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


@router.get("/groups", dependencies=[READ], summary="Show runs in groups", responses=problems(404))
async def group_runs(
    session: CurrentSession,
    caller: Caller,
    filters: SelectedRuns,
    by: Annotated[
        GroupBy,
        Query(
            description="What the runs of a group have in common: a `tag`, the `experiment`, the "
            "`recipe` with its seeds (repeats of the same work), or the experiment and the recipe "
            "without its seeds (`seeds`)."
        ),
    ],
    limit: Annotated[
        int, Query(ge=1, le=MOST_RUNS, description="Maximum number of runs, newest first.")
    ] = 200,
) -> RunGroups:
    """Groups the newest selected runs, with the mean of each figure, its interval, and the
    standard deviation between the runs. Unknown figures are counted separately, not as 0.
    """
    return await grouping.group_runs(session, caller, filters, by=by, limit=limit)


@router.get(
    ".csv",
    dependencies=[READ],
    summary="Download a list of runs",
    response_class=StreamingResponse,
    responses={
        **problems(404),
        200: {
            "description": "All selected runs: exact figures with intervals, sources and reasons; "
            "times in UTC.",
            "content": {"text/csv": {"schema": {"type": "string"}}},
        },
    },
)
async def download_runs(
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    filters: SelectedRuns,
    sort: Sort = "-created_at",
) -> StreamingResponse:
    """Downloads all pages of the selected runs as CSV. Texts that a spreadsheet would read as a
    formula get a leading apostrophe. Runs posted in the meantime cause no duplicates or gaps.
    """
    await listing.require(session, caller, filters)
    return StreamingResponse(
        exporting.stream_csv(resources.database, caller, filters, sort),
        media_type=exporting.MEDIA_TYPES["csv"],
        headers={"Content-Disposition": 'attachment; filename="runs.csv"'},
    )


@router.get(
    "/table.{fmt}",
    dependencies=[READ],
    summary="Show chosen runs as a table for a paper",
    responses={
        **problems(),
        200: {
            "description": "The table, with 95% intervals.",
            "content": {
                "text/markdown": {"schema": {"type": "string"}},
                "application/x-tex": {"schema": {"type": "string"}},
            },
        },
    },
    response_class=Response,
)
async def tabulate_runs(
    session: CurrentSession,
    caller: Caller,
    fmt: Annotated[TableFormat, Path(description="Markdown, or LaTeX for booktabs.")],
    run: Annotated[
        list[uuid.UUID],
        Query(
            min_length=1,
            max_length=exporting.MOST_CHOSEN,
            description="ID of a run; repeatable, in the order of the rows.",
        ),
    ],
) -> Response:
    """Shows name, status, quality, time, energy, emissions and cost of the selected runs. A run
    that does not exist or is hidden from you is an error.
    """
    items = await exporting.chosen(session, caller, run)
    content = exporting.as_table(items, fmt)
    return Response(content, media_type=exporting.MEDIA_TYPES[fmt])


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
    bill. A run whose journal arrived only in part ends at once, as failed, with what has arrived.
    Members can cancel the runs they posted, administrators any run.
    """
    return await changing.cancel(session, caller, run_id)


@router.post(
    "/{run_id}/priority",
    dependencies=[author("prioritize runs")],
    summary="Change the priority of a queued run",
    status_code=202,
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(RunPriority, {"first": {"priority": 10}}, "The new priority."),
)
async def prioritize_run(
    session: CurrentSession, caller: Caller, run_id: RunId, body: Body
) -> RunAccepted:
    """Moves a queued run in the queue of its pool: workers take runs with a higher priority
    first. Members can prioritize the runs they posted, administrators any run.
    """
    priority = validated(RunPriority, body).priority
    return await changing.prioritize(session, caller, run_id, priority)


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
