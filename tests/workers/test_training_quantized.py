from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from workers.training.formats import int8, registry
from workers.training.formats.sparse import prunable
from workers.training.formats.weights import count_weights
from workers.training.model.models import describe_size

CONFIG = BertConfig(
    vocab_size=400,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=128,
    max_position_embeddings=32,
)
IDS = torch.randint(0, 400, (3, 12), generator=torch.Generator().manual_seed(0))


def network() -> BertForSequenceClassification:
    torch.manual_seed(0)
    model = BertForSequenceClassification(CONFIG)
    model.train(False)
    return model


def answers(model: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=IDS).logits
    return logits


def test_rows_are_symmetric_and_zeros_stay() -> None:
    weight = torch.tensor([[-2.54, 0.0, 1.27], [0.0, 0.0, 0.0]])
    integers, scale = int8.quantize_rows(weight)
    assert integers.tolist() == [[-127, 0, 64], [0, 0, 0]]
    assert scale.tolist() == pytest.approx([2.54 / 127, 1.0])


def test_rounding_is_off_by_half_a_step_at_most() -> None:
    weight = torch.randn((20, 50), generator=torch.Generator().manual_seed(1))
    integers, scale = int8.quantize_rows(weight)
    error = (integers.float() * scale[:, None] - weight).abs()
    assert bool((error <= scale[:, None] / 2 + 1e-7).all())


def test_an_8_bit_linear_layer_equals_its_integer_arithmetic() -> None:
    layer = nn.Linear(64, 16)
    small = int8.Int8Linear(*int8.quantize_rows(layer.weight.detach()), layer.bias)
    inputs = torch.randn((5, 7, 64), generator=torch.Generator().manual_seed(2))
    wanted = layer(inputs)
    assert small(inputs).shape == (5, 7, 16)
    assert (small(inputs) - wanted).abs().max() < 0.05 * wanted.abs().max()


def test_a_saved_model_gives_the_same_outputs_when_loaded(tmp_path: Path) -> None:
    model = network()
    before = answers(model)
    names = int8.convert(model, embeddings=True)
    assert len(names) == 2 * 6 + 2 + 3  # layers, pooler and head, embeddings
    after = answers(model)
    registry.save(model, tmp_path)
    assert torch.equal(answers(registry.load(tmp_path)), after)
    assert (after - before).abs().max() < 0.05
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "model.safetensors",
        "quantization.json",
    }


def test_8_bit_weights_take_less_than_30_percent(tmp_path: Path) -> None:
    model = network()
    model.save_pretrained(tmp_path / "fp32")
    int8.convert(model, embeddings=True)
    registry.save(model, tmp_path / "int8")
    ratio = describe_size(tmp_path / "int8") / describe_size(tmp_path / "fp32")
    assert 0.25 < ratio <= 0.30


def test_pruned_weights_stay_zero() -> None:
    model = network()
    for module in prunable(model).values():
        nn.init.zeros_(module.weight[::2])
    assert count_weights(model).density == 0.5
    int8.convert(model, embeddings=False)
    assert count_weights(model).density <= 0.5
    assert count_weights(model).density == pytest.approx(0.5, abs=0.02)


def test_weights_are_counted_the_same_in_both_forms() -> None:
    model = network()
    full = count_weights(model)
    assert full.parameters == sum(p.numel() for p in model.parameters())
    assert full.dense_bytes == 4 * full.parameters
    int8.convert(model, embeddings=True)
    small = count_weights(model)
    assert small.parameters == full.parameters
    assert small.dense_bytes < 0.3 * full.dense_bytes


def test_packed_bytes_are_a_bitmask_and_the_values() -> None:
    layer = nn.Linear(16, 8, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)[2:] = 0.0
    weights = count_weights(layer)
    assert (weights.parameters, weights.non_zero) == (128, 32)
    assert weights.packed_bytes == 128 // 8 + 32 * 4


def test_another_format_is_rejected(tmp_path: Path) -> None:
    model = network()
    int8.convert(model, embeddings=True)
    registry.save(model, tmp_path)
    (tmp_path / "quantization.json").write_text('{"format": 2}')
    with pytest.raises(ValueError, match="unknown format"):
        registry.load(tmp_path)
