"""Formats of models are recognized on disk, saved, loaded, counted and run the same way."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    ConvBertConfig,
    ConvBertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    PreTrainedModel,
)

from pricetag.accounting.work.flops import EncoderShape, encoder_flops
from tests.support.training import TRAIN, carry_out, data_set, recipe
from workers.job.reporter import JobError
from workers.methods.albert import apply_embedding_factors
from workers.methods.codebook import cluster_matrix
from workers.methods.int8 import apply_int8
from workers.methods.int8_static import apply_int8_static
from workers.training.formats import integers, registry
from workers.training.formats.codebook import to_codebook
from workers.training.formats.exits import Exits, add_exits, exits_of
from workers.training.formats.half import to_half
from workers.training.formats.low_rank import factorize
from workers.training.formats.profile import count_structure, profile
from workers.training.formats.shared import share_layers
from workers.training.formats.sliced import slice_layer
from workers.training.formats.sparse import prunable
from workers.training.quantization.affine import ActivationRange, Blocks

LAYERS, HIDDEN, HEADS, INNER, CLASSES = 4, 32, 4, 48, 3
CONFIG = BertConfig(
    vocab_size=100,
    hidden_size=HIDDEN,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    intermediate_size=INNER,
    max_position_embeddings=80,
    num_labels=CLASSES,  # type: ignore[call-arg]
)
IDS = torch.randint(1, 100, (5, 12), generator=torch.Generator().manual_seed(0))


def network() -> PreTrainedModel:
    torch.manual_seed(0)
    model = BertForSequenceClassification(copy.deepcopy(CONFIG))
    model.train(False)
    return model


def sliced(model: PreTrainedModel) -> None:
    slice_layer(model, 0, [1, 3], range(10))
    slice_layer(model, 2, range(HEADS), [5, 7, 40])


def low_rank(model: PreTrainedModel) -> None:
    torch.manual_seed(1)
    for name in ("bert.encoder.layer.1.intermediate.dense", "bert.encoder.layer.3.output.dense"):
        linear = model.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        first, second = torch.randn(6, linear.in_features), torch.randn(linear.out_features, 6)
        factorize(model, name, first / 10, second / 10)


def shared(model: PreTrainedModel) -> None:
    share_layers(model, [0, 0, 1, 1])


def narrow(model: PreTrainedModel) -> None:
    apply_embedding_factors(model, 8)


def with_exits(model: PreTrainedModel) -> None:
    torch.manual_seed(2)
    add_exits(model, [0, 2, 3]).train(model.training)


def eight_bit(model: PreTrainedModel) -> None:
    apply_int8(model, embeddings=True)


def eight_bit_static(model: PreTrainedModel) -> None:
    apply_int8_static(model, dict.fromkeys(integers.linears(model), (-2.0, 3.0)), embeddings=True)


def few_bits(model: PreTrainedModel) -> None:
    for number, name in enumerate(integers.linears(model)):
        blocks = Blocks(column_size=10) if number % 2 else Blocks(row_groups=3)
        inputs = ActivationRange(0.05, 3, -128, 127) if number % 3 == 0 else None
        integers.to_integers(model, name, integers.Plan(2 + number % 7, blocks, inputs))
    for name in integers.embeddings(model):
        integers.to_integers(model, name, integers.Plan(4, Blocks(column_size=16)))


def with_codebook(model: PreTrainedModel) -> None:
    for name in integers.linears(model) + integers.embeddings(model):
        weight = model.get_submodule(name).weight
        assert isinstance(weight, torch.Tensor)
        to_codebook(model, name, *cluster_matrix(weight.detach(), 3), weight.detach() != 0)


def half(model: PreTrainedModel) -> None:
    to_half(model, "bf16")


def pruned(model: PreTrainedModel) -> None:
    for module in prunable(model).values():
        nn.init.zeros_(module.weight[::2])


MAKERS: dict[str, Callable[[PreTrainedModel], None]] = {
    "plain": lambda model: None,
    "sparse": pruned,
    "sliced": sliced,
    "low_rank": low_rank,
    "shared": shared,
    "factorized_embedding": narrow,
    "exits": with_exits,
    "int8": eight_bit,
    "int8 static": eight_bit_static,
    "integers": few_bits,
    "codebook": with_codebook,
    "half": half,
}
COMBINED = [
    (name,) for name in MAKERS
] + [
    ("sliced", "int8"),
    ("sliced", "integers"),
    ("sparse", "codebook"),
    ("shared", "low_rank", "exits", "integers"),
    ("shared", "low_rank", "exits", "half"),
    ("shared", "int8"),
    ("factorized_embedding", "shared", "sliced", "int8"),
    ("shared", "low_rank", "exits", "int8"),
    ("sparse", "exits"),
    ("shared", "exits"),
]  # fmt: skip


def made(names: tuple[str, ...]) -> PreTrainedModel:
    model = network()
    for name in names:
        MAKERS[name](model)
    return model


def answers(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=IDS).logits
    return logits


@pytest.mark.parametrize("names", COMBINED, ids="+".join)
def test_every_format_reloads_to_the_same_outputs_and_counts(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    model = made(names)
    before = answers(model)
    registry.save(model, tmp_path)
    notes = registry.read_notes(tmp_path)
    assert set(notes) == {name.split()[0] for name in names} - {"plain", "sparse"}
    assert not list(tmp_path.glob("*.bin"))
    if notes:
        again = registry.load(tmp_path)
    else:
        again = BertForSequenceClassification.from_pretrained(tmp_path)
        again.train(False)
    assert torch.equal(answers(again), before)
    assert profile(again) == profile(model)
    assert registry.is_final(notes) == bool({"int8", "integers", "codebook", "half"} & set(notes))


def test_the_registry_is_the_package() -> None:
    orders = [each.order for each in registry.all_formats()]
    assert orders == sorted(set(orders))
    assert [each.name for each in registry.all_formats()] == [
        "shared",
        "factorized_embedding",
        "sliced",
        "low_rank",
        "exits",
        "integers",
        "codebook",
        "int8",
        "half",
    ]
    assert len(set(registry.note_files())) == len(orders)


@pytest.mark.parametrize(
    "name",
    [
        "sliced",
        "low_rank",
        "shared",
        "factorized_embedding",
        "exits",
        "integers",
        "codebook",
        "int8",
    ],
)
def test_a_note_of_another_version_or_tensors_that_do_not_fit_are_rejected(
    tmp_path: Path, name: str
) -> None:
    model = made((name,))
    registry.save(model, tmp_path)
    file = next(each.note_file for each in registry.all_formats() if each.name == name)
    note = json.loads((tmp_path / file).read_text())
    (tmp_path / file).write_text(json.dumps({**note, "format": 2}))
    with pytest.raises(ValueError, match=f"{file} has an unknown format"):
        registry.load(tmp_path)
    (tmp_path / file).unlink()
    other = tmp_path / ("exits.json" if name != "exits" else "shared_layers.json")
    wrong = {"format": 1, "groups": [0, 0, 0, 0]}
    wrong |= {"layers": [0, 3], "temperatures": [1.0, 1.0], "threshold": None}
    other.write_text(json.dumps(wrong))
    with pytest.raises(ValueError, match="does not fit"):
        registry.load(tmp_path)


# ---- counted: against closed forms and by hand ----


def layer_flops(length: int, heads: int, inner: int) -> int:
    """2L(4HA + 2HI) + 4L^2A."""
    width = heads * HIDDEN // HEADS
    return 2 * length * (4 * HIDDEN * width + 2 * HIDDEN * inner) + 4 * length**2 * width


HEAD_FLOPS = 2 * HIDDEN * HIDDEN + 2 * HIDDEN * CLASSES  # pooler and classifier


def test_a_plain_model_is_the_closed_form() -> None:
    shape = EncoderShape(layers=LAYERS, hidden=HIDDEN, intermediate=INNER, attention=HIDDEN)
    counted = profile(network())
    for length in (7, 64, 500):
        expected = encoder_flops(shape, length, classes=CLASSES)
        assert counted.flops_per_sequence(length) == pytest.approx(expected, rel=1e-12)
        assert counted.flops_per_token(length) == pytest.approx(expected / length, rel=1e-12)
    assert counted.formats == ("plain",)


def test_sliced_heads_and_neurons_are_counted_by_the_remaining_ones() -> None:
    model = network()
    whole = profile(model).weights.parameters
    sliced(model)
    counted = profile(model)
    sizes = [(2, 10), (HEADS, INNER), (HEADS, 3), (HEADS, INNER)]
    expected = sum(layer_flops(20, *size) for size in sizes) + HEAD_FLOPS
    assert counted.flops_per_sequence(20) == pytest.approx(expected, rel=1e-12)
    gone = 2 * (4 * 8 * HIDDEN + 3 * 8)  # two heads: four matrices, three biases
    gone += (INNER - 10 + INNER - 3) * (2 * HIDDEN + 1)
    assert counted.weights.parameters == whole - gone
    assert counted.formats == ("sliced",)


def test_a_sliced_model_computes_what_the_masked_one_does() -> None:
    masked, cut = network(), network()
    layer: Any = masked.get_submodule("bert.encoder.layer.1")
    gone = torch.arange(8, 16)  # head 1
    with torch.no_grad():
        layer.attention.output.dense.weight[:, gone] = 0.0
        layer.output.dense.weight[:, 6:] = 0.0
    slice_layer(cut, 1, [0, 2, 3], range(6))
    assert torch.allclose(answers(cut), answers(masked), atol=1e-6)


def test_slicing_everything_is_rejected() -> None:
    with pytest.raises(ValueError, match="one head and one neuron"):
        slice_layer(network(), 0, [], range(3))


def test_factors_count_as_two_matrices() -> None:
    model = network()
    whole = profile(model)
    low_rank(model)
    counted = profile(model)
    saved = 2 * (HIDDEN * INNER - 6 * (HIDDEN + INNER))
    assert whole.weights.parameters - counted.weights.parameters == saved
    difference = whole.flops_per_sequence(20) - counted.flops_per_sequence(20)
    assert difference == pytest.approx(2 * 20 * saved, rel=1e-9)


def test_shared_layers_count_once_as_parameters_and_each_time_as_operations(
    tmp_path: Path,
) -> None:
    model = network()
    whole = profile(model)
    one_layer = sum(p.numel() for p in model.get_submodule("bert.encoder.layer.0").parameters())
    shared(model)
    counted = profile(model)
    assert whole.weights.parameters - counted.weights.parameters == 2 * one_layer
    assert counted.flops_per_sequence(20) == pytest.approx(whole.flops_per_sequence(20), rel=1e-12)
    network().save_pretrained(tmp_path / "whole")
    registry.save(model, tmp_path / "shared")
    sizes = [(tmp_path / n / "model.safetensors").stat().st_size for n in ("whole", "shared")]
    assert sizes[0] - sizes[1] == pytest.approx(4 * 2 * one_layer, abs=4000)


def test_exits_count_up_to_their_layer_with_the_classifiers_on_the_way() -> None:
    model = network()
    whole = profile(model)
    with_exits(model)
    counted = profile(model)
    one = layer_flops(20, HEADS, INNER) + 2 * HIDDEN * HIDDEN  # each layer is pooled
    classifier = 2 * HIDDEN * CLASSES
    assert [part.forward(20) for part in counted.exits] == pytest.approx(
        [one + classifier, 3 * one + 2 * classifier, 4 * one + 3 * classifier], rel=1e-12
    )
    assert counted.flops_per_sequence(20) == counted.exits[-1].forward(20)
    exiting(model, 0.5)
    assert profile(model) == counted
    added = 2 * (HIDDEN * CLASSES + CLASSES) + 1 + 3 + 4
    assert counted.weights.parameters == whole.weights.parameters + added


def test_zeros_and_bytes_are_counted() -> None:
    model = network()
    pruned(model)
    counted = profile(model)
    matrices = LAYERS * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * INNER)
    assert counted.formats == ("sparse",)
    assert counted.density == 0.5
    assert counted.weights.parameters - counted.weights.non_zero >= matrices / 2
    dense = counted.flops.forward(20)
    effective = counted.flops.forward(20, counted.density)
    assert dense - effective == pytest.approx(2 * 20 * matrices / 2, rel=1e-12)
    small = network()
    eight_bit(small)
    assert profile(small).weights.dense_bytes < 0.32 * profile(network()).weights.dense_bytes
    assert profile(small).flops == profile(network()).flops


# ---- run ----


def of_all_exits(model: PreTrainedModel) -> torch.Tensor:
    """Logits of all classifiers ``[exits, batch, classes]``."""
    with torch.no_grad():
        return torch.stack(model(input_ids=IDS, attention_mask=MASK).exit_logits)


MASK = (torch.arange(IDS.shape[1]) < torch.tensor([12, 3, 7, 12, 5]).unsqueeze(1)).long()


def exiting(model: PreTrainedModel, threshold: float | None) -> Exits:
    exits = exits_of(model)
    assert exits is not None
    exits.threshold = threshold
    return exits


@pytest.mark.parametrize("names", [("exits",), ("shared", "exits")], ids="+".join)
@pytest.mark.parametrize("temperatures", [[1.0, 1.0, 1.0], [0.1, 2.0, 1.0]])
def test_examples_leave_at_the_first_exit_that_is_sure(
    names: tuple[str, ...], temperatures: list[float]
) -> None:
    """The rows of those that leave are removed; the others compute what they would alone."""
    model = made(names)
    exits = exiting(model, None)
    exits.temperatures = temperatures
    every = of_all_exits(model)
    assert every.shape == (3, len(IDS), CLASSES)
    sure = [torch.softmax(z / t, -1).amax(-1) for z, t in zip(every, temperatures, strict=True)]
    for threshold in (0.0, float(sure[0].median()), float(sure[1].median()), 1.1):
        exits.threshold = threshold
        with torch.no_grad():
            mixed = model(input_ids=IDS, attention_mask=MASK).logits
            left_at = exits.left_at
            alone = [
                model(input_ids=IDS[n : n + 1], attention_mask=MASK[n : n + 1]) for n in range(5)
            ]
        assert left_at is not None
        for row in range(len(IDS)):
            left = next((n for n in (0, 1) if sure[n][row] >= threshold), 2)
            assert int(left_at[row]) == left
            assert torch.allclose(mixed[row], every[left][row], atol=1e-6)
            assert torch.allclose(mixed[row], alone[row].logits[0], atol=1e-6)


def test_rows_that_left_and_unneeded_layers_are_not_computed() -> None:
    model = network()
    with_exits(model)
    exits = exiting(model, None)
    rows: list[int] = []
    for number in range(LAYERS):
        model.get_submodule(f"bert.encoder.layer.{number}.attention").register_forward_pre_hook(
            lambda _, args: rows.append(len(args[0]))
        )
    sure = torch.softmax(of_all_exits(model)[0], -1).amax(-1)
    assert rows == [5] * LAYERS
    for threshold, expected in ((0.0, [5]), (float(sure.max()), [5, 4]), (1.1, [5] * 4)):
        rows.clear()
        exits.threshold = threshold
        with torch.no_grad():
            model(input_ids=IDS, attention_mask=MASK)
        assert rows[: len(expected)] == expected


def test_the_last_exit_reads_all_layers_and_keeps_the_models_own_classifier() -> None:
    model = network()
    with torch.no_grad():
        states = model(input_ids=IDS, attention_mask=MASK, output_hidden_states=True).hidden_states
    assert states is not None
    with_exits(model)
    exits = exiting(model, None)
    torch.manual_seed(3)
    with torch.no_grad():
        for mix in exits.mixes:
            mix.copy_(torch.randn_like(mix))
        pooled = torch.stack([model.get_submodule("bert.pooler")(state) for state in states[1:]])
        unit = exits.mixes[2] / exits.mixes[2].square().sum().sqrt()
        state = sum(w * each for w, each in zip(unit, pooled, strict=True))
        expected = model.get_submodule("classifier")(state)
    assert torch.allclose(of_all_exits(model)[2], expected, atol=1e-6)


def test_temperatures_and_threshold_are_stored(tmp_path: Path) -> None:
    model = network()
    with_exits(model)
    exits = exiting(model, 0.36)
    exits.temperatures = [0.1, 1 / 3, 2.0]
    before = answers(model)
    registry.save(model, tmp_path)
    again = registry.load(tmp_path)
    reloaded = exits_of(again)
    assert reloaded is not None
    assert (reloaded.threshold, reloaded.temperatures) == (0.36, [0.1, 1 / 3, 2.0])
    assert torch.equal(answers(again), before)
    assert reloaded.left_at is not None
    assert exits.left_at is not None
    assert torch.equal(reloaded.left_at, exits.left_at)


def test_a_copy_of_a_model_has_exits_of_its_own() -> None:
    model = network()
    with_exits(model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert float(answers(model).abs().max()) > 0
    assert float(answers(other).abs().max()) == 0


def test_temperature_makes_an_exit_less_sure() -> None:
    model = network()
    with_exits(model)
    exits = exiting(model, 0.36)
    shares = []
    for temperature in (0.01, 1.0, 1000.0):
        exits.temperatures = [temperature] * 3
        answers(model)
        assert exits.left_at is not None
        shares.append(int((exits.left_at < 2).sum()))
    assert all(one >= other for one, other in pairwise(shares))
    assert shares[0] == 5
    assert shares[-1] == 0


@pytest.mark.parametrize("layers", [[], [3], [1, 1, 3], [2, 0, 3], [-1, 3], [0, 2], [0, 4]])
def test_exits_must_rise_up_to_the_last_layer(layers: list[int]) -> None:
    with pytest.raises(ValueError, match="exits must rise, and end with the last layer, 3"):
        add_exits(network(), layers)


def test_a_model_without_a_pooler_gets_no_exits() -> None:
    config = DistilBertConfig(vocab_size=90, dim=32, n_layers=4, n_heads=4, hidden_dim=48)
    with pytest.raises(ValueError, match="distilbert model has no tanh pooler"):
        add_exits(DistilBertForSequenceClassification(config), [0, 3])


@pytest.mark.parametrize("name", ["sliced", "low_rank", "shared", "factorized_embedding", "exits"])
def test_stages_train_evaluate_and_measure_every_format(tmp_path: Path, name: str) -> None:
    data_set(tmp_path, train=32, dev=16, test=8)
    short = {**TRAIN, "max_steps": 2, "evaluate": False}
    shape = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}
    shape |= {"intermediate_size": 48, "vocab_size": 300, "max_position_embeddings": 80}
    carry_out(tmp_path, recipe(short, model={"config": shape}))
    folder = tmp_path / "work" / "stage-00" / "model"
    model = BertForSequenceClassification.from_pretrained(folder)
    MAKERS[name](model)
    for file in folder.glob("model*"):
        file.unlink()
    registry.save(model, folder)
    folder.rename(tmp_path / "made")
    measure = {"kind": "measure", "batch_size": 2, "sequence_length": 20, "min_seconds": 0.01}
    stages: list[dict[str, Any]] = [{**short, "evaluate": True}, {"kind": "quantize"}, measure]
    reporter = carry_out(tmp_path, recipe(*stages, model="made"))
    values = {event["name"]: event["value"] for event in reporter.of("metric", quality=True)}
    counted = profile(model)
    assert values["flops_per_example"] == pytest.approx(counted.flops_per_sequence(20), rel=1e-12)
    assert values["parameters"] == counted.weights.parameters
    published = tmp_path / "work" / "stage-00" / "model"
    assert name in registry.read_notes(published)
    # Neither new classes nor more training for what cannot have them.
    final = tmp_path / "work" / "stage-02" / "model"
    final.rename(tmp_path / "final")
    with pytest.raises(JobError, match="its weights are quantized and final"):
        carry_out(tmp_path, recipe(short, model="final"))


@pytest.mark.parametrize("padding", [0, None])
def test_an_uncountable_structure_is_named_as_unknown(padding: int | None) -> None:
    """Slices, factors and shared layers of any family, such as those that read values."""

    def reads_values(module: nn.Module, **inputs: Any) -> None:
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")

    config = CONFIG.__class__.from_dict(CONFIG.to_dict() | {"pad_token_id": padding})
    plain, _ = count_structure(config, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BertForSequenceClassification, "forward", reads_values)
        counted, exits = count_structure(config, {})
    assert math.isfinite(plain.forward(8))
    assert math.isnan(counted.forward(8))
    assert exits == ()
    assert "bert" in counted.uncounted[0]
    assert "Tensor.item()" in counted.uncounted[0]


def test_models_that_look_for_padding_by_value_are_counted_without_it() -> None:
    config = GPT2Config(
        vocab_size=100, n_embd=16, n_layer=1, n_head=2, n_positions=80, pad_token_id=0
    )
    counted, _ = count_structure(config, {})
    assert counted.forward(8) > 0


def test_an_architecture_with_fewer_heads_of_its_own_is_not_sliced() -> None:
    """A part of ConvBERT's heads are convolutions: ``head_ratio``."""
    config = ConvBertConfig(
        vocab_size=100,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        embedding_size=16,
    )
    model = ConvBertForSequenceClassification(config)
    assert registry.describe(model) == {}
