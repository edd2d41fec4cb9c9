from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
)

from workers.training.cost.counting import FORMULAS, OperationCounter
from workers.training.cost.flops import closed_form, count_forward, profile


def test_bert_base_at_128_tokens_is_the_published_count() -> None:
    counts = profile(BertConfig())
    # 22,348,431,360 without a head; two classes add 2 x 768 x 2.
    assert counts.forward(128) == 22_348_431_360 + 3_072
    assert "closed form" in counts.method


def test_operators_without_a_count_are_named() -> None:
    config = BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    named = profile(config).uncounted
    assert {"aten.native_layer_norm", "aten.gelu", "aten.embedding", "aten.tanh"} <= set(named)
    counted_or_moved = {"aten.addmm", "aten.bmm", "aten.view", "aten.t", "aten._unsafe_view"}
    assert not counted_or_moved & set(named)
    config.hidden_act = "relu"
    assert "aten.gelu" not in profile(config).uncounted


@pytest.mark.parametrize("length", [1, 7, 100])
@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "electra"])
def test_the_parabola_is_exact_between_and_beyond_its_points(kind: str, length: int) -> None:
    config = AutoConfig.for_model(
        kind, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, vocab_size=50
    )
    model = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    counts = profile(config)
    assert counts.forward(length) == count_forward(model, length)
    assert closed_form(config, length) == (counts.forward(length) if kind == "bert" else None)


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("kind", ["bert", "distilbert", "gpt2", "albert"])
def test_a_count_is_that_of_torch_s_counter_however_often_shapes_recur(
    kind: str, device: str
) -> None:
    sizes = {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 32}
    config = AutoConfig.for_model(kind, num_hidden_layers=3, vocab_size=50, **sizes)
    config.pad_token_id = None
    with torch.device(device):
        model = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    model.train(False)
    for length in (16, 5, 16, 1):
        ids = torch.ones((1, length), dtype=torch.long, device=device)
        with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
            expected = model(input_ids=ids).logits
        ours = OperationCounter()
        with torch.no_grad(), ours:
            logits = model(input_ids=ids).logits
        assert ours.total == counter.get_total_flops() > 0
        assert logits.shape == expected.shape
        if device == "cpu":
            assert torch.equal(logits, expected)


def test_operators_that_change_a_tensor_are_always_carried_out() -> None:
    with OperationCounter() as counter:
        for _ in range(2):
            one = torch.zeros(3, 4, device="meta")
            one.resize_(4, 3)
            assert one.shape == (4, 3)
            assert (one @ one.t()).shape == (4, 4)
    assert counter.total == 2 * 2 * 4 * 3 * 4


def test_a_count_on_real_tensors_agrees_with_the_one_on_meta() -> None:
    config = BertConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48
    )
    model = BertForSequenceClassification(config)
    assert count_forward(model, 20) == profile(config).forward(20)


def test_more_classes_widen_the_head_alone() -> None:
    config = BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    config.num_labels = 5
    five = count_forward(BertForSequenceClassification(config), 9)
    assert profile(config).with_classes(5, 32).forward(9) == five


def test_zeros_save_multiplications_by_weights_alone() -> None:
    counts = profile(BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2))
    full, empty = counts.forward(10), counts.forward(10, density=0.0)
    assert full - empty == counts.linear * 10
    assert counts.forward(10, density=0.5) == (full + empty) / 2
    assert counts.training(10) == 3 * full
    assert counts.low_bit(10) == full - counts.square * 100
