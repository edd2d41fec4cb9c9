"""A run with its recipe, attempts and stages."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence

from app.db import Session
from app.repositories.attempts import attempts as attempt_rows
from app.repositories.attempts import measured
from app.schemas.runs import (
    AttemptRead,
    Headline,
    RejectedReason,
    RunRead,
    StageRead,
)
from app.services import access
from app.services.attempts import lineage
from app.services.attempts.intake import dropped, rejected
from app.services.carbon import green_start
from app.services.principals import Principal
from app.services.queueing import waiting
from app.services.quoting import projection
from app.services.runs.responses import row_of, summary
from models import Attempt, Stage

MAX_REASONS = 20


async def read(session: Session, principal: Principal, run_id: uuid.UUID) -> RunRead:
    """A run with its recipe, attempts and stages.

    Raises:
        RunNotFoundError: If the run does not exist, or the principal may not see it.
    """
    await access.require_run(session, principal, run_id)
    row = await row_of(session, run_id)
    stages: dict[uuid.UUID, list[Stage]] = defaultdict(list)
    for stage in await measured.stages_of_run(session, run_id):
        stages[stage.attempt_id].append(stage)
    attempts = await attempt_rows.of_run(session, run_id)
    reasons = await _reasons(session, attempts)
    headline = summary(row)["price_tag"]
    energy = headline.figures.facility_energy_kwh if isinstance(headline, Headline) else None
    return RunRead.model_validate(
        {
            **summary(row),
            "recipe": row.run.recipe,
            "max_attempts": row.run.max_attempts,
            "green_start": None
            if row.run.not_before is None
            else await green_start.read(session, run_id, attempts, energy),
            "waiting": await waiting.of_run(session, row.run),
            "created_by": row.run.created_by,
            "projection": await projection.of_run(session, row.run),
            "lineage": await lineage.of_run(session, principal, run_id),
            "attempts": [
                _attempt(attempt, stages[attempt.id], reasons[attempt.id]) for attempt in attempts
            ],
        }
    )


async def _reasons(
    session: Session, attempts: Sequence[Attempt]
) -> dict[uuid.UUID, list[RejectedReason]]:
    """Why reports were rejected, of the attempts that had any."""
    reasons: dict[uuid.UUID, list[RejectedReason]] = defaultdict(list)
    if any(rejected(attempt.intake) for attempt in attempts):
        for attempt_id, reason, count in await attempt_rows.rejected_reasons(
            session, attempts[0].run_id
        ):
            reasons[attempt_id].append(RejectedReason(reason=reason, count=count))
    return reasons


def _attempt(
    attempt: Attempt, stages: list[Stage], reasons: Sequence[RejectedReason]
) -> AttemptRead:
    count = rejected(attempt.intake)
    return AttemptRead.model_validate(
        {
            "number": attempt.number,
            "status": attempt.status,
            "reason": attempt.reason,
            "node": attempt.node_name,
            "devices": attempt.devices,
            "started_at": attempt.started_at,
            "ended_at": attempt.ended_at,
            "duration_s": attempt.duration_s,
            "left_out": dropped(attempt.intake),
            "rejected": {"count": count, "reasons": reasons[:MAX_REASONS]} if count else None,
            "stages": [StageRead.model_validate(stage) for stage in stages],
        }
    )
