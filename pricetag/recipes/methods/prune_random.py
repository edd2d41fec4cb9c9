"""Parameters of random pruning."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.pruning import PRUNING, Pruning
from pricetag.recipes.shapes import ALL_FORMATS


class PruneRandom(Pruning):
    """Set random weights of the encoder's matrices to zero: the control of every score.

    The stage's seed determines which; later rounds prune more weights in the same random order.

    Source: Gordon et al. 2020, Compressing BERT, section 4, arXiv:2002.08307.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["random"]


ENTRY = RecipeEntry(
    params=PruneRandom,
    title="Prune at random",
    summary="Sets random encoder weights to zero: the control for other scores.",
    paper=Paper(
        "Gordon, Duh, Andrews (2020): Compressing BERT: Studying the Effects of Weight Pruning "
        "on Transfer Learning. RepL4NLP.",
        "https://arxiv.org/abs/2002.08307",
    ),
    example={"kind": "prune", "method": "random", "sparsity": 0.3, "recovery_epochs": 1},
    traits=replace(PRUNING, formats=ALL_FORMATS, later=frozenset()),
)
