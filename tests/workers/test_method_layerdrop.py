"""LayerDrop: which layers are computed, what they cost, and which remain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from pricetag.accounting.work.flops import EncoderShape, encoder_layer_flops
from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from pricetag.recipes.methods.prune_layerdrop import PruneLayerdrop
from tests.support.halves import made_by
from tests.support.training import CONFIG, TRAIN, carry_out, counted_once, data_set, recipe
from workers.methods.layerdrop import LayerDrop, kept_layers
from workers.training.formats import registry
from workers.training.model.recording import encoder_layers
from workers.training.plugin import BatchPlace

CASES = json.loads((Path(__file__).parents[1] / "data/golden/layerdrop.json").read_text())["cases"]
DROP = {**TRAIN, "kind": "prune", "method": "layerdrop", "evaluate": False}


def test_a_layer_is_kept_strictly_above_p() -> None:
    assert kept_layers(CASES["uniforms"], CASES["p"]) == CASES["kept_layers"]
    assert kept_layers([0.1, 0.2], 0.2) == []
    assert len(kept_layers([0.0, 0.5], 0.0)) == 1  # a uniform number is 0 with probability 0


@pytest.mark.parametrize("layers", CASES["prune_maps"])
def test_every_second_layer_remains(layers: str) -> None:
    kept = PruneLayerdrop(method="layerdrop").kept
    assert kept is not None
    numbers = kept.kept_layers(int(layers))
    assert numbers == CASES["prune_maps"][layers]["keep_every_other"]
    renumber = {str(old): new for new, old in enumerate(numbers)}
    assert renumber == CASES["prune_maps"][layers]["renumber"]


@given(st.integers(0, 2**31), st.integers(0, 1000), st.integers(0, 7))
def test_all_ranks_draw_the_same_layers(seed: int, step: int, rank: int) -> None:
    def drawn(place: BatchPlace) -> frozenset[int]:
        plugin = LayerDrop(0.5, lambda length, density: 1.0)
        plugin._layers = nn.ModuleList([nn.Identity() for _ in range(12)])
        plugin.change_batch({}, place)
        return plugin._kept

    assert drawn(BatchPlace(step, 0, rank, seed)) == drawn(BatchPlace(step, 0, 0, seed))


def test_the_expected_depth_is_that_of_independent_draws() -> None:
    plugin = LayerDrop(CASES["p"], lambda length, density: 1.0)
    plugin._layers = nn.ModuleList([nn.Identity() for _ in range(12)])
    depths = []
    for step in range(2000):
        plugin.change_batch({}, BatchPlace(step, 0, 0, 5))
        depths.append(len(plugin._kept))
    # A fixed seed: the mean is always the same, 0.9 standard errors (0.031) from its expectation.
    assert sum(depths) / len(depths) == pytest.approx(CASES["expected_depth_12"], abs=0.1)


def test_skipped_layers_change_nothing_and_save_their_operations() -> None:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=24, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    shape = EncoderShape(layers=3, hidden=16, intermediate=24, attention=16)
    plugin = LayerDrop(0.5, lambda length, density: density * encoder_layer_flops(shape, length))
    ids = torch.arange(1, 9)[None]
    plugin.attach(model)
    model.train(True)
    plugin._kept = frozenset({0, 2})
    skipped = model(input_ids=ids).logits
    saved = 3 * 4 * encoder_layer_flops(shape, 8)
    assert plugin.extra_flops(4, 8) == -saved
    assert plugin.extra_effective_flops(4, 8, 0.25) == -saved / 4
    model.train(False)
    whole = model(input_ids=ids).logits
    plugin.detach(model)
    assert torch.equal(whole, model(input_ids=ids).logits)
    layers = model.bert.encoder.layer
    model.bert.encoder.layer = nn.ModuleList([layers[0], layers[2]])
    assert torch.equal(skipped, model(input_ids=ids).logits)


def test_a_model_is_trained_counted_and_cut(tmp_path: Path) -> None:
    data_set(tmp_path)
    drop = {**DROP, "p": 0.5, "batch_size": 8, "max_steps": 4}
    with counted_once():
        carry_out(tmp_path / "all", recipe({**drop, "keep": "all"}), data_roots=[tmp_path])
        dropped = carry_out(tmp_path / "cut", recipe(drop), data_roots=[tmp_path])
        plain = carry_out(tmp_path / "plain", recipe({**drop, "p": 0.0}), data_roots=[tmp_path])
    whole, cut = (load_file(made_by(tmp_path / n) / "model.safetensors") for n in ("all", "cut"))
    before, after = "bert.encoder.layer.{}.", "bert.encoder.layer.{}."
    for old, new in ((0, 0), (2, 1)):
        for name in [name for name in whole if name.startswith(before.format(old))]:
            renamed = name.replace(before.format(old), after.format(new))
            assert torch.equal(whole[name], cut[renamed])
    assert not [name for name in cut if name.startswith(after.format(2))]
    saved = plain.of("flops")[-1]["dense"] - dropped.of("flops")[-1]["dense"]
    draws = [kept_layers(torch.rand(4, generator=_place(step)), 0.5) for step in range(4)]
    skipped = sum(4 - len(kept) for kept in draws)
    assert skipped
    # Between the costs of the shortest and the longest possible batch.
    shape = EncoderShape(layers=4, hidden=32, intermediate=64, attention=32)
    assert 3 * 8 * skipped * encoder_layer_flops(shape, 4) < saved
    assert saved < 3 * 8 * skipped * encoder_layer_flops(shape, 32)
    (tmp_path / "all/work/stage-00/model").rename(tmp_path / "deep")
    only_cut = {**DROP, "max_steps": None, "epochs": 0, "keep": [0, 2]}
    with counted_once():
        carry_out(tmp_path / "later", recipe(only_cut, model="deep"), data_roots=[tmp_path])
    later = load_file(made_by(tmp_path / "later") / "model.safetensors")
    assert all(torch.equal(later[name], cut[name]) for name in cut)


def _place(step: int) -> torch.Generator:
    return BatchPlace(step, 0, 0, 0).generator("layerdrop")


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        ({"keep": [1, 9]}, "keep", "the model has layers 0 to 3, not 9"),
        ({"keep": 5}, "keep", "the model has 4 layers, not 5"),
        ({"keep": [2, 1]}, "keep", "must rise"),
        ({"keep": "all", "epochs": 0, "max_steps": None}, "keep", "nothing is trained"),
        ({"p": 1.0}, "p", "less than 1"),
        ({"keep": "none"}, "keep", "every_second, first, all"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    options: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe({**DROP, **options}, model={"config": CONFIG}))
    assert caught.value.field == f"recipe.stages.0.{field}"
    assert message in caught.value.message


@pytest.mark.parametrize("epochs", [{"epochs": 0}, {"epochs": 1}], ids=["cut", "train and cut"])
def test_layers_of_a_pruned_model_keep_their_zeros(tmp_path: Path, epochs: dict[str, Any]) -> None:
    data_set(tmp_path, train=32)
    prune = {"kind": "prune", "sparsity": 0.5, "scope": "per_matrix", "evaluate": False}
    train = {**TRAIN, "max_steps": 1, "evaluate": False}
    drop = {**{k: v for k, v in DROP.items() if k != "max_steps"}, **epochs, "keep": [1, 3]}
    with counted_once():
        carry_out(tmp_path, recipe(train, prune, drop))
    before_layers, after_layers = (
        encoder_layers(registry.load(tmp_path / f"work/stage-{number:02}/model"))
        for number in (1, 2)
    )
    for new, old in enumerate((1, 3)):
        zeros, own = (
            torch.eq(cast(torch.Tensor, layers[number].get_submodule("output.dense").weight), 0)
            for layers, number in ((before_layers, old), (after_layers, new))
        )
        assert torch.equal(zeros, own)
        assert zeros.double().mean().item() == pytest.approx(0.5, abs=1e-3)
