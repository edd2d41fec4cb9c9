"""Parameters of Transformer encoders in closed form, without a head."""

from __future__ import annotations

from pricetag.accounting.quantity.checks import require_count


def layer_parameters(hidden: int, intermediate: int) -> int:
    """Parameters of a BERT layer: 4H² + 2HI of matrices, their biases, and two LayerNorms.

    Args:
        hidden: H, width of the hidden states.
        intermediate: I, width of the feed-forward network.

    Source: Devlin et al. 2019, section 3, doi:10.18653/v1/N19-1423.
    """
    width, inner = require_count("hidden", hidden), require_count("intermediate", intermediate)
    attention = 4 * (width * width + width)
    feed_forward = 2 * width * inner + inner + width
    return attention + feed_forward + 2 * 2 * width


def bert_parameters(
    vocabulary: int,
    hidden: int,
    layers: int,
    intermediate: int,
    *,
    positions: int = 512,
    types: int = 2,
    pooler: bool = True,
) -> int:
    """Parameters of a BERT encoder: embeddings (V + P + T)H and their LayerNorm, layers, pooler.

    Args:
        vocabulary: V, number of tokens.
        hidden: H.
        layers: Number of layers.
        intermediate: I.
        positions: P, number of positions.
        types: T, kinds of tokens; 0 as in DistilBERT.
        pooler: Whether there is a pooler.

    Source: Devlin et al. 2019, section 3, doi:10.18653/v1/N19-1423.
    """
    embeddings = (require_count("vocabulary", vocabulary) + positions + types) * hidden + 2 * hidden
    of_layers = require_count("layers", layers) * layer_parameters(hidden, intermediate)
    return embeddings + of_layers + (hidden * hidden + hidden if pooler else 0)


def albert_parameters(
    vocabulary: int,
    embedding: int,
    hidden: int,
    intermediate: int,
    *,
    groups: int = 1,
    positions: int = 512,
    types: int = 2,
) -> int:
    """Parameters of an ALBERT encoder with pooler: embeddings (V + P + T)E, EH + H, shared layers.

    Args:
        vocabulary: V, number of tokens.
        embedding: E, width of the embeddings.
        hidden: H.
        intermediate: I.
        groups: Number of different layers.
        positions: P, number of positions.
        types: T, kinds of tokens.

    Source: Lan et al. 2020, section 3.1 and table 1, arXiv:1909.11942.
    """
    width = require_count("embedding", embedding)
    embeddings = (require_count("vocabulary", vocabulary) + positions + types) * width + 2 * width
    projection = width * hidden + hidden
    of_layers = require_count("groups", groups) * layer_parameters(hidden, intermediate)
    return embeddings + projection + of_layers + hidden * hidden + hidden
