"""The queue of each pool as a view model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.schemas.queue import PoolQueue, PoolWorker, QueueRead, WaitingRun
from app.services.principals import Principal
from app.web.views.figures import FigureView, figure, unknown
from pricetag.tag.figures import column_unit, counted, percent

NO_QUOTE = "the run has no quote"


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A waiting run.

    Attributes:
        run: The run.
        duration: Quoted duration.
        energy: Quoted IT energy.
        may_change: Whether the visitor may cancel it.
    """

    run: WaitingRun
    duration: FigureView
    energy: FigureView
    may_change: bool


@dataclass(frozen=True, slots=True)
class Pool:
    """The queue of one pool.

    Attributes:
        queue: The queue.
        places: Places in use, in words.
        ratio: Share of the places in use; None without a live worker.
        share: The same in words.
        counts: Numbers of running, waiting and ended runs, in words.
        rows: The first waiting runs.
        further: Number of runs that are not listed, in words; empty if all are.
        heard: Workers, longest silent first.
    """

    queue: PoolQueue
    places: str
    ratio: float | None
    share: str
    counts: str
    rows: Sequence[WaitingRow]
    further: str
    heard: Sequence[PoolWorker]


@dataclass(frozen=True, slots=True)
class Queue:
    """All pools."""

    read: QueueRead
    pools: Sequence[Pool]


def queue(read: QueueRead, visitor: Principal) -> Queue:
    """The view of the queue for a visitor."""
    return Queue(read, [_pool(pool, visitor) for pool in read.pools])


def _pool(pool: PoolQueue, visitor: Principal) -> Pool:
    places = []
    if pool.gpus:
        places.append(f"{pool.gpus_busy} of {counted(pool.gpus, 'accelerator')} in use")
    if pool.cpu_slots:
        places.append(f"{pool.cpu_slots_busy} of {counted(pool.cpu_slots, 'CPU slot')} in use")
    hidden = pool.waiting_hidden
    missing = pool.waiting_count - len(pool.waiting) - hidden
    further = [f"{counted(hidden, 'private run')}"] if hidden else []
    further += [f"{missing:,} further back"] if missing > 0 else []
    return Pool(
        queue=pool,
        places=", ".join(places) or "no live worker",
        ratio=pool.busy_ratio,
        share="" if pool.busy_ratio is None else percent(pool.busy_ratio),
        counts=f"{pool.running_count} running, {pool.waiting_count} waiting, "
        f"{pool.finished_last_hour} ended in the last hour",
        rows=_rows(pool.waiting, visitor),
        further=" and ".join(further),
        heard=pool.heard,
    )


def _rows(waiting: Sequence[WaitingRun], visitor: Principal) -> list[WaitingRow]:
    durations = [run.quote.duration_s.value if run.quote else None for run in waiting]
    energies = [run.quote.it_energy_kwh.value if run.quote else None for run in waiting]
    units = column_unit(durations, "s"), column_unit(energies, "kWh")
    return [
        WaitingRow(
            run=run,
            duration=figure(run.quote.duration_s, shown=units[0]) if run.quote else _no_quote(),
            energy=figure(run.quote.it_energy_kwh, shown=units[1]) if run.quote else _no_quote(),
            may_change=visitor.has("admin") or (visitor.has("member") and run.user == visitor.name),
        )
        for run in waiting
    ]


def _no_quote() -> FigureView:
    return unknown(NO_QUOTE)
