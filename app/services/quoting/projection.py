"""Projected totals of a running job, from its progress, its quote and its earlier attempts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.quotes import quotes as quote_rows
from app.schemas.projections import ProjectionRead
from app.services.quoting.likeness import steps
from models import Quote, Run
from pricetag.accounting.forecast.estimates import Forecast
from pricetag.accounting.forecast.price import Rates, quantities
from pricetag.accounting.forecast.projection import (
    Counted,
    NoProjection,
    Range,
    Standing,
    progress_ratio,
    project,
)
from pricetag.accounting.quantity.quantity import Quantity

logger = logging.getLogger(__name__)

NO_PROGRESS = "the job has not reported its progress yet"
NO_FACTORS = "the run has no quote, so no factors were set for it"


@dataclass(frozen=True, slots=True)
class _Resource:
    """The names of a resource in progress records and in quotes."""

    progress: str
    quote: str
    text: str


ENERGY = _Resource("energy_kwh", "it_energy_kwh", "energy")
TIME = _Resource("t_s", "duration_s", "time")


async def of_run(session: Session, run: Run, quote: Quote | None = None) -> ProjectionRead | None:
    """Projected totals of a run; None if it is not running.

    Args:
        session: Database session.
        run: The run with its newest progress.
        quote: Its quote, if already read.
    """
    if run.status != "running":
        return None
    if quote is None:
        return (await of_runs(session, [run]))[run.id]
    before = await _used_before(session, [run])
    return _of_one(run, quote.content, before[run.id])


async def of_runs(
    session: Session, runs: Sequence[Run], quotes: Sequence[Quote] | None = None
) -> dict[UUID, ProjectionRead]:
    """Projected totals of those of some runs that are running, in as many reads as of one.

    Args:
        session: Database session.
        runs: The runs with their newest progress.
        quotes: Their quotes, if already read.
    """
    running = [run for run in runs if run.status == "running"]
    if not running:
        return {}
    if quotes is None:
        quotes = await quote_rows.of_runs(session, [run.id for run in running])
    contents = {quote.run_id: quote.content for quote in quotes}
    before = await _used_before(session, running)
    return {run.id: _of_one(run, contents.get(run.id), before[run.id]) for run in running}


_Used = tuple[float | None, float | None]
"""Duration (s) and IT energy (kWh)."""


async def _used_before(session: Session, runs: Sequence[Run]) -> dict[UUID, _Used]:
    """What each run used in its earlier attempts."""
    resumed = [
        run.id for run in runs if run.progress is not None and run.progress.get("attempt", 1) > 1
    ]
    used = await quote_rows.used_before(session, resumed) if resumed else {}
    unknown: _Used = (None, None)
    return {run.id: used.get(run.id, unknown) if run.id in resumed else (0.0, 0.0) for run in runs}


def _of_one(run: Run, content: Mapping[str, Any] | None, before: _Used) -> ProjectionRead:
    try:
        return projected(run.recipe, run.gpus, run.progress, content, before)
    except Exception as error:  # a failed projection must not keep a run from being shown
        logger.exception("run %s: no projection; the estimator failed", run.id)
        reason = f"the projection failed ({type(error).__name__})"
        return _read(None, None, reason, reason, None)


def projected(
    recipe: Mapping[str, Any],
    gpus: int,
    progress: Mapping[str, Any] | None,
    content: Mapping[str, Any] | None,
    before: tuple[float | None, float | None],
) -> ProjectionRead:
    """The projection of a running job.

    Args:
        recipe: Recipe of the run.
        gpus: Number of accelerators of the run.
        progress: Its newest progress with marks; None before the first.
        content: Content of its quote; None without a quote.
        before: Duration (s) and IT energy (kWh) of its earlier attempts.
    """
    if progress is None:
        return _read(None, None, NO_PROGRESS, NO_PROGRESS, content)
    quoted_steps = list(content["steps"]) if content else []
    planned = steps(recipe, gpus)
    kinds = [step.kind for step in planned]
    reports_whole = [step.reports_whole for step in planned]
    duration_s, _ = _ended(TIME, progress, quoted_steps, kinds, reports_whole, before[0])
    energy, ratio = _ended(ENERGY, progress, quoted_steps, kinds, reports_whole, before[1])
    return _read(progress, ratio, duration_s, energy, content)


def _ended(
    resource: _Resource,
    progress: Mapping[str, Any],
    quoted_steps: Sequence[Mapping[str, Any]],
    kinds: Sequence[str],
    reports_whole: Sequence[bool],
    before: float | None,
) -> tuple[Range | str, float | None]:
    now = progress.get(resource.progress)
    if now is None:
        return f"the {resource.text} so far is unknown", None
    step = progress.get("step")
    number = None if step is None else int(step["number"])
    if number is not None and number >= len(kinds):
        return "the job is in a stage that its recipe does not have", None
    began = None if step is None else step[resource.progress]
    standing = Standing(
        used=now + (before or 0.0),
        step=number,
        kinds=kinds,
        in_step=0.0 if began is None else max(now - began, 0.0),
        counted=_counted(resource, progress, now, number, reports_whole),
        expected=[_forecast(each[resource.quote]) for each in quoted_steps],
    )
    ratio = progress_ratio(standing)
    if before is None:
        return f"the {resource.text} of the earlier attempts is unknown", ratio
    try:
        return project(standing), ratio
    except NoProjection as error:
        return str(error), ratio


def _counted(
    resource: _Resource,
    progress: Mapping[str, Any],
    now: float,
    number: int | None,
    reports_whole: Sequence[bool],
) -> Counted | None:
    """Progress of the present step; None if its reports do not cover the whole step."""
    mark = progress.get("counted")
    if mark is None or number is None or not reports_whole[number] or mark["key"] != str(number):
        return None
    since = mark[resource.progress]
    if since is None or not mark["total"] > 0:
        return None
    return Counted(mark["done"], mark["total"], mark["first"], max(now - since, 0.0))


def _forecast(pair: Sequence[float] | None) -> Forecast | None:
    return None if pair is None else Forecast(pair[0], pair[1])


def _read(
    progress: Mapping[str, Any] | None,
    ratio: float | None,
    duration_s: Range | str,
    energy: Range | str,
    content: Mapping[str, Any] | None,
) -> ProjectionRead:
    wire = content.get("rates") if content else None
    if wire is not None:
        figures = quantities(duration_s, energy, Rates.from_dict(wire))
    else:
        figures = _without_factors(duration_s, energy)
    return ProjectionRead.model_validate(
        {
            "at": None if progress is None else progress.get("at"),
            "progress_ratio": ratio,
            "quantities": {name: quantity.as_dict() for name, quantity in figures.items()},
        }
    )


def _without_factors(duration_s: Range | str, energy: Range | str) -> dict[str, Quantity]:
    figures = {}
    for name, unit, figure in (("duration_s", "s", duration_s), ("it_energy_kwh", "kWh", energy)):
        figures[name] = (
            Quantity.unknown(unit, figure)
            if isinstance(figure, str)
            else Quantity(figure.value, figure.low, figure.high, unit, "estimated")
        )
    for name, unit in (("facility_energy_kwh", "kWh"), ("co2e_kg", "kg"), ("cost", "money")):
        figures[name] = Quantity.unknown(unit, NO_FACTORS)
    return figures
