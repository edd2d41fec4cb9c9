"""Predictions for a new run from the lab's own similar runs, by level of similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.db import Session
from app.repositories.quotes import outcomes
from app.repositories.quotes.outcomes import Alike
from app.services.quoting.likeness import Likeness, Step
from models import Outcome
from pricetag.accounting.forecast.estimates import Spread
from pricetag.accounting.forecast.from_history import Expected, LikeRun, StepUse, Work, expect

NEWEST = 100
"""Maximum number of similar runs behind a quote: hardware and software change."""

LEAST_COVERAGE_RATIO = 0.99
"""Below this coverage the metered energy of a run is only a lower bound."""


@dataclass(frozen=True, slots=True)
class Level:
    """A level of similarity between runs.

    Attributes:
        name: Name of the level.
        fingerprint: The fingerprint that the runs share.
        spread: Prior for how much such runs differ: the project's own assumption.
        text: Description that follows "runs of ...".
    """

    name: str
    fingerprint: Alike
    spread: Spread
    text: str


LEVELS = (
    Level("same-recipe", "recipe_sha256", Spread(0.10), "the same recipe"),
    Level("same-shape", "shape_sha256", Spread(0.15), "the same stages, tuned otherwise"),
    Level("same-stages", "family_sha256", Spread(0.40), "the same kinds of stages, model and data"),
)
COMMAND_LEVELS = (
    LEVELS[0],
    Level("same-script", "shape_sha256", Spread(0.70), "the same script, other arguments"),
)


@dataclass(frozen=True, slots=True)
class SimilarRuns:
    """Similar runs and their prediction."""

    level: Level
    expected: Expected


def levels_of(likeness: Likeness) -> tuple[Level, ...]:
    """The levels of similarity that apply to a recipe, strictest first."""
    return COMMAND_LEVELS if likeness.data_sha256 is None else LEVELS


async def find(
    session: Session,
    likeness: Likeness,
    steps: Sequence[Step],
    *,
    project: str | None,
    pool: str,
    gpus: int,
    former: Likeness | None = None,
) -> SimilarRuns | None:
    """The most similar runs that succeeded in this pool with this number of accelerators.

    Takes the newest runs of the strictest level that has any; their figures are scaled to the
    planned work unless the recipe is the same. Of private projects, only ``project`` counts.
    ``former`` are the fingerprints that earlier versions stored for this recipe, if they differ.
    """
    for level in levels_of(likeness):
        versions = [likeness] if former is None else [likeness, former]
        rows = await outcomes.like(
            session,
            level.fingerprint,
            [getattr(version, level.fingerprint) for version in versions],
            project=project,
            pool=pool,
            gpus=gpus,
            limit=NEWEST,
        )
        planned = None if level.name == "same-recipe" else [step.work for step in steps]
        expected = expect([like_run(row) for row in rows], planned, level.spread)
        if expected is not None:
            return SimilarRuns(level, expected)
    return None


def like_run(row: Outcome) -> LikeRun:
    """A stored outcome as input for the arithmetic."""
    metered = (row.coverage_ratio or 0.0) >= LEAST_COVERAGE_RATIO
    return LikeRun(
        run_id=str(row.run_id),
        duration_s=row.duration_s,
        it_energy_kwh=row.it_energy_kwh if metered else None,
        flops=row.flops,
        steps=tuple(_step(step, metered) for step in row.steps),
    )


def _step(stored: dict[str, Any], metered: bool) -> StepUse:
    return StepUse(
        kind=stored["kind"],
        work=Work(**stored["work"]),
        duration_s=stored["duration_s"],
        it_energy_kwh=stored["it_energy_kwh"] if metered else None,
        flops=stored["flops"],
    )
