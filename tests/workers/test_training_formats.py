"""Formats of models are recognized on disk, saved, loaded and run the same way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BertForSequenceClassification,
    ConvBertConfig,
    ConvBertForSequenceClassification,
)

from tests.support.model_formats import (
    MAKERS,
    answers,
    made,
    network,
)
from tests.support.training import TRAIN, carry_out, data_set, recipe
from workers.job.reporter import JobError
from workers.training.formats import registry
from workers.training.formats.profile import profile
from workers.training.formats.sliced import slice_layer

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
        "reformer",
        "deq",
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
