"""Data of a run: power, metrics, logs, artifacts."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import PurePosixPath
from typing import Annotated

from fastapi import Path, Query
from fastapi.responses import FileResponse, Response
from pydantic import Field

from app.api.access import SEE_RUN
from app.api.branches import Branch
from app.api.deps import AttemptNumber, Caller, CurrentSession, Cursor, RunId, ServerResources
from app.api.v1.responses import problems
from app.schemas.common import StoredName
from app.schemas.runs import SearchText
from app.schemas.series import ArtifactList, LogPage, MetricPage, RunPower
from app.schemas.windows import WindowRead
from app.services import access
from app.services.energy import power
from app.services.live.events import FINAL
from app.services.runs import series, windows

router = Branch(prefix="/runs/{run_id}")

Finite = Annotated[float, Field(allow_inf_nan=False, le=1e12)]
Lines = Annotated[int, Query(ge=1, le=5000, description="Maximum number of lines.")]


@router.get(
    "/power",
    tags=["measurements"],
    dependencies=[SEE_RUN],
    summary="Show power over time",
    response_model=RunPower,
    responses=problems(404),
)
async def get_run_power(
    session: CurrentSession,
    caller: Caller,
    run_id: RunId,
    attempt: AttemptNumber = None,
    points: Annotated[
        int,
        Query(
            ge=1,
            le=power.MAX_POINTS,
            description="Maximum number of points per component and attempt; downsampling "
            "preserves energy and extremes.",
        ),
    ] = power.DEFAULT_POINTS,
) -> Response:
    """Returns a series per component and attempt, downsampled to `points`."""
    await access.require_run(session, caller, run_id)
    series = await power.run_power(session, run_id, attempt, points)
    # Tens of thousands of numbers: written once, without validation and copies.
    return Response(series.model_dump_json(), media_type="application/json")


@router.get(
    "/energy",
    tags=["measurements"],
    dependencies=[SEE_RUN],
    summary="Show the energy of a part of an attempt",
    responses=problems(404, 409, 503),
)
async def get_run_energy(
    session: CurrentSession,
    caller: Caller,
    run_id: RunId,
    from_s: Annotated[
        Finite,
        Query(ge=0, description="Start, in seconds since the attempt's meter opened (`t_s`)."),
    ],
    to_s: Annotated[
        Finite, Query(ge=0, description="End, in seconds since the attempt's meter opened.")
    ],
    attempt: Annotated[int, Query(ge=1, le=2**31 - 1, description="Number of the attempt.")] = 1,
) -> WindowRead:
    """Computes the energy between two times from the stored readings, with its interval, as for
    a stage of that length. The energies of adjacent windows add up. The attempt must have ended.
    """
    await access.require_run(session, caller, run_id)
    return await windows.energy_between(session, run_id, attempt=attempt, from_s=from_s, to_s=to_s)


@router.get(
    "/metrics",
    tags=["measurements"],
    dependencies=[SEE_RUN],
    summary="List metrics of a run",
    responses=problems(404),
)
async def list_run_metrics(
    session: CurrentSession,
    caller: Caller,
    run_id: RunId,
    attempt: AttemptNumber = None,
    name: Annotated[
        StoredName | None, Query(description="Name of the metric, e.g. `accuracy`.")
    ] = None,
    split: Annotated[
        StoredName | None, Query(description="Data split: train, validation or test.")
    ] = None,
    cursor: Cursor = None,
    limit: Lines = 500,
) -> MetricPage:
    """Lists metrics in the order in which they were reported.

    For an ended run, a name or split that it does not have is a 404, which lists those it has.
    """
    status = await access.require_run(session, caller, run_id)
    return await series.metrics(
        session,
        run_id,
        attempt=attempt,
        name=name,
        split=split,
        cursor=cursor,
        limit=limit,
        ended=status in FINAL,
    )


@router.get(
    "/logs",
    tags=["measurements"],
    dependencies=[SEE_RUN],
    summary="List log lines",
    responses=problems(404),
)
async def list_run_logs(
    session: CurrentSession,
    caller: Caller,
    run_id: RunId,
    attempt: AttemptNumber = None,
    after: Annotated[
        str | None, Query(max_length=1000, description="`next_after` of the previous response.")
    ] = None,
    newest: Annotated[
        bool, Query(description="The last `limit` lines instead of the first; not with `after`.")
    ] = False,
    q: Annotated[
        SearchText | None, Query(description="Only lines that contain this text, in any case.")
    ] = None,
    limit: Lines = 500,
) -> LogPage:
    """Lists log lines in order. Repeat with `next_after` to follow a run."""
    await access.require_run(session, caller, run_id)
    return await series.logs(
        session, run_id, attempt=attempt, after=after, limit=limit, search=q, newest=newest
    )


@router.get(
    "/artifacts",
    tags=["artifacts"],
    dependencies=[SEE_RUN],
    summary="List artifacts of a run",
    responses=problems(404),
)
async def list_run_artifacts(
    session: CurrentSession, caller: Caller, run_id: RunId
) -> ArtifactList:
    """Lists the artifacts of all attempts of the run."""
    await access.require_run(session, caller, run_id)
    return await series.artifacts(session, run_id)


@router.get(
    "/artifacts/{artifact_id}/content",
    tags=["artifacts"],
    dependencies=[SEE_RUN],
    summary="Download an artifact",
    response_class=FileResponse,
    responses={
        **problems(404),
        200: {
            "description": "The file; range requests are supported.",
            "content": {"application/octet-stream": {}},
        },
    },
)
async def download_run_artifact(
    resources: ServerResources,
    caller: Caller,
    run_id: RunId,
    artifact_id: Annotated[uuid.UUID, Path(description="ID of the artifact.")],
) -> FileResponse:
    """Returns the file. It must be in the artifact store, or in the artifact folder of the
    server's machine. A file from the store was compared with its SHA-256.
    """
    async with resources.database.session_scope() as session:
        await access.require_run(session, caller, run_id)
        artifact = await series.artifact(session, run_id, artifact_id)
    path = await asyncio.to_thread(resources.artifacts.path, artifact)
    return FileResponse(
        path,
        media_type="application/octet-stream",
        filename=PurePosixPath(artifact.path).name,
        headers={"ETag": f'"{artifact.sha256}"'},
    )
