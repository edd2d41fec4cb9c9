"""Trials of studies: the runs of a trial, one for each rung, made and paid for one model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pricetag.tag.axes import MODEL_AXES, UNITS, Axis
from pricetag.tag.axis_figures import figure_on
from pricetag.tag.evaluated import ScoredRun
from pricetag.tag.figure import Figure
from pricetag.tag.figures import counted
from pricetag.tag.totals import total
from pricetag.tag.view import TagView

Run = TypeVar("Run")


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a run in a study.

    Attributes:
        study: ID of the study.
        trial: Number of its trial.
        rung: Number of its rung in the trial, from 0.
        parent: Number of the trial whose model it compresses; None for any other.
    """

    study: str
    trial: int
    rung: int
    parent: int | None = None


def trials(runs: Sequence[Run], place_of: Callable[[Run], Place | None]) -> list[tuple[Run, ...]]:
    """The trials of some runs, each with its runs by rung; other runs stand alone.

    A trial has the place of its last rung among the runs.

    Args:
        runs: The runs, in any order.
        place_of: The place of a run in its study; None without a study.
    """
    by_trial: dict[tuple[str, int], list[tuple[int, Run]]] = {}
    for run in runs:
        if (place := place_of(run)) is not None:
            by_trial.setdefault((place.study, place.trial), []).append((place.rung, run))
    ordered = {key: sorted(rungs, key=lambda each: each[0]) for key, rungs in by_trial.items()}
    groups: list[tuple[Run, ...]] = []
    for run in runs:
        place = place_of(run)
        if place is None:
            groups.append((run,))
            continue
        rungs = ordered[place.study, place.trial]
        if place.rung == rungs[-1][0]:
            groups.append(tuple(each for _, each in rungs))
    return groups


NO_TRAINING = "the run that trained its model is not among the runs"


def missing_rung(present: Sequence[int], last: int) -> str | None:
    """Why the cost of a trial is unknown: an earlier rung is missing; None if all are present.

    Args:
        present: Numbers of the rungs with a price tag.
        last: Number of its last rung.
    """
    missing = [str(rung) for rung in range(last) if rung not in present]
    if not missing:
        return None
    noun = "rung" if len(missing) == 1 else "rungs"
    verb = "is" if len(missing) == 1 else "are"
    return f"{noun} {', '.join(missing)} of its trial {verb} not among the runs"


def as_one(
    rungs: Sequence[ScoredRun],
    incomplete: str | None = None,
    made_from: Sequence[TagView] = (),
) -> ScoredRun:
    """The last rung of a trial, with the price tags of those before it.

    Args:
        rungs: The rungs in order.
        incomplete: Why the cost of the trial is unknown; None if it is known.
        made_from: Price tags of the runs that trained the model that it compresses.
    """
    before = tuple(rung.tag for rung in rungs[:-1])
    return replace(rungs[-1], before=before, incomplete=incomplete, made_from=tuple(made_from))


def cost_of(run: ScoredRun, axis: Axis) -> Figure:
    """What the model of a run cost: all rungs of a trial, and the training that it compresses.

    The interval ends of parts are added as they are. If the cost of a part is unknown, so is the
    whole. A model's figure is that of the last rung.
    """
    return _sum(run, axis, [*run.made_from, *run.tags])


def spent_on(run: ScoredRun, axis: Axis) -> Figure:
    """What a run, or a trial with all its rungs, spent itself: these costs add up over trials."""
    return _sum(run, axis, run.tags)


def _sum(run: ScoredRun, axis: Axis, tags: Sequence[TagView]) -> Figure:
    last = figure_on(run.tag, axis)
    if axis in MODEL_AXES or not (len(tags) > 1 or run.incomplete):
        return last
    if run.incomplete is not None:
        return Figure.unknown(run.incomplete, UNITS[axis])
    parts = [figure_on(tag, axis) for tag in tags]
    for tag, part in zip(tags, parts, strict=True):
        if part.value is None:
            return Figure.unknown(f"{tag.name}: {part.reason}", part.unit)
    remarks = dict.fromkeys(part.reason for part in parts if part.reason)
    whole = total(parts, UNITS[axis])
    return replace(whole, reason=whole.reason or "; ".join(remarks) or None)


def summed_text(trials: int, runs: int) -> str:
    """How many trials were summed over how many runs, in a sentence."""
    verb = "is" if trials == 1 else "are"
    return (
        f"{counted(trials, 'trial')} of studies {verb} summed over {counted(runs, 'run')}, one for "
        "each rung; the score of a trial is that of its last rung with a score."
    )
