"""The quality of two groups of runs over seeds, and whether one of them is a winning ticket."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from pricetag.accounting.document.records import QualityTag
from pricetag.accounting.work.matching import USUAL_SEEDS, match
from pricetag.tag.scores import LOWER_IS_BETTER, SCORES
from pricetag.tag.view import TagView

if TYPE_CHECKING:
    from pricetag.recipes.kinds import RecipeEntry

SPLIT = "validation"
Recipe = Mapping[str, Any]
Score = tuple[str, str | None]  # metric, split


def compared_quality(
    first: Sequence[TagView],
    second: Sequence[TagView],
    recipes: tuple[Sequence[Recipe], Sequence[Recipe]],
    seeds: int = USUAL_SEEDS,
) -> dict[str, Any]:
    """Scores that all runs have, by group, and whether the first group is a winning ticket.

    Runs with the same seeds count once, with the mean of their scores.

    Args:
        first: Price tags of repeats of one piece of work, such as a ticket.
        second: The same of the full model.
        recipes: Recipes of the runs of each group.
        seeds: Number of seeds for a verdict, at least 2.

    Returns:
        ``quality``: a list of ``{metric, split, a, b, within_one_std, reason}``, where a and b
        are ``{mean, std, seeds}``; ``winning_ticket`` with its ``winning_ticket_reason``.
    """
    sides = [[_scores(tag) for tag in side] for side in (first, second)]
    common = [
        score for score in sides[0][0] if all(score in scores for side in sides for scores in side)
    ]
    quality = []
    for score in sorted(common, key=_order):
        values = [
            _by_seeds([scores[score] for scores in side], of_side)
            for side, of_side in zip(sides, recipes, strict=True)
        ]
        verdict = match(*values, seeds=seeds, lower_is_better=score[0] in LOWER_IS_BETTER)
        quality.append(
            {
                "metric": score[0],
                "split": score[1],
                "a": _side(values[0]),
                "b": _side(values[1]),
                "within_one_std": verdict.within_one_std,
                "reason": verdict.reason,
            }
        )
    return {"quality": quality} | _winning(quality, recipes)


def _winning(
    quality: Sequence[Mapping[str, Any]], recipes: tuple[Sequence[Recipe], Sequence[Recipe]]
) -> dict[str, Any]:
    reason = _why_no_tickets(*recipes)
    if reason is None:
        metric = _first_metric(recipes[0][0])
        for item in quality:
            if (item["metric"], item["split"]) == (metric, SPLIT):
                return {
                    "winning_ticket": item["within_one_std"],
                    "winning_ticket_reason": item["reason"],
                }
        reason = f"not every run has {metric} on the {SPLIT} split"
    return {"winning_ticket": None, "winning_ticket_reason": reason}


def _why_no_tickets(tickets: Sequence[Recipe], full: Sequence[Recipe]) -> str | None:
    """Why the first group has no tickets, or the second no full models; None if they have."""
    for recipe in tickets:
        stages = [stage for stage, entry in _stages(recipe) if entry.traits.finds_tickets]
        if not stages:
            return "a are not runs that find lottery tickets"
        if control := stages[-1].get("control"):
            return f"a are controls ({control}), not tickets"
        if stages[-1].get("rewind_to") == "standard":
            return "a are pruned without rewinding (rewind_to: standard), not tickets"
    entries = [entry for recipe in full for _, entry in _stages(recipe)]
    compression = {entry.kind for entry in entries if entry.traits.group == "compression"}
    if compression:
        return f"b are not full models: they have {', '.join(sorted(compression))}"
    if len({_data(recipe) for recipe in (*tickets, *full)}) > 1:
        return "the runs do not have the same data: a ticket wins against a full model on its own"
    return None


def _data(recipe: Recipe) -> str:
    """The data of a run as its recipe states them, and its task."""
    data = recipe.get("data") or {}
    stated = {option: value for option, value in data.items() if value is not None}
    return json.dumps([recipe.get("task"), stated], sort_keys=True)


def _stages(recipe: Recipe) -> Iterator[tuple[Recipe, RecipeEntry[Any]]]:
    """The stages of a run whose kinds this version has."""
    from pricetag.recipes.registry import entry_of

    for stage in recipe["stages"]:
        if (entry := entry_of(stage)) is not None:
            yield stage, entry


def _first_metric(recipe: Recipe) -> str | None:
    from pricetag.recipes.glue import GLUE, glue_task
    from pricetag.recipes.tasks import TASKS

    glue = glue_task((recipe.get("data") or {}).get("glue"))
    task = TASKS.get(str(recipe.get("task"))) if glue is None else GLUE[glue.name].entry
    return None if task is None else task.metrics[0]


def _scores(tag: TagView) -> dict[Score, float]:
    """The last score of a run by metric and split: that of its last model."""
    scores: dict[Score, QualityTag] = {}
    for item in tag.document.quality:
        if item.metric in SCORES:
            scores[item.metric, item.split] = item
    return {score: item.value for score, item in scores.items() if item.value is not None}


def _by_seeds(values: Sequence[float], recipes: Sequence[Recipe]) -> list[float]:
    """The mean score of each set of seeds."""
    by_seeds: dict[str, list[float]] = {}
    for value, recipe in zip(values, recipes, strict=True):
        by_seeds.setdefault(_seeds(recipe), []).append(value)
    return [fmean(same) for same in by_seeds.values()]


def _seeds(recipe: Recipe) -> str:
    """The seeds of all stages of a run."""
    seeds = [
        stage.get(option)
        for stage, entry in _stages(recipe)
        for option in sorted(entry.traits.seeds)
    ]
    return str(seeds)


def _side(values: Sequence[float]) -> dict[str, Any]:
    return {
        "mean": fmean(values),
        "std": stdev(values) if len(values) > 1 else None,
        "seeds": len(values),
    }


def _order(score: Score) -> tuple[int, str]:
    return SCORES.index(score[0]), score[1] or ""
