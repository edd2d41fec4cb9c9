"""Parameters of codebooks."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.quantizing import FINAL
from pricetag.recipes.shapes import ALL_FORMATS
from pricetag.recipes.training import RECOVERY, Recovery


class QuantizeCodebook(Recovery):
    """Let the weights of each matrix share a few values, and fine-tune these.

    k-means on the weights that are not zero, with centroids that start on an even grid between the
    smallest and the largest. Zeros stay zeros. Biases and LayerNorm are fine-tuned too.

    Source: Han, Mao, Dally 2016, Deep Compression, section 3, arXiv:1510.00149.
    """

    kind: Literal["quantize"] = "quantize"
    method: Literal["codebook"]
    bits: int = Field(5, ge=1, le=8, description="Bits of a label: 2^bits shared values.")
    empty_clusters: Literal["relocate", "keep"] = Field(
        "relocate",
        description="A cluster without weights moves to the weight farthest from its centroid, or "
        "keeps its value.",
    )
    embeddings: bool = Field(True, description="Quantize embeddings too.")


ENTRY = RecipeEntry(
    params=QuantizeCodebook,
    title="Share weights by a codebook",
    summary="Clusters the weights of each matrix by k-means, and fine-tunes the shared values.",
    paper=Paper(
        "Han, Mao, Dally (2016): Deep Compression: Compressing Deep Neural Networks with Pruning, "
        "Trained Quantization and Huffman Coding. ICLR.",
        "https://arxiv.org/abs/1510.00149",
    ),
    example={
        "kind": "quantize",
        "method": "codebook",
        "bits": 4,
        "recovery_epochs": 1,
        "learning_rate": 1e-4,
    },
    traits=replace(RECOVERY, formats=ALL_FORMATS, final=FINAL),
)
