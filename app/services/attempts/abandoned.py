"""Ends runs that no queue started and whose journal does not arrive to its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.attempts import attempts, executions, journals
from app.repositories.readings import readings
from app.services.attempts import settlement
from models import Attempt, Run

CODE = "journal-incomplete"
"""Code of the reason of a run that was ended without the end of its journal."""

AT_ONCE = 100
"""Maximum number of silent journals that are ended in one round of housekeeping."""


def is_abandoned(attempt: Attempt) -> bool:
    """Whether an attempt was ended without the end of its journal."""
    return attempt.status == "lost" and (attempt.reason or {}).get("code") == CODE


async def abandon(session: Session, attempt: Attempt, run: Run, why: str) -> None:
    """Ends an attempt with what has arrived; its energy stays on the price tag.

    Args:
        session: Committed by the caller.
        attempt: An open attempt; locked by the caller, like its run.
        run: Its run.
        why: Who ended it, and why.
    """
    last_s = await readings.last_reading_s(session, attempt.id) or 0.0
    reason: dict[str, Any] = {
        "code": CODE,
        "message": f"its journal did not arrive to its end: {why}; what had arrived is counted",
    }
    await settlement.close_attempt(
        session,
        attempt,
        run,
        status="lost",
        reason=reason,
        end_s=last_s,
        at=(attempt.meter_opened_at or attempt.started_at) + timedelta(seconds=last_s),
    )


async def silent_since(session: Session, silence: timedelta) -> list[UUID]:
    """Open attempts of whose journal nothing has arrived for some time, at most a hundred."""
    return list(await journals.silent(session, datetime.now(UTC) - silence, AT_ONCE))


async def end_silent(session: Session, attempt_id: UUID, silence: timedelta) -> UUID | None:
    """Ends an attempt if still nothing of its journal has arrived for some time.

    Args:
        session: Committed by the caller.
        attempt_id: The attempt.
        silence: How long nothing must have arrived.

    Returns:
        Its run; None if it has ended, or more has arrived.
    """
    attempt = await attempts.lock(session, attempt_id)
    journal = await journals.get(session, attempt_id)
    if attempt is None or attempt.ended_at is not None or journal is None:
        return None
    if journal.updated_at > datetime.now(UTC) - silence:
        return None
    run = await executions.lock_run(session, attempt.run_id)
    if run is None:
        return None
    days = silence / timedelta(days=1)
    await abandon(session, attempt, run, f"nothing arrived for {days:g} days")
    return run.id
