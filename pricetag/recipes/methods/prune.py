"""Parameters of magnitude pruning."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.pruning import PRUNING, Pruning
from pricetag.recipes.shapes import ALL_FORMATS


class Prune(Pruning):
    """Set the smallest weights of the encoder's matrices to zero, with recovery training.

    Prunable are query, key, value, attention.output.dense, intermediate.dense and
    output.dense of each layer; embeddings, LayerNorm, biases, pooler and head stay.

    Source: Han et al. 2015, section 3, arXiv:1506.02626; Gordon et al. 2020,
    Compressing BERT, arXiv:2002.08307; Zhu and Gupta 2017, arXiv:1710.01878, for cubic mode.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["magnitude"] = "magnitude"


ENTRY = RecipeEntry(
    params=Prune,
    title="Prune by magnitude",
    summary="Sets the smallest encoder weights to zero, at once or in rounds with recovery.",
    paper=Paper(
        "Han, Pool, Tran, Dally (2015): Learning both Weights and Connections for Efficient "
        "Neural Networks. NIPS.",
        "https://arxiv.org/abs/1506.02626",
    ),
    example={"kind": "prune", "sparsity": 0.5, "scope": "global", "recovery_epochs": 1},
    traits=replace(PRUNING, formats=ALL_FORMATS),
)
