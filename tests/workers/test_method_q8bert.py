"""Training with rounded weights and activations: Q8BERT against the values of its authors' code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import BertConfig, BertForSequenceClassification

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from pricetag.recipes.methods.quantize_qat import QuantizeQat
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.job import ranks
from workers.job.reporter import JobError
from workers.methods import q8bert, qat
from workers.training.formats.int8 import Int8Linear
from workers.training.formats.integers import IntegerLinear
from workers.training.quantization.affine import Blocks, fake_symmetric, symmetric_scale
from workers.training.quantization.fake_quant import FakeQuant, MovingRange, Rounding

FAST: dict[str, Any] = {"batch_size": 16, "precision": "fp32"}
GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/q8bert_ema.json").read_text())
CASES: dict[str, Any] = GOLDEN["cases"]
TRAININGS = [name for name in CASES if name.startswith("decay_")]
IDS = torch.randint(0, 200, (6, 12), generator=torch.Generator().manual_seed(0))


def exact(numbers: Any) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


WEIGHT, BIAS = exact(CASES["inputs"]["weight"]), exact(CASES["inputs"]["bias"])
BATCHES = [exact(batch) for batch in CASES["inputs"]["xs"]]


def before_rounding(values: torch.Tensor, input_largest: torch.Tensor) -> torch.Tensor:
    """The output of the layer before it is rounded, from which its range is updated."""
    weight = fake_symmetric(WEIGHT, symmetric_scale(WEIGHT.abs().max(), 8), 8)
    rounded = fake_symmetric(values, symmetric_scale(input_largest, 8), 8)
    return functional.linear(rounded, weight, BIAS)


class Averages:
    """The two moving averages of the layer."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.input: torch.Tensor | None = None
        self.output: torch.Tensor | None = None

    def add(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.input = q8bert.moving_largest(self.input, values, self.decay)
        plain = before_rounding(values, self.input)
        self.output = q8bert.moving_largest(self.output, plain, self.decay)
        return self.input, self.output


def test_every_case_is_computed() -> None:
    assert {"inputs", *TRAININGS} == set(CASES)


@pytest.mark.parametrize("name", TRAININGS)
def test_training_and_use_are_those_of_the_authors(name: str) -> None:
    case = CASES[name]
    averages = Averages(case["ema_decay"])
    for values, expected in zip(BATCHES, case["training_steps"], strict=True):
        ends = averages.add(values)
        assert float(ends[0]) == pytest.approx(expected["input_thresh"], rel=1e-12)
        assert float(ends[1]) == pytest.approx(expected["output_thresh"], rel=1e-12)
        outputs = q8bert.training_linear(values, WEIGHT, BIAS, *ends)
        torch.testing.assert_close(outputs, exact(expected["output"]), rtol=1e-9, atol=1e-12)
    after = case.get("after_extra_step")
    if after is None:
        return
    ends = averages.add(BATCHES[0])
    assert float(ends[0]) == pytest.approx(after["input_thresh"], rel=1e-12)
    assert float(ends[1]) == pytest.approx(after["output_thresh"], rel=1e-12)
    sums, outputs = q8bert.integer_linear(BATCHES[1], WEIGHT, BIAS, *ends)
    expected = case["inference_on_xs1"]
    assert sums.tolist() == expected["int_accumulator"]
    torch.testing.assert_close(outputs, exact(expected["output"]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", TRAININGS)
def test_the_gradient_passes_straight_through(name: str) -> None:
    expected = CASES[name].get("ste_input_grad_of_sum")
    if expected is None:
        pytest.fail("the file has a gradient for each decay")
    values = BATCHES[0].clone().requires_grad_()
    averages = Averages(CASES[name]["ema_decay"])
    q8bert.training_linear(values, WEIGHT, BIAS, *averages.add(values.detach())).sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    torch.testing.assert_close(values.grad, exact(expected), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", TRAININGS)
def test_the_plug_in_computes_the_same_in_a_model(name: str) -> None:
    layer = nn.Linear(4, 3).double()
    with torch.no_grad():
        layer.weight.copy_(WEIGHT)
        layer.bias.copy_(BIAS)
    model = nn.Sequential(layer).train()
    fake = FakeQuant(q8bert.roundings(model), CASES[name]["ema_decay"])
    fake.attach(model)
    for values, expected in zip(BATCHES, CASES[name]["training_steps"], strict=True):
        torch.testing.assert_close(
            model(values).detach(), exact(expected["output"]), rtol=1e-9, atol=1e-12
        )
    state = fake.state()
    again = FakeQuant(q8bert.roundings(model), CASES[name]["ema_decay"])
    again.restore(state)
    assert again.fixed("") == fake.fixed("")
    fake.detach(model)
    assert torch.equal(model(BATCHES[0]), functional.linear(BATCHES[0], WEIGHT, BIAS))


def network() -> BertForSequenceClassification:
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=200,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertForSequenceClassification(shape)


def logits(model: nn.Module, *, training: bool = False) -> torch.Tensor:
    model.train(training)
    with torch.no_grad():
        result: torch.Tensor = model(input_ids=IDS).logits
    return result


def by_q8bert(model: nn.Module) -> tuple[FakeQuant, Callable[[], object]]:
    fake = FakeQuant(q8bert.roundings(model), 0.9)
    return fake, lambda: q8bert.apply_q8bert(model, *fake.fixed(""))


def by_qat(bits: Literal[8, 4], *, activations: bool) -> Any:
    def make(model: nn.Module) -> tuple[FakeQuant, Callable[[], object]]:
        params = QuantizeQat(
            method="qat",
            bits=bits,
            group_size=16 if bits == 4 else None,
            activations=activations,
        )
        plan = qat.roundings(model, params)
        fake = FakeQuant(plan, 0.9)
        return fake, lambda: qat.apply_qat(model, plan, fake.fixed("")[0])

    return make


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (by_q8bert, Int8Linear),
        (by_qat(8, activations=True), Int8Linear),
        (by_qat(8, activations=False), IntegerLinear),
        (by_qat(4, activations=True), IntegerLinear),
        (by_qat(4, activations=False), IntegerLinear),
    ],
    ids=["q8bert", "qat8", "qat8 weights", "qat4", "qat4 weights"],
)
def test_the_integer_model_computes_what_training_did(make: Any, kind: type[nn.Module]) -> None:
    model = network()
    plain = logits(model)
    fake, convert = make(model)
    fake.attach(model)
    for _ in range(3):
        logits(model, training=True)
    trained = logits(model)
    fake.detach(model)
    assert torch.equal(logits(model), plain)
    convert()
    converted = logits(model)
    assert isinstance(model.classifier, kind)
    rounding_error = float((trained - plain).abs().mean())
    assert rounding_error > 0
    # Values on the border between two integers may be rounded to either.
    assert float((converted - trained).abs().mean()) < 0.5 * rounding_error


def test_a_moving_range_may_lie_on_one_side_of_zero() -> None:
    moving = MovingRange(0.5, "asymmetric")
    moving.add(torch.tensor([1.0, 3.0]))
    moving.add(torch.tensor([2.0, 7.0]))
    fixed = moving.fixed()
    assert fixed is not None
    assert fixed.scale == pytest.approx(5 / 255)
    assert fixed.zero_point == 0
    values = torch.tensor([0.0, 2.5, 5.0, 9.0])
    torch.testing.assert_close(moving.fake(values), fixed.rounded(values))


def test_a_layer_that_training_did_not_use_is_named() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    fake = FakeQuant({"0": Rounding(8, Blocks(), inputs="symmetric")}, 0.9)
    fake.attach(model)
    with pytest.raises(JobError, match="did not use the layer 0"):
        fake.fixed("recipe.stages.1")


def test_ranges_are_those_of_the_batches_of_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    others = iter([torch.tensor([0.0, -3.0]), torch.tensor([0.5, 1.0])])

    def all_reduce(ends: torch.Tensor, operation: Any) -> None:
        assert operation == torch.distributed.ReduceOp.MAX
        low, high = torch.aminmax(next(others))
        ends.copy_(torch.maximum(ends, torch.stack([-low, high])))

    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    moving = MovingRange(0.5, "asymmetric")
    moving.add(torch.tensor([1.0, 0.0]))
    moving.add(torch.tensor([0.0, 4.0]))
    assert moving.ends is not None
    assert moving.ends.tolist() == [-1.5, 2.5]  # [-3, 1], then half of the way to [0, 4]


@pytest.mark.parametrize("method", ["q8bert", "qat"])
def test_a_run_learns_in_few_bits(tmp_path: Path, method: str) -> None:
    data_set(tmp_path, train=200, dev=60, hard_share=0.0)
    options = {**FAST, "max_steps": None, "learning_rate": 2e-3}
    trained = {**TRAIN, **options, "epochs": 5}
    quantized = {**options, "kind": "quantize", "method": method, "epochs": 1}
    shape = {"config": {**CONFIG, "num_hidden_layers": 2}}
    reporter = carry_out(tmp_path, recipe(trained, quantized, model=shape))
    scores = [event["value"] for event in reporter.of("metric", name="accuracy")]
    assert scores[0] > 0.8
    assert scores[-1] > scores[0] - 0.1
    cards = [event["card"] for event in reporter.of("artifact") if event["card"]]
    assert cards[-1]["kind"] == f"quantize-{method}"
    uncounted = reporter.of("flops")[-2]["uncounted"]
    assert "rounding of weights and activations" in uncounted


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"method": "q8bert", "ema_decay": 1.0}, "ema_decay", "less than 1"),
        ({"method": "qat", "bits": 2}, "bits", "must be one of: 8, 4"),
        ({"method": "qat", "group_size": 64}, "group_size", "use bits: 4"),
        ({"method": "q8bert", "bits": 4}, "bits", "not a known field"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    changes: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(TRAIN, {"kind": "quantize", **changes}))
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message


@pytest.mark.parametrize("method", ["q8bert", "qat"])
def test_nothing_changes_the_model_afterwards(method: str) -> None:
    stage = {"kind": "quantize", "method": method}
    with pytest.raises(RecipeError, match="quantized weights are final"):
        parse_recipe(recipe(TRAIN, stage, {"kind": "prune", "sparsity": 0.5}))
