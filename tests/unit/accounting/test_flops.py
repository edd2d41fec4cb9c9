from __future__ import annotations

import pytest

from pricetag.accounting.quantity.checks import InvalidFactor
from pricetag.accounting.work import flops

BERT_BASE = flops.EncoderShape(layers=12, hidden=768, intermediate=3072, attention=768)


def test_bert_base_at_128_tokens() -> None:
    """The golden figure: twelve layers and the pooler."""
    assert flops.encoder_flops(BERT_BASE, 128) == 22_348_431_360


def test_a_layer_is_the_sum_of_its_products() -> None:
    shape = flops.EncoderShape(layers=1, hidden=6, intermediate=10, attention=4)
    length = 3
    by_hand = 0
    for inputs, outputs in [(6, 4), (6, 4), (6, 4), (4, 6), (6, 10), (10, 6)]:
        by_hand += 2 * length * inputs * outputs
    by_hand += 2 * length * length * 4  # scores
    by_hand += 2 * length * length * 4  # weighted sum
    assert flops.encoder_layer_flops(shape, length) == by_hand
    assert flops.encoder_flops(shape, length, pooler=False) == by_hand
    assert flops.encoder_flops(shape, length, classes=2) == by_hand + 2 * 6 * 6 + 2 * 6 * 2


def test_pruned_heads_cost_less() -> None:
    half = flops.EncoderShape(layers=12, hidden=768, intermediate=3072, attention=384)
    saved = flops.encoder_flops(BERT_BASE, 128) - flops.encoder_flops(half, 128)
    assert saved == 12 * (2 * 128 * 4 * 768 * 384 + 4 * 128**2 * 384)


@pytest.mark.parametrize("layers", [0, -1, 1.5])
def test_an_impossible_shape_is_rejected(layers: int) -> None:
    with pytest.raises(InvalidFactor, match="layers"):
        flops.EncoderShape(layers=layers, hidden=1, intermediate=1, attention=1)
