"""Groups of runs: by tag, recipe, seeds or experiment, with means and spread."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.price_tags import reports
from app.schemas.run_groups import (
    MOST_GROUPS,
    GroupBy,
    GroupFigures,
    RunGroup,
    RunGroups,
    Spread,
)
from app.schemas.runs import RunSummary
from app.services.principals import Principal
from app.services.runs import listing
from app.services.runs.listing import RunFilter
from pricetag.recipes.differences import fingerprint
from pricetag.tag.figure import Figure
from pricetag.tag.groups import Pooled, pooled

NO_TAG = "no price tag has been issued yet"
UNITS = {
    "duration_s": "s",
    "it_energy_kwh": "kWh",
    "co2e_kg": "kg",
    "cost": "money",
    "kwh_per_score": "kWh",
}

Keys = Callable[[RunSummary], Sequence[str | None]]


async def group_runs(
    session: Session, principal: Principal, filters: RunFilter, *, by: GroupBy, limit: int
) -> RunGroups:
    """The newest selected runs in groups.

    Args:
        session: Database session, only read.
        principal: Who asks.
        filters: Filters of the runs.
        by: What the runs of a group have in common. A run with several tags is in several groups.
        limit: Maximum number of runs that are read.

    Raises:
        NotFoundError: If the project, experiment or user of the filters does not exist, or is
            hidden from the principal.
    """
    newest, is_whole = await listing.list_newest(session, principal, filters, limit=limit)
    keys = await _keys(session, newest, by)
    members: dict[str | None, list[RunSummary]] = {}
    for run in newest:
        for key in keys(run):
            members.setdefault(key, []).append(run)
    largest = sorted(members.items(), key=lambda item: -len(item[1]))
    return RunGroups(
        by=by,
        items=[_group(key, runs, by) for key, runs in largest[:MOST_GROUPS]],
        runs=len(newest),
        is_whole=is_whole,
        groups_left_out=max(0, len(largest) - MOST_GROUPS),
    )


async def _keys(session: Session, runs: Sequence[RunSummary], by: GroupBy) -> Keys:
    if by == "tag":
        return lambda run: run.tags or [None]
    if by == "experiment":
        return lambda run: [_experiment(run)]
    recipes = await reports.recipes_of(session, [run.id for run in runs])
    prints = await asyncio.to_thread(_fingerprints, recipes, with_seeds=by == "recipe")
    if by == "recipe":
        return lambda run: [prints[run.id]]
    return lambda run: [f"{_experiment(run)}/{prints[run.id]}"]


def _fingerprints(recipes: Mapping[UUID, Any], *, with_seeds: bool) -> dict[UUID, str]:
    return {run: fingerprint(recipe, with_seeds=with_seeds) for run, recipe in recipes.items()}


def _experiment(run: RunSummary) -> str:
    return f"{run.project}/{run.experiment}"


def _group(key: str | None, runs: Sequence[RunSummary], by: GroupBy) -> RunGroup:
    kinds = {run.kind for run in runs}
    names = {"tag": key or "no tag", "experiment": key or ""}
    scored = {
        (run.price_tag.score.metric, run.price_tag.score.split)
        for run in runs
        if run.price_tag and run.price_tag.score
    }
    spreads = {name: _spread(pooled(_figures(name, runs), unit)) for name, unit in UNITS.items()}
    return RunGroup(
        key=key,
        name=names.get(by, runs[0].name),
        kind=kinds.pop() if len(kinds) == 1 else None,
        runs=len(runs),
        runs_by_status=dict(Counter(run.status for run in runs)),
        run_ids=[run.id for run in runs],
        metric=next(iter(scored))[0] if len(scored) == 1 else None,
        figures=GroupFigures(score=_spread(pooled(_scores(runs, len(scored)), "1")), **spreads),
    )


def _figures(name: str, runs: Sequence[RunSummary]) -> list[Figure]:
    unit = UNITS[name]
    return [
        Figure(**getattr(run.price_tag.figures, name).model_dump())
        if run.price_tag
        else Figure.unknown(NO_TAG, unit)
        for run in runs
    ]


def _scores(runs: Sequence[RunSummary], kinds: int) -> list[Figure]:
    """The scores, which have no interval: they are what the jobs reported."""
    if kinds > 1:
        return [Figure.unknown("the runs have different metrics or splits", "1")] * len(runs)
    scores = [run.price_tag.score if run.price_tag else None for run in runs]
    return [
        Figure.unknown("no score was reported", "1")
        if score is None
        else Figure(score.value, None, None, "1", None)
        for score in scores
    ]


def _spread(pool: Pooled) -> Spread:
    return Spread.model_validate(
        {
            "known": pool.known,
            "unknown": pool.unknown,
            "mean": pool.mean.as_dict(),
            "std": pool.std,
        }
    )
