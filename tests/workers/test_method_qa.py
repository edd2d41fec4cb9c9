"""Hard-concrete gates against the authors' values; heads and neurons of a model are cut out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoTokenizer, BertConfig, BertForQuestionAnswering, PreTrainedModel

from pricetag.accounting.work.flops import EncoderShape, encoder_layer_flops, linear_flops
from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.questions import question_files
from tests.support.recording import RecordingReporter
from tests.support.tasks import task_recipe
from tests.support.training import TRAIN_TOKENS, carry_out, counted_once, job, recipe
from workers.job.pipeline import run
from workers.job.reporter import Interrupted, JobError
from workers.methods.qa import (
    BETA,
    GAMMA,
    ZETA,
    Gates,
    choose,
    gains,
    gate_at_test,
    initial_log_alpha,
    open_probability,
    probability_up_to,
    random_scores,
    sampled_gate,
)
from workers.training.formats import registry
from workers.training.formats.profile import profile
from workers.training.plugin import BatchPlace
from workers.training.structured.units import Units, cut, scale_units, units_of

CASES = json.loads((Path(__file__).parents[1] / "data/golden/hard_concrete.json").read_text())[
    "cases"
]
LOG_ALPHA = torch.tensor(CASES["inputs"]["log_alpha"], dtype=torch.float64)
UNIFORMS = CASES["inputs"]["u"]
MIDPOINTS = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000


def golden(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def close(ours: torch.Tensor, values: Any, rtol: float = 1e-5) -> None:
    torch.testing.assert_close(ours, golden(values), rtol=rtol, atol=1e-12)


def test_gates_are_sampled_as_in_the_authors_code() -> None:
    assert len(UNIFORMS) == len(CASES["sampled_gate_by_u"])
    for u, row in zip(UNIFORMS, CASES["sampled_gate_by_u"], strict=True):
        close(sampled_gate(LOG_ALPHA, torch.full_like(LOG_ALPHA, u)), row)


def test_the_gate_at_test_has_no_temperature() -> None:
    close(gate_at_test(LOG_ALPHA), CASES["test_gate"])
    with_temperature = (torch.sigmoid(LOG_ALPHA / BETA) * (ZETA - GAMMA) + GAMMA).clamp(0, 1)
    assert not torch.allclose(gate_at_test(LOG_ALPHA), with_temperature)


def test_probabilities_of_gates() -> None:
    close(open_probability(LOG_ALPHA), CASES["p_open"])
    close(open_probability(LOG_ALPHA), CASES["penalty_per_gate"])
    close(probability_up_to(LOG_ALPHA, 0), CASES["p_exactly_zero"])
    close(1 - probability_up_to(LOG_ALPHA, 1), CASES["p_exactly_one"])
    mean = torch.tensor(CASES["hf_regularisation_mean_of_gates"], dtype=torch.float64)
    torch.testing.assert_close(open_probability(LOG_ALPHA).mean(), mean, rtol=1e-9, atol=0)


def test_the_mean_gate_is_the_integral_over_its_noise() -> None:
    drawn = sampled_gate(LOG_ALPHA.unsqueeze(1), MIDPOINTS)
    close(drawn.mean(1), CASES["expected_gate"])


def test_the_penalty_and_its_gradient() -> None:
    case = CASES["amlab_L0Dense_in8_out3"]
    log_alpha = LOG_ALPHA.clone().requires_grad_()
    penalty = case["lamba"] * 3 * open_probability(log_alpha).sum()  # each gate has 3 weights
    (gradient,) = torch.autograd.grad(penalty, log_alpha)
    assert penalty.item() == pytest.approx(case["penalty"], rel=1e-9)
    close(gradient, case["grad_log_alpha"])


def test_first_values_of_log_alpha() -> None:
    case = CASES["init_log_alpha_for_droprate"]
    assert initial_log_alpha(0.5) == case["r_5"]
    assert initial_log_alpha(0.2) == pytest.approx(case["r_2"], rel=1e-12)
    scale = golden(case["hf_mask_scale"])
    assert gate_at_test(scale).item() == pytest.approx(case["hf_mask_scale_gate"], rel=1e-12)
    assert initial_log_alpha(0.1) == pytest.approx(case["hf_mask_scale"], abs=5e-4)


@settings(deadline=None, max_examples=40)
@given(st.floats(-6, 6))
def test_probabilities_are_shares_of_the_noise(log_alpha: float) -> None:
    alpha = torch.tensor(log_alpha, dtype=torch.float64)
    drawn = sampled_gate(alpha, MIDPOINTS)
    assert (drawn > 0).double().mean().item() == pytest.approx(
        open_probability(alpha).item(), abs=2e-4
    )
    assert (drawn == 1).double().mean().item() == pytest.approx(
        1 - probability_up_to(alpha, 1).item(), abs=2e-4
    )
    assert bool((drawn.diff() >= 0).all())


def test_extreme_noise_gives_finite_gradients() -> None:
    log_alpha = torch.tensor([-20.0, 0.0, 20.0], requires_grad=True)
    for u in (0.0, 1e-6, 1 - 1e-6):
        drawn = sampled_gate(log_alpha, torch.full((3,), u)).sum()
        (gradient,) = torch.autograd.grad(drawn, log_alpha)
        assert bool(gradient.isfinite().all())


# ---- gates on a model ----

HEADS, INNER, LAYERS = 4, 10, 2


def network() -> BertForQuestionAnswering:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=INNER, max_position_embeddings=40, initializer_range=0.4,
    )  # fmt: skip
    model = BertForQuestionAnswering(config).double()
    model.train(False)
    return model


TOKENS = torch.randint(5, 60, (6, 8), generator=torch.Generator().manual_seed(2))
ANSWERS = torch.tensor([[1, 2], [0, 5], [3, 3], [6, 7], [2, 4], [1, 1]])


def logits(model: PreTrainedModel, rows: slice = slice(None)) -> torch.Tensor:
    outputs = model(input_ids=TOKENS[rows])
    return torch.stack([outputs.start_logits, outputs.end_logits])


def losses(model: PreTrainedModel, size: int) -> Iterator[Callable[[], torch.Tensor]]:
    for start in range(0, len(TOKENS), size):
        rows = slice(start, start + size)

        def loss(rows: slice = rows) -> torch.Tensor:
            two = logits(model, rows)
            ends = ANSWERS[rows].T
            each = torch.nn.functional.cross_entropy(
                two.flatten(0, 1), ends.flatten(), reduction="sum"
            )
            return each / 2

        yield loss


def _forward(width: int, density: float = 1.0) -> float:
    return 100.0 * width * density


def test_a_backward_pass_that_is_saved_has_no_more_operations_than_the_weights_left() -> None:
    gates = Gates(("heads",), learning_rate=0.1, drop_rate=0.1, frozen=True, forward=_forward)
    assert gates.extra_flops(2, 8) == -1600
    assert gates.extra_effective_flops(2, 8, 0.2) == pytest.approx(-320)


def gates_on(model: PreTrainedModel, **options: Any) -> Gates:
    wanted = {"learning_rate": 0.1, "drop_rate": 0.1, "frozen": True, "forward": _forward}
    return Gates(("heads", "neurons"), **{**wanted, **options})


@pytest.mark.parametrize("size", [1, 4, 6])
def test_gains_are_means_over_examples_of_the_gates_derivatives(size: int) -> None:
    """Against differences of the loss with a gate that is a little less than 1."""
    model, step = network(), 1e-6
    found = gains(model, losses(model, size))
    for part, layer, unit in (("heads", 0, 2), ("heads", 1, 3), ("neurons", 0, 7)):
        factors = {
            "heads": [[1.0] * HEADS for _ in range(LAYERS)],
            "neurons": [[1.0] * INNER for _ in range(LAYERS)],
        }
        factors[part][layer][unit] -= step
        other = network()
        scale_units(other, factors["heads"], factors["neurons"])
        with torch.no_grad():
            before = [one().item() for one in losses(model, 1)]
            after = [one().item() for one in losses(other, 1)]
        expected = sum(abs(a - b) for a, b in zip(after, before, strict=True)) / step / 6
        assert found[part][layer][unit] == pytest.approx(expected, rel=1e-3, abs=1e-7)
    assert {part: [len(layer) for layer in layers] for part, layers in found.items()} == {
        "heads": [HEADS] * LAYERS,
        "neurons": [INNER] * LAYERS,
    }
    assert all(not module._forward_pre_hooks for module in model.modules())


def test_the_cut_model_computes_what_the_gated_one_does_at_test() -> None:
    model, plain = network(), network()
    gates = gates_on(model)
    gates.attach(model)
    with torch.no_grad():
        for parameter in (*gates.parameters("heads"), *gates.parameters("neurons")):
            parameter.copy_(torch.linspace(-4, 3, len(parameter)))
        gated = logits(model)
    gates.detach(model)
    assert dict(model.named_parameters()).keys() == dict(plain.named_parameters()).keys()
    assert all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        assert torch.equal(logits(model), logits(plain))
    learned = {part: [one.tolist() for one in each] for part, each in gates.log_alpha.items()}
    before = units_of(model)
    choice = choose(before, learned, {"heads": None, "neurons": None})
    cut(model, before, choice.units)
    scale_units(model, choice.factors["heads"], choice.factors["neurons"])
    assert choice.units.counts() < before.counts()
    with torch.no_grad():
        torch.testing.assert_close(logits(model), gated, rtol=1e-6, atol=1e-7)


def test_draws_are_the_same_on_all_ranks_and_new_in_each_batch() -> None:
    model = network().train()
    gates = gates_on(model, drop_rate=0.5)
    gates.attach(model)
    batch = {"input_ids": TOKENS}

    def drawn(step: int, rank: int) -> torch.Tensor:
        gates.change_batch(batch, BatchPlace(step, 0, rank, 7))
        torch.manual_seed(0)  # dropout
        return logits(model)

    assert torch.equal(drawn(3, 0), drawn(3, 1))
    assert not torch.equal(drawn(3, 0), drawn(4, 0))
    gradients = torch.autograd.grad(drawn(5, 0).sum(), gates.parameters("heads"))
    assert all(bool(gradient.any()) for gradient in gradients)
    assert all(not parameter.requires_grad for parameter in model.bert.embeddings.parameters())


units = Units([[0, 1, 2], [0, 1, 2]], [[0, 1, 2, 3], [0, 1, 2, 3]])


@settings(deadline=None, max_examples=60)
@given(st.floats(0, 0.99), st.floats(0, 0.99), st.integers(0, 50))
def test_a_share_removes_that_number_and_leaves_one_in_each_layer(
    heads: float, neurons: float, seed: int
) -> None:
    choice = choose(units, random_scores(units, seed), {"heads": heads, "neurons": neurons})
    left = choice.units.counts()
    assert left == (max(6 - int(heads * 6 + 1e-9), 2), max(8 - int(neurons * 8 + 1e-9), 2))
    assert all(choice.units.heads) and all(choice.units.neurons)  # noqa: PT018
    assert choice.factors == {}


def test_closed_gates_leave_and_the_best_of_a_layer_stays() -> None:
    scores = {"heads": [[-5.0, -4.0, -6.0], [3.0, -9.0, 0.0]]}
    choice = choose(units, scores, {"heads": None, "neurons": 0})
    assert choice.units == Units([[1], [0, 2]], units.neurons)
    assert choice.factors == {"heads": [[0.0], [1.0, pytest.approx(0.5)]]}


# ---- recipes ----

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


def made_by(folder: Path) -> Path:
    return folder / "work/stage-00/model"


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


def test_training_gates_costs_two_forward_passes_and_retraining_three(
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
    assert batches_flops(gates_alone) == pytest.approx(2 * whole, rel=1e-9)
    assert batches_flops(gain) == pytest.approx(2 * whole, rel=1e-9)
    assert batches_flops(weights) == pytest.approx(3 * whole, rel=1e-9)
    assert batches_flops(both) == pytest.approx(2 * whole + 3 * left, rel=1e-9)


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
        halves = tmp_path / "halves"
        with pytest.raises(Interrupted):
            run(job(halves, full, data_roots=[trained]), RecordingReporter(stop_after=questions))
        second = carry_out(halves, full, attempt=2, data_roots=[trained])
    again = [event["text"] for event in second.of("log") if "earlier attempt" in event["text"]]
    assert len(again) == (0 if questions == 3 else 1)
    one, other = (
        load_file(made_by(folder) / "model.safetensors") for folder in (tmp_path / "whole", halves)
    )
    assert one.keys() == other.keys()
    assert not any("log_alpha" in name for name in one)
    assert all(torch.equal(one[name], other[name]) for name in one)


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
