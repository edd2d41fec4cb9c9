"""What a collection of runs behind a paper cost: by purpose and experiment, planned and used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pricetag.tag.axes import SPENDING, UNITS, Spending
from pricetag.tag.axis_figures import figure_on
from pricetag.tag.evaluated import ScoredRun
from pricetag.tag.figure import Figure
from pricetag.tag.measured import origin_of
from pricetag.tag.published import rows_sha256
from pricetag.tag.totals import total
from pricetag.tag.trials import NO_TRAINING, Place, as_one, missing_rung, trials

Purpose = Literal["development", "tuning", "final", "ablation"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
FAILED = "failed"
"""Runs that failed or were canceled, whatever their purpose was."""

NOT_STATED = "not stated"
GROUPS = (*PURPOSES, FAILED, NOT_STATED)
"""Purposes in the order of a report."""

NO_QUOTE = "no quote had this figure"


@dataclass(frozen=True, slots=True)
class PaperRun:
    """A run of a paper, with the price tag that counts.

    Attributes:
        scored: Its price tag and its recipe.
        project: Name of its project.
        experiment: Name of its experiment.
        method: Its stage kinds, joined by ``+``.
        status: How it ended.
        purpose: What it was for, as stated; None if nobody stated it.
        sha256: Hash of the price tag.
        planned: Its quote, made before it started; empty without one.
        place: Its place in a study, whose trials have a run in each rung; None without a study.
    """

    scored: ScoredRun
    project: str
    experiment: str
    method: str
    status: str
    purpose: str | None
    sha256: str
    planned: Mapping[str, Figure]
    place: Place | None = None

    @property
    def group(self) -> str:
        """The purpose under which the report counts it."""
        if self.status != "succeeded":
            return FAILED
        return self.purpose or NOT_STATED

    @property
    def figures(self) -> dict[Spending, Figure]:
        """What it cost."""
        return {axis: figure_on(self.scored.tag, axis) for axis in SPENDING}

    def as_dict(self) -> dict[str, Any]:
        """The run as plain data."""
        document = self.scored.tag.document
        return {
            "run_id": document.run_id,
            "name": self.scored.tag.name,
            "project": self.project,
            "experiment": self.experiment,
            "method": self.method,
            "status": self.status,
            "purpose": self.purpose,
            "group": self.group,
            "hardware": self.scored.tag.hardware,
            "origin": origin_of(self.scored.tag),
            "measured_by": document.provenance.measured_by,
            "version": document.version,
            "sha256": self.sha256,
            "figures": _plain(self.figures),
            "planned": _plain(self.planned),
        }


@dataclass(frozen=True, slots=True)
class PaperTrial:
    """A trial of a study, or a run of its own, as one point of curves and of the frontier.

    Attributes:
        runs: Its runs, one for each rung; the last one stands for it.
        scored: Its price tags together.
        trained: The run that trained the model that it compresses; empty for any other.
    """

    runs: Sequence[PaperRun]
    scored: ScoredRun
    trained: Sequence[PaperRun] = ()

    @property
    def method(self) -> str:
        """Its stage kinds: those of its first rung, since later ones repeat no earlier stage."""
        return self.runs[0].method

    @property
    def status(self) -> str:
        """How its last run ended."""
        return self.runs[-1].status


def paper_trials(runs: Sequence[PaperRun]) -> list[PaperTrial]:
    """The trials of a paper, in the order of their last runs.

    The cost of a trial is unknown if the paper does not have all of its rungs, or the run that
    trained the model that it compresses.
    """
    by_trial = {(each.place.study, each.place.trial): each for each in runs if each.place}
    return [_trial(rungs, by_trial) for rungs in trials(runs, lambda run: run.place)]


def _trial(rungs: Sequence[PaperRun], by_trial: Mapping[tuple[str, int], PaperRun]) -> PaperTrial:
    place = rungs[-1].place
    scored = [run.scored for run in rungs]
    if place is None:
        return PaperTrial(rungs, as_one(scored))
    present = [run.place.rung for run in rungs if run.place is not None]
    incomplete = missing_rung(present, present[-1])
    trained: list[PaperRun] = []
    if place.parent is not None:
        parent = by_trial.get((place.study, place.parent))
        trained = [] if parent is None else [parent]
        incomplete = incomplete or (None if trained else NO_TRAINING)
    tags = [run.scored.tag for run in trained]
    return PaperTrial(rungs, as_one(scored, incomplete, tags), trained)


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """What some runs were expected to cost, and what they cost.

    Attributes:
        name: The purpose or the experiment; empty for all runs.
        runs: Number of runs.
        unsuccessful: Number of them that failed or were canceled.
        planned: Sum of the quotes, over the runs whose quote has the figure.
        used_of_planned: Cost of these same runs.
        used: Cost of all runs of the line.
    """

    name: str
    runs: int
    unsuccessful: int
    planned: Mapping[str, Figure]
    used_of_planned: Mapping[str, Figure]
    used: Mapping[str, Figure]

    def as_dict(self) -> dict[str, Any]:
        """The line as plain data."""
        return {
            "name": self.name,
            "runs": self.runs,
            "unsuccessful": self.unsuccessful,
            "planned": _plain(self.planned),
            "used_of_planned": _plain(self.used_of_planned),
            "used": _plain(self.used),
        }


def budget_line(name: str, runs: Sequence[PaperRun]) -> BudgetLine:
    """The sums over some runs: doubles nearest to the exact sums of the price tags' figures."""
    planned: dict[str, Figure] = {}
    used_of_planned: dict[str, Figure] = {}
    for axis in SPENDING:
        quoted = [
            run
            for run in runs
            if axis in run.planned
            and run.planned[axis].value is not None
            and figure_on(run.scored.tag, axis).value is not None
        ]
        unknown = Figure.unknown(NO_QUOTE, UNITS[axis])
        planned[axis] = (
            total((run.planned[axis] for run in quoted), UNITS[axis]) if quoted else unknown
        )
        used_of_planned[axis] = (
            total((figure_on(run.scored.tag, axis) for run in quoted), UNITS[axis])
            if quoted
            else unknown
        )
    return BudgetLine(
        name=name,
        runs=len(runs),
        unsuccessful=sum(run.status != "succeeded" for run in runs),
        planned=planned,
        used_of_planned=used_of_planned,
        used={
            axis: total((figure_on(run.scored.tag, axis) for run in runs), UNITS[axis])
            for axis in SPENDING
        },
    )


def by_purpose(runs: Sequence[PaperRun]) -> list[BudgetLine]:
    """A line for each purpose that any run has, in the usual order."""
    return _lines(runs, lambda run: run.group, GROUPS)


def by_experiment(runs: Sequence[PaperRun]) -> list[BudgetLine]:
    """A line for each experiment, by project and name."""
    names = sorted({f"{run.project} / {run.experiment}" for run in runs})
    return _lines(runs, lambda run: f"{run.project} / {run.experiment}", names)


def _lines(
    runs: Sequence[PaperRun], name_of: Callable[[PaperRun], str], names: Sequence[str]
) -> list[BudgetLine]:
    groups: dict[str, list[PaperRun]] = {name: [] for name in names}
    for run in runs:
        groups[name_of(run)].append(run)
    return [budget_line(name, group) for name, group in groups.items() if group]


def purpose_of(stated: str | None, tags: Sequence[str], *, is_trial: bool) -> str | None:
    """The purpose of a run: as stated for the paper, else by a tag; a study's trial is tuning."""
    tagged = next((purpose for purpose in PURPOSES if purpose in tags), None)
    return stated or tagged or ("tuning" if is_trial else None)


def selection_sha256(
    runs: Sequence[tuple[str, int, str]], published: Sequence[Mapping[str, Any]] = ()
) -> str:
    """The hash of a selection: of a line ``run version hash`` for each run, sorted.

    Args:
        runs: ID of each run, version of its price tag, and hash of the price tag.
        published: Rows of other publications, as entered: with any, there is a line
            ``published hash``, too.
    """
    lines = [f"{run_id} {version} {sha256}\n" for run_id, version, sha256 in runs]
    if published:
        lines.append(f"published {rows_sha256(published)}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def _plain(figures: Mapping[Any, Figure]) -> dict[str, Any]:
    return {str(name): figure.as_dict() for name, figure in figures.items()}
