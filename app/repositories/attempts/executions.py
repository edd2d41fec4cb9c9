"""SQL of a run's execution: locks, transitions, events."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from models import Attempt, Experiment, Project, Run

CHANNEL = "pricetag_run_events"
"""Channel that is notified with the run's id whenever the run has new events."""


# One statement for any number of events, since every batch of every running attempt has some.
_ADD_EVENTS = text("""
    WITH added AS (
      INSERT INTO run_events (run_id, at, kind, payload)
      SELECT :run_id, at, kind, CAST(payload AS jsonb)
      FROM unnest(CAST(:at AS timestamptz[]), CAST(:kind AS text[]), CAST(:payload AS text[]))
        WITH ORDINALITY AS event (at, kind, payload, number)
      ORDER BY number
    )
    SELECT pg_notify(:channel, CAST(CAST(:run_id AS uuid) AS text))
""")


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a run's event stream."""

    kind: str
    at: datetime
    payload: Mapping[str, Any]


async def lock_run(session: AsyncSession, run_id: UUID) -> Run | None:
    """The run, locked against other transitions and freshly read."""
    query = (
        select(Run)
        .where(Run.id == run_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def get_run(session: AsyncSession, run_id: UUID) -> Run | None:
    return await session.get(Run, run_id)


async def runs(session: AsyncSession, run_ids: Collection[UUID]) -> Sequence[Run]:
    """The existing ones of some runs, freshly read."""
    if not run_ids:
        return []
    query = select(Run).where(Run.id.in_(run_ids)).execution_options(populate_existing=True)
    return (await session.execute(query)).scalars().all()


async def statuses(session: AsyncSession, run_ids: Collection[UUID]) -> dict[UUID, str]:
    """Status of each of some runs that exists."""
    query = select(Run.id, Run.status).where(Run.id.in_(run_ids))
    return {row.id: row.status for row in await session.execute(query)}


async def names_of(session: AsyncSession, run: Run) -> tuple[str, str]:
    """Names of the run's project and experiment."""
    query = (
        select(Project.name, Experiment.name)
        .select_from(Run)
        .join(Project, Project.id == Run.project_id)
        .join(Experiment, Experiment.id == Run.experiment_id)
        .where(Run.id == run.id)
    )
    project, experiment = (await session.execute(query)).one()
    return project, experiment


async def startable(session: AsyncSession, run_id: UUID) -> Row[int, str] | None:
    """`gpus` and `kind` of a run that may start now, by the database's clock; None if not."""
    query = select(Run.gpus, Run.kind).where(
        Run.id == run_id,
        Run.status == "queued",
        Run.cancel_requested_at.is_(None),
        or_(Run.not_before.is_(None), Run.not_before <= func.now()),
    )
    return (await session.execute(query)).one_or_none()


async def last_attempt_number(session: AsyncSession, run_id: UUID) -> int:
    """Number of the run's last attempt; 0 if there was none."""
    query = select(func.coalesce(func.max(Attempt.number), 0)).where(Attempt.run_id == run_id)
    return (await session.execute(query)).scalar_one()


async def add_events(session: AsyncSession, run_id: UUID, events: list[Event]) -> None:
    """Appends to the run's event stream and wakes its listeners when this commits.

    The caller holds the run's lock, so that ids become visible in their order.
    """
    if not events:
        return
    values = {
        "run_id": run_id,
        "at": [event.at for event in events],
        "kind": [event.kind for event in events],
        "payload": [json.dumps(dict(event.payload)) for event in events],
        "channel": CHANNEL,
    }
    await session.execute(_ADD_EVENTS, values)
