"""Studies as rows, and one study with its rungs, trials and price tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.schemas.studies import StudyFigures, StudyLimit, StudyRead, StudySummary, TrialRead
from app.services.principals import Principal
from app.web.views.figures import FigureView, figure, shared_units
from pricetag.accounting.quantity.quantity import Source
from pricetag.studies.ensemble import ensemble_note
from pricetag.studies.names import label_of
from pricetag.studies.power_sweep import power_note
from pricetag.tag.figures import counted, number
from pricetag.tag.status import status_text

FIGURES = {
    "it_energy_kwh": "IT energy",
    "facility_energy_kwh": "Facility energy",
    "co2e_kg": "Emissions (CO2e, location-based)",
    "cost": "Cost",
    "flops_dense": "Operations",
    "duration_s": "Run time",
}
LIMITS = {
    "kwh": "Facility energy",
    "co2e_kg": "Emissions (CO2e, location-based)",
    "cost": "Cost",
    "flops": "Operations",
    "hours": "Run time",
}
STRATEGIES = {
    "grid": "grid",
    "random": "random search",
    "tpe": "TPE",
    "seeds": "seeds",
    "successive_halving": "successive halving",
    "hyperband": "Hyperband",
    "asha": "asynchronous halving",
    "train_large_then_compress": "train large, then compress",
    "ensemble": "ensemble",
    "power_sweep": "power limits",
}
MOST_TRIALS = 200


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study of the list."""

    study: StudySummary
    strategy: str
    status: str
    trials: str


@dataclass(frozen=True, slots=True)
class PriceRow:
    """A figure of the study beside the same of its best trial."""

    title: str
    whole: FigureView
    unknown: str
    best: FigureView | None


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A trial with its score and its values in words."""

    trial: TrialRead
    state: str
    score: str
    values: str
    energy: Sequence[FigureView]


@dataclass(frozen=True, slots=True)
class LimitRow:
    """A limit of the budget, and what counts against it."""

    title: str
    limit: FigureView
    used: FigureView
    reserved: FigureView
    unknown: str


@dataclass(frozen=True, slots=True)
class EnsembleRow:
    """Ensembles of a number of members."""

    members: int
    accuracy: FigureView
    making: FigureView
    inference: FigureView


@dataclass(frozen=True, slots=True)
class LimitedRow:
    """The training with one power limit."""

    limit: str
    energy: FigureView
    time: FigureView
    score: str
    cost: str


@dataclass(frozen=True, slots=True)
class StudyView:
    """One study."""

    study: StudyRead
    strategy: str
    status: str
    trials: Sequence[TrialRow]
    further: str
    prices: Sequence[PriceRow]
    best_score: str
    best_values: str
    saved: FigureView | None
    saved_note: str
    limits: Sequence[LimitRow]
    ensemble: Sequence[EnsembleRow]
    ensemble_note: str
    sweep: Sequence[LimitedRow]
    sweep_note: str
    may_cancel: bool


def rows(studies: Sequence[StudySummary]) -> list[StudyRow]:
    """The studies of a list."""
    return [
        StudyRow(
            study,
            STRATEGIES[study.strategy],
            status_text(study.status),
            f"{study.started_trials} of {study.planned_trials}",
        )
        for study in studies
    ]


def score_text(score: float | None) -> str:
    """A score; empty without one."""
    return "" if score is None else number(score)


def values_text(values: Mapping[str, Any]) -> str:
    """The values of a trial by the last part of their path."""
    return ", ".join(
        f"{label_of(path)} {number(value) if isinstance(value, float) else value}"
        for path, value in values.items()
    )


def view(study: StudyRead, visitor: Principal) -> StudyView:
    """The view of one study."""
    best = study.best
    order = sorted(study.trials, key=lambda trial: _place(study, trial))
    further = len(order) - MOST_TRIALS
    stopped = 0 if study.saved is None else study.saved.stopped_trials
    unknown = 0 if study.saved is None else study.saved.unknown_trials
    return StudyView(
        study=study,
        strategy=STRATEGIES[study.strategy],
        status=status_text(study.status),
        trials=_trials(order[:MOST_TRIALS]),
        further=counted(further, "trial") if further > 0 else "",
        prices=[_price(study, name, title) for name, title in FIGURES.items()],
        best_score="" if best is None else score_text(best.score),
        best_values="" if best is None else values_text(best.values),
        saved=figure(study.saved.it_energy_kwh.model_dump()) if study.saved and stopped else None,
        saved_note=counted(stopped, "stopped trial")
        + (f", without {counted(unknown, 'trial')} of unknown energy" if unknown else ""),
        limits=[_limit(limit) for limit in study.budget],
        ensemble=_ensemble(study),
        ensemble_note="" if study.ensemble is None else ensemble_note(study.ensemble.model_dump()),
        sweep=_sweep(study),
        sweep_note="" if study.power_sweep is None else power_note(study.power_sweep.model_dump()),
        may_cancel=study.status == "running"
        and visitor.has("member")
        and (visitor.has("admin") or visitor.name == study.user),
    )


def _ensemble(study: StudyRead) -> list[EnsembleRow]:
    if study.ensemble is None:
        return []
    points = study.ensemble.points
    making, inference = shared_units(
        [point.making_kwh.value for point in points],
        [point.inference_kwh.value for point in points],
        unit="kWh",
    )
    return [
        EnsembleRow(
            point.members,
            figure({**point.accuracy.model_dump(), "source": None}),  # scored, by no counter
            figure(point.making_kwh.model_dump(), shown=making),
            figure(point.inference_kwh.model_dump(), shown=inference),
        )
        for point in points
    ]


def _sweep(study: StudyRead) -> list[LimitedRow]:
    points = [] if study.power_sweep is None else study.power_sweep.points
    unit = shared_units([point.it_energy_kwh.value for point in points], unit="kWh")
    return [
        LimitedRow(
            f"{point.limit_w:g} W",
            figure(point.it_energy_kwh.model_dump(), shown=unit[0]),
            figure(point.duration_s.model_dump()),
            score_text(point.score),
            (point.reason or "") if point.cost_j is None else f"{number(point.cost_j)} J",
        )
        for point in points
    ]


def _place(study: StudyRead, trial: TrialRead) -> tuple[bool, float, int]:
    """Best score first, trials without one last."""
    sign = -1.0 if study.metric.goal == "maximize" else 1.0
    return trial.score is None, sign * (trial.score or 0.0), trial.number


def _trials(trials: Sequence[TrialRead]) -> list[TrialRow]:
    units = shared_units(
        [run.it_energy_kwh.value or 0.0 for trial in trials for run in trial.runs], unit="kWh"
    )
    return [
        TrialRow(
            trial,
            status_text(trial.state),
            score_text(trial.score),
            values_text(trial.values),
            [figure(run.it_energy_kwh.model_dump(), shown=units[0]) for run in trial.runs],
        )
        for trial in trials
    ]


def _price(study: StudyRead, name: str, title: str) -> PriceRow:
    missing = study.price_tag.unknown_runs.get(name, 0)
    whole = _figure(study.price_tag, name, provisional=study.open_runs > 0)
    return PriceRow(
        title=title,
        whole=whole,
        unknown=f"at least: without {counted(missing, 'run')} of unknown use"
        if missing and whole.value is not None
        else "",
        best=None if study.best is None else _figure(study.best.price_tag, name),
    )


def _figure(figures: StudyFigures, name: str, *, provisional: bool = False) -> FigureView:
    return figure(getattr(figures, name).model_dump(), provisional=provisional)


def _limit(limit: StudyLimit) -> LimitRow:
    unknown = limit.unknown_runs
    return LimitRow(
        title=LIMITS[limit.name],
        limit=_amount(limit.limit, limit.unit, None),
        used=_amount(limit.used, limit.unit, "estimated"),
        reserved=_amount(limit.reserved, limit.unit, "estimated"),
        unknown=f"without {counted(unknown, 'run')} of unknown use or quote" if unknown else "",
    )


def _amount(value: float, unit: str, source: Source | None) -> FigureView:
    return FigureView(value, number(value), unit, "", source, f"{value!r} {unit}")
