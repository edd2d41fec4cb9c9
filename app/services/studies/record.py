"""The record of a study as its decisions need it, and what its runs have used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.price_tags.headlines import headlines
from app.repositories.studies import studies
from app.services.billing import live_use
from app.settings import get_settings
from pricetag.accounting.quantity.quantity import Quantity
from pricetag.studies.record import RungRecord, State, TrialRecord
from pricetag.studies.spec import StudySpec

OPEN = ("queued", "running")

FIGURES = {
    "duration_s": "s",
    "it_energy_kwh": "kWh",
    "facility_energy_kwh": "kWh",
    "co2e_kg": "kg",
    "cost": "money",
    "flops_dense": "FLOP",
}
"""Figures of a study's price tag, with their units."""

NOT_ISSUED = "it has no price tag yet"


def unit_of(name: str) -> str:
    """The unit of a figure; that of a cost is the lab's currency."""
    return get_settings().currency if name == "cost" else FIGURES[name]


@dataclass(frozen=True, slots=True)
class StudyRunRow:
    """A run of a trial.

    Attributes:
        trial: Number of the trial.
        rung: Number of the rung.
        run_id: The run; None if it could not be posted.
        status: Status of the run; `failed` if it could not be posted.
        reason: Reason for the status.
        is_started: Whether an attempt has begun.
    """

    trial: int
    rung: int
    run_id: UUID | None
    status: str
    reason: Mapping[str, Any] | None
    is_started: bool

    @property
    def state(self) -> State:
        """The state of the rung."""
        if self.status in OPEN:
            return "open"
        return _STATES.get(self.status, "failed")


_STATES: Mapping[str, State] = {"succeeded": "done", "cancelled": "canceled"}


@dataclass(frozen=True)
class Record:
    """A study's trials in the order of their numbers, and their runs."""

    trials: Sequence[TrialRecord]
    runs: Sequence[StudyRunRow]

    @property
    def run_ids(self) -> list[UUID]:
        """All runs that were posted."""
        return [run.run_id for run in self.runs if run.run_id is not None]

    def run_of(self, trial: int, rung: int) -> StudyRunRow:
        """The run of a trial in a rung."""
        return self._by_place[trial, rung]

    @cached_property
    def _by_place(self) -> dict[tuple[int, int], StudyRunRow]:
        return {(run.trial, run.rung): run for run in self.runs}


async def read(session: Session, study_id: UUID, spec: StudySpec) -> Record:
    """The trials of a study with their runs and scores."""
    rows = [
        StudyRunRow(
            row.trial,
            row.rung,
            row.run_id,
            row.status or "failed",
            row.failure or row.status_reason,
            row.started_at is not None,
        )
        for row in await studies.runs(session, study_id)
    ]
    posted = [row.run_id for row in rows if row.run_id is not None]
    metric = spec.metric
    scored = await studies.scores(session, posted, metric.name, metric.split) if posted else {}
    rungs: dict[int, list[RungRecord]] = {}
    for row in rows:
        score = None if row.run_id is None else scored.get(row.run_id)
        best = None if score is None else score.most if metric.goal == "maximize" else score.least
        last = None if score is None else score.values[0]
        rungs.setdefault(row.trial, []).append(RungRecord(row.rung, row.state, last, best))
    trials = [
        TrialRecord(each.number, each.bracket, each.trial_values, tuple(rungs[each.number]))
        for each in await studies.trials(session, study_id)
    ]
    return Record(trials, rows)


async def figures(session: Session, runs: Sequence[StudyRunRow]) -> dict[UUID, dict[str, Quantity]]:
    """The figures of each posted run, from its newest price tag; unknown ones with a reason."""
    ids = [run.run_id for run in runs if run.run_id is not None]
    stored = await studies.newest_headlines(session, ids) if ids else {}
    read_headlines = await headlines(session, stored)
    by_run = {run_id: headline["figures"] for (run_id, _), headline in read_headlines.items()}
    return {
        run.run_id: {name: _figure(run, by_run.get(run.run_id), name) for name in FIGURES}
        for run in runs
        if run.run_id is not None
    }


def _figure(run: StudyRunRow, shown: Mapping[str, Any] | None, name: str) -> Quantity:
    if shown is None and not run.is_started and run.status not in OPEN:
        return Quantity.exact(0.0, unit_of(name), "counter")  # canceled before it began
    figure = (shown or {}).get(name)
    if figure is None:
        return Quantity.unknown(unit_of(name), NOT_ISSUED)
    if figure["value"] is None:
        return Quantity.unknown(figure["unit"], figure.get("reason") or "unknown")
    remark = figure.get("reason") if name == "flops_dense" else None
    ends = (figure["value"], figure["low"], figure["high"])
    return Quantity(*ends, figure["unit"], figure["source"], remark)


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of a study's budget, and what counts against it.

    Attributes:
        name: Name of the limit in the budget.
        unit: Unit of all amounts.
        limit: Most that the study may use.
        used: Use of ended runs, and of running ones so far.
        reserved: What open runs may still use, by their quotes.
        unknown_runs: Number of runs whose use or quote is unknown.
        waits: Whether no further trial may start before the use of a first one is known.
    """

    name: str
    unit: str
    limit: float
    used: float
    reserved: float
    unknown_runs: int
    waits: bool = False

    @property
    def is_reached(self) -> bool:
        """Whether no further trial may start."""
        return self.used + self.reserved >= self.limit


LIMITS = {
    "kwh": ("facility_energy_kwh", "kWh", 1.0),
    "co2e_kg": ("co2e_kg", "kg", 1.0),
    "cost": ("cost", "", 1.0),
    "flops": ("flops_dense", "FLOP", 1.0),
    "hours": ("duration_s", "h", 3600.0),
}
"""By the name of the limit: the figure, the unit, and the figure's value for one unit."""


async def limits(session: Session, spec: StudySpec, record: Record) -> list[Limit]:
    """The limits of the study's budget with what has been used and reserved."""
    budget = spec.budget
    if budget is None:
        return []
    run_figures = await figures(session, record.runs)
    open_ids = [run.run_id for run in record.runs if run.run_id and run.state == "open"]
    quoted = await studies.quotes(session, open_ids) if open_ids else {}
    live = await _live(session, open_ids)
    result = []
    for name, (figure, unit, scale) in LIMITS.items():
        limit = getattr(budget, name)
        if limit is None:
            continue
        unit = budget.currency or "" if name == "cost" else unit
        amounts = {
            run_id: _amount(run_figures[run_id][figure], unit, name) for run_id in record.run_ids
        }
        ended = [amounts[run.run_id] for run in record.runs if run.run_id and run.state != "open"]
        known = [amount for amount in ended if amount is not None]
        used, reserved, unknown = math.fsum(known), 0.0, len(ended) - len(known)
        for run_id in open_ids:
            so_far = (amounts[run_id] or 0.0) + (live.get(run_id, {}).get(figure) or 0.0)
            promised = _promised(quoted.get(run_id), figure, budget.currency)
            if promised is None and known:
                promised = max(known)  # without a quote, as much as the largest one before it
            used += so_far
            reserved += max((promised or 0.0) - so_far, 0.0)
            unknown += promised is None
        waits = not ended and unknown > 0
        result.append(
            Limit(name, unit, float(limit), used / scale, reserved / scale, unknown, waits)
        )
    return result


def _amount(figure: Quantity, unit: str, name: str) -> float | None:
    if name == "cost" and figure.value and figure.unit != unit:
        return None
    return figure.value


def _promised(quote: Any, figure: str, currency: str | None) -> float | None:
    if quote is None:
        return None
    shown = (quote.content.get("quantities") or {}).get(figure) or {}
    if figure == "cost" and shown.get("unit") != currency:
        return None
    value = shown.get("value")
    return None if value is None else float(value)


async def _live(session: Session, run_ids: Sequence[UUID]) -> dict[UUID, dict[str, float | None]]:
    """What the open attempts of runs have used so far."""
    rows = await studies.open_attempts(session, run_ids) if run_ids else []
    now = datetime.now(UTC)
    uses = await live_use.of_running(session, rows, now, live_use.CURRENT_RATES)
    used: dict[UUID, dict[str, float | None]] = {}
    for row in rows:
        use = uses[row.attempt_id]
        used[row.run_id] = {
            "facility_energy_kwh": _number(use.facility_energy_kwh),
            "co2e_kg": _number(use.co2e_kg),
            "cost": _number(use.cost),
            "duration_s": max((now - row.started_at).total_seconds(), 0.0),
        }
    return used


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
