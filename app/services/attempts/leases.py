"""Leases of running attempts: renewed by workers, watched by an observer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from app.db import Session
from app.repositories.attempts import attempts, executions
from app.repositories.readings import readings
from app.services.attempts import settlement, unread
from app.services.budgets.watch import StopOrder

REAPER_LOCK = 0x70726963_72656170


@dataclass(frozen=True, slots=True)
class LeaseState:
    """State of an attempt that its worker must react to.

    Attributes:
        cancel_requested: The run is to be canceled: stop, and end as canceled.
        closed: The attempt was ended elsewhere: stop at once.
        stop: A budget is used up: stop, and end as canceled.
    """

    cancel_requested: bool
    closed: bool
    stop: StopOrder | None = None


async def renew_leases(session: Session, attempt_ids: Collection[UUID]) -> dict[UUID, LeaseState]:
    """Renews the leases of open attempts and returns the state of each.

    Returns:
        One state per requested id; an attempt that does not exist is closed.
    """
    if not attempt_ids:
        return {}
    await attempts.renew(session, attempt_ids)
    states = dict.fromkeys(attempt_ids, LeaseState(cancel_requested=False, closed=True))
    for attempt_id, ended_at, cancel_requested_at in await attempts.lease_states(
        session, attempt_ids
    ):
        states[attempt_id] = LeaseState(
            cancel_requested=cancel_requested_at is not None, closed=ended_at is not None
        )
    return states


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to an attempt.

    Attributes:
        renewed_at: Time of the last renewal, by the database's clock.
        lease_s: Duration of the lease after a renewal, by the worker's setting.
    """

    renewed_at: datetime
    lease_s: float


class LeaseObserver:
    """Watches leases with its own clock.

    A lease has expired once the same renewal was observed, without a break, for the duration of
    the lease. While the database was away nobody could renew, so that time does not count:
    after a break, or a restart of the database, the observation starts again.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[UUID, tuple[datetime, float]] = {}
        self._last_look_s = -math.inf
        self._epoch: datetime | None = None
        self.shortest_s = math.inf
        """The shortest of the leases that were open at the last observation."""

    def observe(self, leases: Mapping[UUID, Lease], *, epoch: datetime) -> list[UUID]:
        """Observes all open leases; returns those that have expired.

        Observe at least four times per lease: if half of a lease passes without an observation,
        that lease's observation starts again.

        Args:
            leases: The lease of each open attempt.
            epoch: Start time of the database server.
        """
        now_s = self._clock()
        pause_s = now_s - self._last_look_s if epoch == self._epoch else math.inf
        self._last_look_s, self._epoch = now_s, epoch
        before, self._seen = self._seen, {}
        expired = []
        for attempt_id, lease in leases.items():
            renewed_at, since_s = before.get(attempt_id, (None, now_s))
            if renewed_at != lease.renewed_at or pause_s > lease.lease_s / 2:
                since_s = now_s
            self._seen[attempt_id] = (lease.renewed_at, since_s)
            if now_s - since_s >= lease.lease_s:
                expired.append(attempt_id)
        self.shortest_s = min((lease.lease_s for lease in leases.values()), default=math.inf)
        return expired


async def reap(session: Session, *, observer: LeaseObserver, lease_s: float) -> list[UUID]:
    """Closes the attempts whose leases have expired.

    The worker set the duration of the lease when it claimed the run. Call this at least four
    times per shortest lease (`observer.shortest_s`), with the same observer. Several processes
    may do so: while one closes attempts, the others only observe.

    Args:
        session: Committed by the caller.
        observer: This process's observer.
        lease_s: Duration of a lease for which the worker set none.

    Returns:
        The runs of the closed attempts.
    """
    leases = {
        id_: Lease(renewed_at, lease_s if own_s is None else own_s)
        for id_, renewed_at, own_s in await attempts.open_leases(session)
    }
    epoch = await attempts.database_epoch(session)
    expired = observer.observe(leases, epoch=epoch)
    if not expired or not await attempts.try_lock_reaper(session, REAPER_LOCK):
        return []
    closed = []
    for attempt_id in expired:
        lease = leases[attempt_id]
        message = f"its worker did not report for {lease.lease_s:g} s"
        run_id = await close_lost(
            session, attempt_id, message=message, unless_renewed_since=lease.renewed_at
        )
        if run_id is not None:
            closed.append(run_id)
    return closed


async def close_lost(
    session: Session,
    attempt_id: UUID,
    *,
    message: str = "its worker died",
    unless_renewed_since: datetime | None = None,
) -> UUID | None:
    """Ends an attempt as lost, and settles it from the stored readings.

    What it may have used after the last of them, until now, is in its interval. If its journal
    arrives later, that has the true end.

    Args:
        session: Committed by the caller.
        attempt_id: The attempt.
        message: Reason for closing it.
        unless_renewed_since: Keep the attempt if its lease was renewed after this time.

    Returns:
        Its run, or None if it was not closed, because it is unknown, ended or renewed.
    """
    attempt = await attempts.lock(session, attempt_id)
    if attempt is None or attempt.ended_at is not None:
        return None
    if unless_renewed_since is not None and attempt.lease_renewed_at > unless_renewed_since:
        return None
    run = await executions.lock_run(session, attempt.run_id)
    if run is None:
        return None
    at = datetime.now(UTC)
    last_s = await readings.last_reading_s(session, attempt_id)
    if last_s is not None:
        attempt.unread_j = await unread.unread_until_j(session, attempt, last_s, at)
    await settlement.close_attempt(
        session,
        attempt,
        run,
        status="lost",
        reason={"code": "worker-lost", "message": message},
        end_s=last_s or 0.0,
        at=at,
    )
    return run.id
