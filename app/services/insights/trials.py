"""The newest selected runs as trials: the rungs of a trial of a study are one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.db import Session
from app.repositories.price_tags import reports
from app.repositories.price_tags.parts import ListedRun
from app.repositories.studies import studies
from app.services.insights.tags import newest_tags, views_of
from app.services.principals import Principal
from app.services.runs.listing import RunFilter
from pricetag.studies.parse import compression_plans
from pricetag.studies.plan import Plan
from pricetag.tag.evaluated import ScoredRun
from pricetag.tag.research import Ended
from pricetag.tag.trials import NO_TRAINING, Place, as_one, missing_rung, trials
from pricetag.tag.view import TagView

Tags = Mapping[uuid.UUID, TagView | None]


@dataclass(frozen=True, slots=True)
class Trial:
    """A run, or a trial of a study with a run in each of its rungs.

    Attributes:
        run: The run; of a trial, its last selected one.
        scored: Price tag and recipe, with the price tags of earlier rungs.
        method: Stage kinds, joined by `+`; of a trial, those of its first rung, since later ones
            do not repeat the stages before the training.
        ended: Price tag and status of each of its runs.
        trained: Price tag and status of the run that trained the model that it compresses.
    """

    run: ListedRun
    scored: ScoredRun
    method: str
    ended: Sequence[Ended]
    trained: Sequence[Ended] = ()


@dataclass(frozen=True, slots=True)
class Trials:
    """The newest selected runs.

    Attributes:
        items: The runs and trials, in the order in which they ended.
        unreadable: Number of runs whose price tag cannot be read.
        is_whole: Whether these are all selected runs.
    """

    items: Sequence[Trial]
    unreadable: int
    is_whole: bool

    @property
    def about(self) -> dict[str, Any]:
        """The members that responses have in common: what was summed, read, and selected."""
        summed = [len(trial.ended) for trial in self.items if len(trial.ended) > 1]
        return {
            "summed_trials": len(summed),
            "summed_runs": sum(summed),
            "unreadable": self.unreadable,
            "is_whole": self.is_whole,
        }


async def newest_trials(session: Session, by: Principal, filters: RunFilter, limit: int) -> Trials:
    """The selected runs that finished last, with the rungs that led to them, selected or not.

    Args:
        session: Database session, only read.
        by: The caller.
        filters: Filters of the runs.
        limit: Maximum number of selected runs.

    Raises:
        NotFoundError: If the project or experiment does not exist, or is hidden from the caller.
    """
    newest = await newest_tags(session, by, filters, limit)
    ids = [run.id for run, _ in newest.runs]
    recipes = await reports.recipes_of(session, ids)
    rungs = list(await studies.rungs_beside(session, ids)) if ids else []
    of_studies = await studies.described(session, {row.study_id for row in rungs}) if rungs else []
    plans = compression_plans((study.id, study.spec) for study in of_studies)
    places = {row.run_id: _place(row, plans) for row in rungs}
    parents = {
        (row.study_id, parent) for row in rungs if (parent := places[row.run_id].parent) is not None
    }
    known = {(row.study_id, row.trial) for row in rungs}
    if parents - known:
        rungs += await studies.runs_of_trials(session, parents - known)
    earlier = await views_of(
        session,
        {row.run_id: row.version for row in rungs if row.version and row.run_id not in ids},
    )
    tags: Tags = {**earlier, **{run.id: view for run, view in newest.runs}}
    by_trial: dict[tuple[str, int], list[Any]] = {}
    for row in sorted(rungs, key=lambda row: row.rung):
        by_trial.setdefault((str(row.study_id), row.trial), []).append(row)
    items = []
    for group in trials(newest.runs[::-1], lambda pair: places.get(pair[0].id)):
        run, view = group[-1]
        place = places.get(run.id)
        last = ScoredRun(view, recipes[run.id])
        if place is None:
            items.append(Trial(run, last, run.kind, [(view, run.status)]))
        else:
            trained = by_trial.get((place.study, place.parent)) if place.parent is not None else ()
            own = by_trial[place.study, place.trial]
            items.append(_trial(run, last, place, own, trained or (), tags))
    unreadable = newest.unreadable + sum(view is None for view in earlier.values())
    return Trials(items, unreadable, newest.is_whole)


def _place(row: Any, plans: Mapping[uuid.UUID, Plan]) -> Place:
    plan = plans.get(row.study_id)
    parent = None if plan is None else plan.parent_of(row.trial)
    return Place(str(row.study_id), row.trial, row.rung, parent)


def _trial(
    run: ListedRun,
    last: ScoredRun,
    place: Place,
    rungs: Sequence[Any],
    trained: Sequence[Any],
    tags: Tags,
) -> Trial:
    """A trial up to its last selected rung: what came after that is as unselected as other runs."""
    ended: list[Ended] = []
    present = []
    for row in rungs:
        view = tags.get(row.run_id)
        if row.rung <= place.rung and view is not None:
            ended.append((view, row.status))
            present.append(row.rung)
    parts = [ScoredRun(view, last.recipe) for view, _ in ended[:-1]]
    views = [(view, row.status) for row in trained if (view := tags.get(row.run_id)) is not None]
    incomplete = missing_rung(present, place.rung)
    if place.parent is not None and not views:
        incomplete = incomplete or NO_TRAINING
    scored = as_one([*parts, last], incomplete, [view for view, _ in views])
    return Trial(run, scored, rungs[0].kind, ended, views)
