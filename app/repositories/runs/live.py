"""Notifications with live power, and the runs and projects that a live page shows."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import select, text, union
from sqlalchemy.ext.asyncio import AsyncSession

from models import Attempt, Experiment, Project, ProjectMember, Run, User
from pricetag.tag.measured import SLURM

POWER_CHANNEL = "pricetag_power"

POWER_LISTENER = "pricetag live power"
"""Application name of the connection on which a server listens."""

_NOTIFY = text(
    "SELECT set_config('synchronous_commit', 'off', true), pg_notify(:channel, :message) "
    "WHERE EXISTS (SELECT FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = :listener)"
)


async def notify_power(session: AsyncSession, message: str) -> None:
    """Sends a message of less than 8000 bytes to every server when this commits.

    The commit does not wait for the disk, since a message is not stored; while no server listens,
    nothing is sent.
    """
    values = {"channel": POWER_CHANNEL, "message": message, "listener": POWER_LISTENER}
    await session.execute(_NOTIFY, values)


async def runs(session: AsyncSession, run_ids: Collection[uuid.UUID] | None) -> Sequence[Any]:
    """Some runs, or all open ones, with their names and their open attempts.

    Args:
        session: Database session.
        run_ids: The runs; None for all that are running.
    """
    query = (
        select(
            *(Run.id, Run.project_id, Run.name, Run.status, Run.status_reason, Run.progress),
            *(Run.pool, Run.gpus, Run.started_at, Run.finished_at),
            Project.name.label("project"),
            Experiment.name.label("experiment"),
            User.name.label("user"),
            *(Attempt.node_name, Attempt.components, Attempt.started_at.label("attempt_at")),
        )
        .join(Project, Project.id == Run.project_id)
        .join(Experiment, Experiment.id == Run.experiment_id)
        .outerjoin(User, User.id == Run.created_by)
        .outerjoin(
            Attempt,  # at most one: those of the nodes of a job arrive when they have ended
            (Attempt.run_id == Run.id) & Attempt.ended_at.is_(None) & (Run.origin != SLURM),
        )
    )
    if run_ids is None:
        # By two indexes: an alternative over both tables would read every run.
        running = select(Run.id).where(Run.status == "running")
        attempted = select(Attempt.run_id).where(Attempt.ended_at.is_(None))
        query = query.where(Run.id.in_(union(running, attempted)))
    else:
        query = query.where(Run.id.in_(run_ids))
    return (await session.execute(query.order_by(Run.started_at, Run.id))).all()


async def open_projects(session: AsyncSession) -> frozenset[uuid.UUID]:
    """IDs of the projects that everybody sees."""
    query = select(Project.id).where(Project.visibility == "open")
    return frozenset(await session.scalars(query))


async def memberships(
    session: AsyncSession, user_ids: Collection[uuid.UUID]
) -> Sequence[tuple[uuid.UUID, uuid.UUID]]:
    """User and project of each membership of some users."""
    query = select(ProjectMember.user_id, ProjectMember.project_id).where(
        ProjectMember.user_id.in_(user_ids)
    )
    return [(row.user_id, row.project_id) for row in await session.execute(query)]


async def projects_of_experiments(
    session: AsyncSession, experiment_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, uuid.UUID]:
    """The project of each experiment."""
    query = select(Experiment.id, Experiment.project_id).where(Experiment.id.in_(experiment_ids))
    return {row.id: row.project_id for row in await session.execute(query)}
