"""Shared layers and a factorized embedding: counts, closed forms, and what is not saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AlbertConfig, AlbertModel, BertConfig, BertForSequenceClassification

from pricetag.accounting.work.flops import EncoderShape, encoder_flops, linear_flops
from pricetag.accounting.work.parameters import (
    albert_parameters,
    bert_parameters,
    layer_parameters,
)
from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.training import CONFIG, TRAIN, carry_out, counted_once, data_set, recipe
from workers.job.reporter import JobError
from workers.methods.albert import apply_albert, apply_embedding_factors, groups_of_layers
from workers.training.formats import registry
from workers.training.formats.profile import profile

CASES = json.loads((Path(__file__).parents[1] / "data/golden/albert_params.json").read_text())[
    "cases"
]
ALBERT = {**TRAIN, "kind": "share", "method": "albert", "embedding_size": 8, "evaluate": False}
EVALUATE = {"kind": "evaluate"}
HIDDEN, INNER, LAYERS, VOCABULARY = 32, 48, 4, 60


def network() -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        intermediate_size=INNER,
        max_position_embeddings=80,
    )
    model = BertForSequenceClassification(config)
    model.train(False)
    return model


@pytest.mark.parametrize("case", CASES["small"], ids=lambda case: f"H{case['H']}")
def test_parameters_of_small_models(case: dict[str, int]) -> None:
    vocabulary, hidden, layers, inner = (case[name] for name in "VHLI")
    assert albert_parameters(vocabulary, case["E"], hidden, inner) == case["albert"]
    assert bert_parameters(vocabulary, hidden, layers, inner) == case["bert"]


def test_parameters_of_published_models() -> None:
    assert bert_parameters(30522, 768, 12, 3072) == CASES["bert_base_30522"]
    assert bert_parameters(30522, 1024, 24, 4096) == CASES["bert_large_30522"]
    for name, hidden in (("base", 768), ("large", 1024), ("xlarge", 2048), ("xxlarge", 4096)):
        count = albert_parameters(30000, 128, hidden, 4 * hidden)
        assert count == CASES[f"albert_{name}_30000"]
    assert bert_parameters(30522, 768, 6, 3072, types=0, pooler=False) == CASES["distilbert_base"]
    assert bert_parameters(30522, 312, 4, 1200) == CASES["tinybert4"]
    assert bert_parameters(30522, 768, 6, 3072) == CASES["tinybert6"]
    assert bert_parameters(30522, 384, 6, 1536) == CASES["minilm6_384"]


def test_more_groups_are_more_layers_as_in_the_library() -> None:
    config = AlbertConfig(
        vocab_size=100, embedding_size=8, hidden_size=16, num_hidden_layers=4, num_hidden_groups=2,
        num_attention_heads=2, intermediate_size=24, max_position_embeddings=32,
    )  # fmt: skip
    with torch.device("meta"):
        count = AlbertModel(config).num_parameters()
    assert albert_parameters(100, 8, 16, 24, groups=2, positions=32) == count


@pytest.mark.parametrize(
    ("layers", "groups", "expected"),
    [
        (12, 1, [0] * 12),
        (12, 4, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]),
        (6, 4, [0, 0, 1, 2, 2, 3]),
        (3, 3, [0, 1, 2]),
    ],
)
def test_neighboring_layers_share(layers: int, groups: int, expected: list[int]) -> None:
    assert groups_of_layers(layers, groups) == expected
    assert [int(layer / layers * groups) for layer in range(layers)] == expected


def test_space_is_saved_and_neither_operations_nor_time(tmp_path: Path) -> None:
    model, length, size = network(), 20, 8
    before = profile(model)
    apply_albert(model, 2, size, "first")
    after = profile(model)
    table = VOCABULARY * HIDDEN - (VOCABULARY * size + size * HIDDEN)
    gone = (LAYERS - 2) * layer_parameters(HIDDEN, INNER) + table
    assert after.weights.parameters == before.weights.parameters - gone
    shape = EncoderShape(layers=LAYERS, hidden=HIDDEN, intermediate=INNER, attention=HIDDEN)
    expected = encoder_flops(shape, length, classes=2) + linear_flops(length, size, HIDDEN)
    assert after.flops_per_sequence(length) == expected
    assert after.flops_per_sequence(length) > before.flops_per_sequence(length)
    ids = torch.arange(1, 13)[None]
    registry.save(model, tmp_path)
    assert set(registry.read_notes(tmp_path)) == {"shared", "factorized_embedding"}
    again = registry.load(tmp_path)
    assert torch.equal(again(input_ids=ids).logits, model(input_ids=ids).logits)
    assert profile(again) == after


def test_an_embedding_of_the_full_rank_is_the_same() -> None:
    model = network()
    ids = torch.arange(1, 13)[None]
    before = model(input_ids=ids).logits
    assert apply_embedding_factors(model, HIDDEN) == pytest.approx(1.0, rel=1e-6)
    torch.testing.assert_close(model(input_ids=ids).logits, before, rtol=1e-4, atol=1e-5)


def test_a_shared_layer_starts_from_the_first_or_the_mean_of_its_group() -> None:
    name = "bert.encoder.layer.{}.output.dense.weight"
    plain = dict(network().named_parameters())
    first, mean = network(), network()
    apply_albert(first, 2, None, "first")
    apply_albert(mean, 2, None, "mean")
    for group in (0, 2):
        members = [plain[name.format(group + offset)] for offset in (0, 1)]
        assert torch.equal(first.get_parameter(name.format(group)), members[0])
        torch.testing.assert_close(
            mean.get_parameter(name.format(group)), (members[0] + members[1]) / 2
        )


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        ({"embedding_size": 32}, "embedding_size", "32 is above the limit"),
        ({"groups": 5}, "groups", "the model has 4 layers, not 5"),
        ({"groups": None, "embedding_size": None}, "embedding_size", "nothing would be shared"),
        ({"start": "last"}, "start", "must be one of: first, mean"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    options: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe({**ALBERT, **options}, model={"config": CONFIG}))
    assert caught.value.field == f"recipe.stages.0.{field}"
    assert message in caught.value.message


def test_language_models_are_rejected() -> None:
    data = {"train": "a.txt", "validation": "b.txt"}
    described = recipe(ALBERT, data=data, task="masked_lm")
    with pytest.raises(RecipeError, match="does not work on masked_lm"):
        parse_recipe(described)


def test_a_model_learns_with_shared_layers_and_can_be_quantized(tmp_path: Path) -> None:
    data_set(tmp_path, train=160, dev=40, hard_share=0.0)
    learn = {"max_steps": 45, "batch_size": 16, "learning_rate": 4e-3}
    train = {**TRAIN, **learn, "evaluate": False}
    share = {**ALBERT, **learn, "embedding_size": 16, "learning_rate": 1e-3, "evaluate": True}
    with counted_once():
        reporter = carry_out(tmp_path, recipe(train, share, {"kind": "quantize"}, EVALUATE))
    first, second = [event["value"] for event in reporter.of("metric", name="accuracy")]
    assert min(first, second) > 0.7
    _, made, quantized = sorted(tmp_path.glob("work/*/model"))
    notes = registry.read_notes(quantized)
    assert set(notes) == {"shared", "factorized_embedding", "int8"}
    uncounted = {name for event in reporter.of("flops") for name in event["uncounted"]}
    assert "singular value decomposition of the embedding" in uncounted
    made.rename(tmp_path / "shared")
    with counted_once(), pytest.raises(JobError) as caught:
        carry_out(tmp_path / "twice", recipe(ALBERT, model="shared"), data_roots=[tmp_path])
    assert caught.value.code == "nothing-to-share"
