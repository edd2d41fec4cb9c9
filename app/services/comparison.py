"""Comparison of runs by their latest price tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.price_tags import reports, upstreams
from app.schemas.common import FieldProblem
from app.services import access
from app.services.errors import InvalidError
from app.services.principals import Principal
from pricetag.accounting.work.matching import USUAL_SEEDS
from pricetag.recipes.differences import differences, differing
from pricetag.tag.matches import compared_quality
from pricetag.tag.origins import HASH_CHARACTERS, origin_differences
from pricetag.tag.ratios import Metric, compare
from pricetag.tag.view import TagView

MOST = 50
"""Maximum number of runs on one side."""


class NothingToCompareError(InvalidError):
    """The runs cannot be compared; the error lists every reason."""

    code = "nothing-to-compare"

    def __init__(self, errors: list[FieldProblem]) -> None:
        super().__init__(f"{errors[0].field}: {errors[0].message}", field=errors[0].field)
        self.errors = errors


def parse_runs(field: str, text: str) -> list[UUID]:
    """Parses run ids that are separated by commas.

    Raises:
        NothingToCompareError: If a part is not a run ID, or there are too many.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > MOST:
        raise NothingToCompareError([FieldProblem(field=field, message=f"at most {MOST} runs")])
    run_ids: list[UUID] = []
    for index, part in enumerate(parts):
        try:
            run_ids.append(UUID(part))
        except ValueError:
            problem = FieldProblem(
                field=f"{field}.{index}",
                message=f"{part[:60]!r} is not a run ID",
                hint="run IDs, separated by commas",
            )
            raise NothingToCompareError([problem]) from None
    return run_ids


async def compare_runs(
    session: Session,
    principal: Principal,
    first: Sequence[UUID],
    second: Sequence[UUID],
    metric: Metric,
    seeds: int = USUAL_SEEDS,
) -> dict[str, Any]:
    """The ratio of the mean figures of two groups of runs, and their quality over seeds.

    Args:
        session: Database session, only read.
        principal: The caller; runs hidden from them count as unknown.
        first: Repetitions of one piece of work.
        second: Repetitions of the work to compare it with.
        metric: Figure to compare.
        seeds: Number of seeds for a verdict on the quality.

    Raises:
        NothingToCompareError: If a run is unknown, has no price tag, or is listed twice.
    """
    _require_distinct(first, second)
    newest = await reports.newest_price_tags(session, principal.viewer, [*first, *second])
    missing = [run_id for run_id in (*first, *second) if run_id not in newest]
    existing = await access.visible_runs(session, principal, missing) if missing else set()
    errors = [
        FieldProblem(
            field=f"{side}.{index}",
            message=f"run {run_id} has no price tag yet"
            if run_id in existing
            else f"run {run_id} not found: it does not exist or is hidden from you",
            hint="the ID of a run with at least one ended attempt",
        )
        for side, ids in (("a", first), ("b", second))
        for index, run_id in enumerate(ids)
        if run_id not in newest
    ]
    if errors:
        raise NothingToCompareError(errors)
    group_a, group_b = ([TagView.read(newest[i]) for i in side] for side in (first, second))
    recipes = await reports.recipes_of(session, [*first, *second])
    recipes_a, recipes_b = ([recipes[i] for i in side] for side in (first, second))
    work = differences(recipes_a, recipes_b)
    work += await _upstream_differences(session, first, second)
    work += origin_differences(group_a, group_b)
    quality = compared_quality(group_a, group_b, (recipes_a, recipes_b), seeds)
    return compare(group_a, group_b, metric) | quality | {"differences": work}


async def _upstream_differences(
    session: Session, first: Sequence[UUID], second: Sequence[UUID]
) -> list[str]:
    """Models of earlier runs that have other weights: a resumed run publishes again."""
    weights: dict[UUID, dict[str, str]] = {run_id: {} for run_id in (*first, *second)}
    for row in await upstreams.weights(session, list(weights)):
        weights[row.run_id]["model.sha256"] = row.sha256[:HASH_CHARACTERS]
    sides = [[weights[run_id] for run_id in side] for side in (first, second)]
    return differing(["model.sha256"], sides)


def _require_distinct(first: Sequence[UUID], second: Sequence[UUID]) -> None:
    listed: set[UUID] = set()
    for side, ids in (("a", first), ("b", second)):
        for index, run_id in enumerate(ids):
            if run_id in listed:
                in_both = side == "b" and run_id in first
                problem = "is in both groups" if in_both else "is listed twice"
                message = f"Run {run_id} {problem}; list each run once."
                raise NothingToCompareError(
                    [FieldProblem(field=f"{side}.{index}", message=message)]
                )
            listed.add(run_id)
