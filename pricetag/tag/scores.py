"""Names of scores: metrics that state how well a model solves its task."""

from __future__ import annotations

SCORES = (
    *("accuracy", "f1", "mcc", "spearman", "pearson"),
    *("exact_match", "perplexity", "masked_accuracy"),
)
"""From the best-known on."""

LOWER_IS_BETTER = frozenset({"perplexity"})
