"""Whether a compressed model is as good as the full one, over seeds: a winning ticket."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_SEEDS = 2
"""Seeds without which there is no standard deviation."""

USUAL_SEEDS = 5
"""Seeds of Chen et al. 2020."""


@dataclass(frozen=True, slots=True)
class Match:
    """The verdict of a comparison over seeds.

    Attributes:
        within_one_std: Whether the model is as good; None with a ``reason``.
        reason: Why there is no verdict.
    """

    within_one_std: bool | None
    reason: str | None = None


def match(
    model: Sequence[float],
    full: Sequence[float],
    *,
    seeds: int = USUAL_SEEDS,
    lower_is_better: bool = False,
) -> Match:
    """Whether the mean of a model is at most one standard deviation of the full model worse.

    Args:
        model: Scores of the compressed model, one for each seed.
        full: Scores of the full model, one for each seed.
        seeds: Number of seeds that each of them needs.
        lower_is_better: Whether a lower score is the better one.

    Raises:
        ValueError: ``seeds`` is below 2.

    Source: Chen et al. 2020, The Lottery Ticket Hypothesis for Pre-trained BERT Networks,
    section 3, winning ticket, arXiv:2007.12223.
    """
    if seeds < LEAST_SEEDS:
        raise ValueError(f"seeds must be at least {LEAST_SEEDS} (got {seeds})")
    if min(len(model), len(full)) < seeds:
        return Match(
            None,
            f"each side needs {seeds} seeds (a has {len(model)}, b has {len(full)}); run more, or "
            "lower the number of seeds, to at least 2",
        )
    worse = statistics.fmean(full) - statistics.fmean(model)
    return Match((-worse if lower_is_better else worse) <= statistics.stdev(full))
