"""Forecasts from similar runs, scaled to the planned work of a new run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from pricetag.accounting.forecast.estimates import Forecast, Spread, predict

SCALING_STD_RATIO = 0.10
"""Error of scaling to e times the work (or 1/e): overheads do not grow with it."""


@dataclass(frozen=True, slots=True)
class Work:
    """Amount of work of a step, in the counts that are known.

    Attributes:
        epochs: Passes over the training data.
        examples: Examples in forward and backward passes, over all devices.
        seconds: Duration, if the step runs for a fixed time.
    """

    epochs: float | None = None
    examples: float | None = None
    seconds: float | None = None

    def ratio(self, to: Work) -> float | None:
        """This work as a multiple of other work; None if they cannot be compared.

        Work without any count is the same if the step is the same.
        """
        counts = ("epochs", "examples", "seconds")
        pairs = [(getattr(self, name), getattr(to, name)) for name in counts]
        if all(ours is None and theirs is None for ours, theirs in pairs):
            return 1.0
        for ours, theirs in pairs:
            if ours is None or theirs is None:
                continue
            if ours == theirs:
                return 1.0
            return ours / theirs if ours > 0 and theirs > 0 else None
        return None


@dataclass(frozen=True, slots=True)
class StepUse:
    """Usage of one step of a run over all attempts; None if unknown."""

    kind: str
    work: Work
    duration_s: float | None
    it_energy_kwh: float | None
    flops: float | None = None


@dataclass(frozen=True, slots=True)
class LikeRun:
    """Usage of a whole run and of its steps; the rest was used outside the steps."""

    run_id: str
    duration_s: float | None
    it_energy_kwh: float | None
    flops: float | None
    steps: tuple[StepUse, ...]


@dataclass(frozen=True, slots=True)
class StepForecast:
    """Forecasts of one step; None if unknown."""

    duration_s: Forecast | None
    it_energy_kwh: Forecast | None


@dataclass(frozen=True, slots=True)
class Expected:
    """Forecasts of a run and of each of its steps; None if unknown.

    Attributes:
        duration_s: Duration of the run.
        it_energy_kwh: IT energy of the run.
        flops: FLOPs of the run.
        steps: Forecasts of each step, in order.
        runs: Ids of the underlying runs.
        work_ratio: Scaled energy (or time) of the new run as a multiple of theirs.
    """

    duration_s: Forecast | None
    it_energy_kwh: Forecast | None
    flops: Forecast | None
    steps: tuple[StepForecast, ...]
    runs: tuple[str, ...]
    work_ratio: float


def scaled(run: LikeRun, planned: Sequence[Work]) -> LikeRun | None:
    """Usage of a run scaled to other work; None if unknown.

    Each step's figures are proportional to its work; usage outside the steps is constant.
    """
    if len(planned) != len(run.steps):
        return None
    ratios: list[float] = []
    for step, work in zip(run.steps, planned, strict=True):
        ratio = work.ratio(step.work)
        if ratio is None:
            return None
        ratios.append(ratio)
    steps = tuple(
        replace(
            step,
            work=work,
            duration_s=_times(step.duration_s, ratio),
            it_energy_kwh=_times(step.it_energy_kwh, ratio),
            flops=_times(step.flops, ratio),
        )
        for step, work, ratio in zip(run.steps, planned, ratios, strict=True)
    )
    return LikeRun(
        run.run_id,
        _whole(run.duration_s, [step.duration_s for step in run.steps], ratios),
        _whole(run.it_energy_kwh, [step.it_energy_kwh for step in run.steps], ratios),
        _whole(run.flops, [step.flops or 0.0 for step in run.steps], ratios),
        steps,
    )


def _times(figure: float | None, ratio: float) -> float | None:
    return None if figure is None else figure * ratio


def _whole(
    total: float | None, parts: Sequence[float | None], ratios: Sequence[float]
) -> float | None:
    if total is None:
        return None
    grown = total
    for part, ratio in zip(parts, ratios, strict=True):
        if ratio == 1.0:
            continue
        if part is None:
            return None
        grown += part * (ratio - 1)
    return max(grown, 0.0)


def expect(
    runs: Sequence[LikeRun], planned: Sequence[Work] | None, prior: Spread
) -> Expected | None:
    """Forecasts of a new run from similar runs; None if none of them can be used.

    Args:
        runs: Similar runs.
        planned: Work of the new run's steps; None if it is the same as theirs.
        prior: Prior spread of such runs.
    """
    pairs = [(run, run if planned is None else scaled(run, planned)) for run in runs]
    used = [(run, new) for run, new in pairs if new and (new.duration_s or new.it_energy_kwh)]
    if not used:
        return None
    ratio = _growth(used)
    extra = math.expm1(math.log1p(SCALING_STD_RATIO) * abs(math.log(ratio)))
    like = [new for _, new in used]

    def forecast(figures: Iterable[float | None]) -> Forecast | None:
        positive = [figure for figure in figures if figure]
        return predict(positive, prior, extra_std_ratio=extra) if positive else None

    count = min(len(run.steps) for run in like)
    steps = tuple(
        StepForecast(
            forecast(run.steps[place].duration_s for run in like),
            forecast(run.steps[place].it_energy_kwh for run in like),
        )
        for place in range(count)
    )
    return Expected(
        forecast(run.duration_s for run in like),
        forecast(run.it_energy_kwh for run in like),
        forecast(run.flops for run in like),
        steps,
        tuple(run.run_id for run in like),
        ratio,
    )


def _growth(pairs: Sequence[tuple[LikeRun, LikeRun]]) -> float:
    """Geometric mean of the ratios of scaled to original usage; 1 if unknown."""
    logs = []
    for before, after in pairs:
        for name in ("it_energy_kwh", "duration_s"):
            old, new = getattr(before, name), getattr(after, name)
            if old and new:
                logs.append(math.log(new / old))
                break
    return math.exp(fmean(logs)) if logs else 1.0
