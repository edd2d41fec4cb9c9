"""What responses about one run share."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from app.db import Session
from app.repositories.runs import runs
from app.repositories.runs.runs import RunRow
from app.schemas.runs import Headline, RunAccepted, RunResources
from app.services.errors import RunNotFoundError
from app.services.queueing import waiting
from models import Run


def not_found(run_id: uuid.UUID) -> RunNotFoundError:
    """The error for a run that does not exist."""
    return RunNotFoundError(
        f"Run {run_id} not found: it does not exist or is hidden from you.", field="run_id"
    )


async def row_of(session: Session, run_id: uuid.UUID) -> RunRow:
    """A run with its project, experiment and headline.

    Raises:
        RunNotFoundError: If the run does not exist.
    """
    row = await runs.get_row(session, run_id)
    if row is None:
        raise not_found(run_id)
    return row


def summary(row: RunRow) -> dict[str, object]:
    """The fields of a run that lists show."""
    run = row.run
    return {
        "id": run.id,
        "project": row.project,
        "experiment": row.experiment,
        "name": run.name,
        "user": row.user,
        "tags": run.tags,
        "kind": run.kind,
        "origin": run.origin,
        "measured_by": run.measured_by,
        "resources": RunResources(gpus=run.gpus, pool=run.pool, power_limit_w=run.power_limit_w),
        "priority": run.priority,
        "not_before": run.not_before,
        "status": run.status,
        "status_reason": run.status_reason,
        "progress": run.progress,
        "cancel_requested_at": run.cancel_requested_at,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "price_tag": Headline.model_validate(row.headline) if row.headline else None,
    }


async def accepted(
    session: Session, run: Run, project: str, experiment: str, warnings: Sequence[str] = ()
) -> RunAccepted:
    """The response to posting, canceling or resuming a run."""
    wait = await waiting.of_run(session, run)
    waits = [] if wait is None else [f"the run waits: {wait.message} ({wait.hint})"]
    return RunAccepted.model_validate(
        {
            "id": run.id,
            "status": run.status,
            "name": run.name,
            "project": project,
            "experiment": experiment,
            "kind": run.kind,
            "created_at": run.created_at,
            "cancel_requested_at": run.cancel_requested_at,
            "url": f"/v1/runs/{run.id}",
            "waiting": wait,
            "warnings": [*warnings, *waits],
        }
    )
