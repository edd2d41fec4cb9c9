"""Metrics, log lines and artifacts of a run."""

from __future__ import annotations

import uuid
from typing import Literal

from app.db import Session
from app.repositories.attempts import attempts as attempt_rows
from app.repositories.attempts import series
from app.schemas.series import (
    ArtifactList,
    ArtifactRead,
    LogPage,
    LogRead,
    MetricPage,
    MetricRead,
)
from app.services import cursors
from app.services.energy.power import select_attempts
from app.services.errors import InvalidError, NotFoundError
from models import Artifact, Attempt, Metric
from pricetag.tag.measured import reported_text


class ArtifactNotFoundError(NotFoundError):
    """The run has no such artifact."""

    code = "artifact-not-found"


class MetricNotFoundError(NotFoundError):
    """The run has ended without reporting such a metric."""

    code = "metric-not-found"


class AfterTheNewestError(InvalidError):
    """Lines after a position are the oldest of them, not the newest."""

    code = "after-the-newest"


def _position(cursor: str | None, field: str) -> series.Position | None:
    if cursor is None:
        return None
    number, seq = map(int, cursors.decode(cursor, int, int, field=field))
    return number, seq


async def metrics(
    session: Session,
    run_id: uuid.UUID,
    *,
    attempt: int | None,
    name: str | None,
    split: str | None,
    cursor: str | None,
    limit: int,
    ended: bool,
) -> MetricPage:
    """A page of metrics, in the order in which they were reported.

    Args:
        session: Database session, only read.
        run_id: ID of the run.
        attempt: Number of one attempt; None for all.
        name: Only metrics with this name.
        split: Only metrics of this data split.
        cursor: End of the previous page.
        limit: Maximum number of metrics.
        ended: Whether the run has ended, so that no more metrics will come.

    Raises:
        AttemptNotFoundError: If the run has no such attempt.
        MetricNotFoundError: If the run ended without such a metric in any of its attempts.
        CursorError: If the cursor is not of this list.
    """
    attempts = select_attempts(await attempt_rows.of_run(session, run_id), attempt)
    equal = {key: text for key, text in (("name", name), ("split", split)) if text is not None}
    after = _position(cursor, "cursor")
    rows = await series.lines(session, Metric, attempts, after=after, limit=limit + 1, **equal)
    if ended and equal and cursor is None and not rows:
        await _require_metrics(session, run_id, **equal)
    shown, following = cursors.page(rows, limit, lambda row: (row[0], row[1].seq))
    return MetricPage(
        items=[
            MetricRead(
                attempt=number,
                seq=metric.seq,
                at=metric.at,
                stage=metric.stage_key,
                name=metric.name,
                value=metric.value,
                unit=metric.unit,
                split=metric.split,
                step=metric.step,
                quality=metric.quality,
                of_class=metric.of_class,
                reason=metric.reason,
            )
            for number, metric in shown
        ],
        next_cursor=following,
    )


MOST_REPORTED = 100
"""Figures of another tool that are shown in one sentence."""


async def reported(session: Session, run_id: uuid.UUID) -> str | None:
    """The figures that another tool reported of a run, in one sentence; None without any."""
    attempts = await attempt_rows.of_run(session, run_id)
    rows = await series.lines(session, Metric, attempts, after=None, limit=MOST_REPORTED)
    return reported_text((metric.name, metric.value, metric.unit) for _, metric in rows)


async def _require_metrics(session: Session, run_id: uuid.UUID, **equal: str) -> None:
    """Requires that each wanted name and split is that of some metric of the run."""
    for column, wanted in equal.items():
        values = await series.values_of_metrics(session, run_id, column)
        if wanted not in values:
            noun = "metric" if column == "name" else "metric of the split"
            listed = "; it has " + ", ".join(f"'{value}'" for value in values) if values else ""
            raise MetricNotFoundError(f"The run has no {noun} '{wanted}'{listed}.", field=column)


async def logs(
    session: Session,
    run_id: uuid.UUID,
    *,
    attempt: int | None,
    after: str | None,
    limit: int,
    search: str | None = None,
    newest: bool = False,
) -> LogPage:
    """Log lines after a position; the response contains the position to continue from.

    Args:
        session: Database session, only read.
        run_id: ID of the run.
        attempt: Number of one attempt; None for all.
        after: Position after which to start.
        limit: Maximum number of lines.
        search: Only lines that contain this text, in any case.
        newest: The last lines instead of the first.

    Raises:
        AttemptNotFoundError: If the run has no such attempt.
        CursorError: If `after` does not belong to this list.
        AfterTheNewestError: If `after` is combined with `newest`.
    """
    if newest and after is not None:
        raise AfterTheNewestError("Use either after or newest.", field="after")
    attempts = select_attempts(await attempt_rows.of_run(session, run_id), attempt)
    if newest:
        rows = await series.last_log_lines(session, attempts, limit=limit, contains=search)
    else:
        start = _position(after, "after")
        rows = await series.log_lines(session, attempts, after=start, limit=limit, contains=search)
    return LogPage(
        items=[
            LogRead(attempt=number, seq=line.seq, at=line.at, stream=line.stream, text=line.text)
            for number, line in rows
        ],
        next_after=cursors.encode(rows[-1][0], rows[-1][1].seq) if rows else after,
    )


def _artifact(run_id: uuid.UUID, attempt: Attempt, artifact: Artifact) -> ArtifactRead:
    return ArtifactRead(
        id=artifact.id,
        attempt=attempt.number,
        stage=artifact.stage_key,
        name=artifact.name,
        path=artifact.path,
        size_bytes=artifact.size_bytes,
        sha256=artifact.sha256,
        card=artifact.card,
        created_at=artifact.created_at,
        node=attempt.node_name,
        place=_place(artifact),
        place_reason=_place_reason(artifact),
        download_url=f"/v1/runs/{run_id}/artifacts/{artifact.id}/content",
    )


def _place(artifact: Artifact) -> Literal["folder", "store", "removed"]:
    if artifact.removed_at is not None:
        return "removed"
    return "folder" if artifact.stored_at is None else "store"


def _place_reason(artifact: Artifact) -> str | None:
    if artifact.removed_at is not None:
        return f"removed on {artifact.removed_at:%Y-%m-%d} (UTC)"
    return artifact.not_stored if artifact.stored_at is None else None


async def artifacts(session: Session, run_id: uuid.UUID) -> ArtifactList:
    """The artifacts of all attempts of a run."""
    rows = await series.artifacts(session, run_id)
    return ArtifactList(items=[_artifact(run_id, attempt, item) for attempt, item in rows])


async def artifact(session: Session, run_id: uuid.UUID, artifact_id: uuid.UUID) -> ArtifactRead:
    """One artifact.

    Raises:
        ArtifactNotFoundError: If the run has no artifact with this id.
    """
    rows = await series.artifacts(session, run_id, artifact_id)
    if not rows:
        raise ArtifactNotFoundError(
            f"The run {run_id} has no artifact {artifact_id}.", field="artifact_id"
        )
    return _artifact(run_id, *rows[0])
