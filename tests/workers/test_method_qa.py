"""Heads and neurons of a question-answering model are cut out: recipes and stages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from pricetag.accounting.work.flops import EncoderShape, encoder_layer_flops, linear_flops
from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.gates import gate_pass
from tests.support.halves import assert_same_weights, in_halves, made_by
from tests.support.questions import question_files
from tests.support.recording import RecordingReporter
from tests.support.tasks import task_recipe
from tests.support.training import TRAIN_TOKENS, carry_out, counted_once, recipe
from workers.job.reporter import JobError
from workers.training.formats import registry
from workers.training.formats.profile import profile

QA = {"kind": "prune", "method": "qa", "batch_size": 8, "max_length": 32}
TRAINED = {**TRAIN_TOKENS, "max_steps": 12, "learning_rate": 5e-3, "evaluate": False}


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        ({"criterion": "gain"}, "heads", "needs a share of the heads or of the neurons"),
        ({"criterion": "random", "heads": 0.0}, "heads", "needs a share"),
        ({"heads": 0.0, "neurons": 0.0}, "heads", "nothing would be removed"),
        ({"criterion": "gain", "heads": 0.5, "gate_epochs": 1}, "gate_epochs", "criterion: l0"),
        (
            {"criterion": "random", "heads": 0.5, "neuron_penalty": 0.1},
            "neuron_penalty",
            "belongs to criterion: l0",
        ),
        ({"criterion": "gain", "heads": 0.5, "train_weights": True}, "train_weights", "l0"),
        ({"examples": 10}, "examples", "belongs to criterion: gain"),
        ({"alpha": 0.5}, "alpha", "belongs to distill: true"),
        ({"temperature": 2.0}, "temperature", "belongs to distill: true"),
        (
            {"criterion": "gain", "heads": 0.5, "distill": True, "recovery_epochs": 0},
            "distill",
            "needs training",
        ),
        ({"heads": 0.1}, "heads", "0.1 of 4 heads is less than one; use 0.2500 or more"),
        ({"heads": 0.75}, "heads", "one of the heads must remain in each layer"),
        ({"neurons": 0.99}, "neurons", "use at most 0.9583 of 48 neurons"),
        ({"heads": 1.0}, "heads", "less than 1"),
        ({"drop_rate": 1.0}, "drop_rate", "less than 1"),
        ({"criterion": "magnitude"}, "criterion", "must be one of: l0, gain, random"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    options: dict[str, Any], field: str, message: str
) -> None:
    described = task_recipe("question_answering", TRAINED, {**QA, **options})
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message


@pytest.mark.parametrize("task", ["classification", "regression", "masked_lm", "causal_lm"])
def test_other_tasks_are_rejected_before_a_device_is_booked(task: str) -> None:
    of_texts = task in ("classification", "regression")
    train = {"kind": "train", "max_steps": 1}
    described = (
        recipe(train, QA, task=task) if of_texts else task_recipe(task, train, QA)
    )  # fmt: skip
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == "recipe.stages.1.kind"
    assert caught.value.message == (
        f"'prune-qa' does not work on {task}; it works on question_answering"
    )


def test_a_quantized_model_is_not_pruned() -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(task_recipe("question_answering", TRAINED, {"kind": "quantize"}, QA))
    assert caught.value.field == "recipe.stages.2.kind"


def test_random_without_recovery_needs_no_training_data() -> None:
    data = {"validation": "data/dev.json"}
    options = {**QA, "criterion": "random", "heads": 0.5}
    one = {**options, "recovery_epochs": 0}
    parse_recipe(task_recipe("question_answering", one, data=data, model="trained"))
    for other in (options, {**one, "criterion": "gain"}):
        with pytest.raises(RecipeError) as caught:
            parse_recipe(task_recipe("question_answering", other, data=data, model="trained"))
        assert caught.value.field == "recipe.data.train"


# ---- stages ----


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a question-answering model of 2 layers, 2 heads and 24 neurons each."""
    root = question_files(tmp_path_factory.mktemp("qa"), train=16, dev=4)
    with counted_once():
        carry_out(root, task_recipe("question_answering", TRAINED))
    (root / "work/stage-00/model").rename(root / "trained")
    return root


def pruned(root: Path, folder: Path, **options: Any) -> RecordingReporter:
    with counted_once():
        return carry_out(folder, described(**options), data_roots=[root])


def described(**options: Any) -> dict[str, Any]:
    stage = {**QA, "evaluate": False, "precision": "fp32", **options}
    return task_recipe("question_answering", stage, model="trained")


def forward_flops(heads: list[int], neurons: list[int], length: int) -> float:
    layers = [
        encoder_layer_flops(EncoderShape(1, 16, inner, 8 * number), length)
        for number, inner in zip(heads, neurons, strict=True)
    ]
    return sum(layers) + linear_flops(length, 16, 2)


@pytest.mark.parametrize("criterion", ["random", "gain", "l0"])
def test_a_pruned_model_is_smaller_and_counted_in_closed_form(
    trained: Path, tmp_path: Path, criterion: str
) -> None:
    options: dict[str, Any] = {"criterion": criterion, "heads": 0.5, "neurons": 0.75}
    reporter = pruned(trained, tmp_path, recovery_epochs=0, **options)
    note = registry.read_notes(made_by(tmp_path))["sliced"]["layers"]
    heads, neurons = ([layer[part] for layer in note] for part in ("heads", "neurons"))
    assert (sum(heads), sum(neurons)) == (2, 12)
    model = registry.load(made_by(tmp_path))
    counts = profile(model)
    assert counts.flops_per_sequence(20) == forward_flops(heads, neurons, 20)
    whole = profile(registry.skeleton(model.config, {}))
    gone = 2 * (4 * 8 * 16 + 3 * 8) + 36 * (2 * 16 + 1)
    assert counts.weights.parameters == whole.weights.parameters - gone
    assert reporter.of("metric", name="heads_left")[-1]["value"] == 2
    assert reporter.of("metric", name="neurons_left")[-1]["value"] == 12
    assert bool(reporter.of("flops")) == (criterion != "random")  # nothing was computed


def batches_flops(reporter: RecordingReporter) -> float:
    return float(reporter.of("flops")[-1]["dense"])


def test_training_gates_costs_no_gradients_of_weights_and_retraining_three_forward_passes(
    trained: Path, tmp_path: Path
) -> None:
    options = {"heads": 0.5, "neurons": 0.5, "batch_size": 1}
    gates_alone = pruned(trained, tmp_path / "gates", recovery_epochs=0, **options)
    both = pruned(trained, tmp_path / "both", recovery_epochs=1, **options)
    gain = pruned(
        trained, tmp_path / "gain", recovery_epochs=0, criterion="gain", heads=0.5, batch_size=1
    )
    weights = pruned(trained, tmp_path / "w", recovery_epochs=0, train_weights=True, **options)
    note = registry.read_notes(made_by(tmp_path / "both"))["sliced"]["layers"]
    heads, neurons = ([layer[part] for layer in note] for part in ("heads", "neurons"))
    lengths = window_lengths(trained)
    whole = sum(forward_flops([2, 2], [24, 24], length) for length in lengths)
    left = sum(forward_flops(heads, neurons, length) for length in lengths)
    gated = sum(
        gate_pass([2, 2], [24, 24], 16, 8, length, linear_flops(length, 16, 2))
        for length in lengths
    )
    assert batches_flops(gates_alone) == pytest.approx(gated, rel=1e-9)
    assert batches_flops(gain) == pytest.approx(gated, rel=1e-9)
    assert batches_flops(weights) == pytest.approx(3 * whole, rel=1e-9)
    assert batches_flops(both) == pytest.approx(gated + 3 * left, rel=1e-9)


def test_distillation_costs_a_forward_pass_of_the_unpruned_model(
    trained: Path, tmp_path: Path
) -> None:
    options = {"criterion": "random", "heads": 0.5, "neurons": 0.5, "batch_size": 1, "seed": 2}
    alone = pruned(trained, tmp_path / "alone", **options)
    taught = pruned(trained, tmp_path / "taught", distill=True, alpha=0.0, **options)
    whole = sum(forward_flops([2, 2], [24, 24], length) for length in window_lengths(trained))
    assert batches_flops(taught) - batches_flops(alone) == pytest.approx(whole, rel=1e-9)
    assert taught.of("metric", name="loss_logits")
    one, other = (
        load_file(made_by(tmp_path / name) / "model.safetensors") for name in ("alone", "taught")
    )
    assert any(not torch.equal(one[name], other[name]) for name in one)
    notes = [registry.read_notes(made_by(tmp_path / name)) for name in ("alone", "taught")]
    assert notes[0] == notes[1]  # the same units are drawn


def window_lengths(root: Path) -> list[int]:
    tokenizer = AutoTokenizer.from_pretrained(root / "trained")
    data = json.loads((root / "data/train.json").read_text())["data"][0]["paragraphs"]
    return [len(tokenizer(one["qas"][0]["question"], one["context"]).input_ids) for one in data]


@pytest.mark.parametrize("questions", [3, 6], ids=["gates", "retraining"])
def test_an_interrupted_stage_ends_at_the_same_weights(
    trained: Path, tmp_path: Path, questions: int
) -> None:
    options = {"gate_epochs": 1, "recovery_epochs": 1, "drop_rate": 0.6, "neurons": 0.5}
    full = described(
        **options, distill=True, batch_size=4, checkpoint_after_s=0, checkpoint_every_s=0
    )
    with counted_once():
        carry_out(tmp_path / "whole", full, data_roots=[trained])
    second = in_halves(tmp_path / "halves", full, questions, data_roots=[trained])
    again = [event["text"] for event in second.of("log") if "earlier attempt" in event["text"]]
    assert len(again) == (0 if questions == 3 else 1)
    assert_same_weights(tmp_path / "whole", tmp_path / "halves")
    stored = load_file(made_by(tmp_path / "halves") / "model.safetensors")
    assert not any("log_alpha" in name for name in stored)


def test_a_strong_penalty_closes_gates_and_a_weak_one_does_not(
    trained: Path, tmp_path: Path
) -> None:
    options = {"gate_epochs": 6, "gate_learning_rate": 0.6, "recovery_epochs": 0, "batch_size": 4}
    strong = pruned(trained, tmp_path / "1", head_penalty=0.0, neuron_penalty=1.0, **options)
    weak = pruned(trained, tmp_path / "2", head_penalty=0.0, neuron_penalty=0.0, **options)
    left = [each.of("metric", name="neurons_left")[-1]["value"] for each in (strong, weak)]
    assert left[0] == 2  # one a layer
    assert left[1] > 24


def test_a_model_without_heads_and_neurons_of_its_own_is_rejected(
    trained: Path, tmp_path: Path
) -> None:
    factors = {"kind": "factorize", "method": "low_rank", "ratio": 0.5, "recovery_epochs": 0}
    stages = ({**factors, "evaluate": False}, {**QA, "evaluate": False})
    with counted_once(), pytest.raises(JobError) as caught:
        carry_out(
            tmp_path,
            task_recipe("question_answering", *stages, model="trained"),
            data_roots=[trained],
        )
    assert (caught.value.code, caught.value.field) == ("invalid-recipe", "recipe.stages.1.kind")


def test_a_share_of_a_stored_model_is_checked_with_its_sizes(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        pruned(trained, tmp_path, heads=0.75)
    assert (caught.value.code, caught.value.field) == (
        "wrong-share-of-units",
        "recipe.stages.0.heads",
    )
