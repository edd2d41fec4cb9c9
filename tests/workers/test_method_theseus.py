"""BERT-of-Theseus, against the values of its authors' code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from pricetag.recipes.methods.distill_theseus import DistillTheseus
from pricetag.recipes.students import Student
from tests.support.sockets import fitted, prepared
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.methods.spd import constant_then_linear_rate
from workers.methods.theseus import constant_rate, rate_of
from workers.training.cost.flops import profile
from workers.training.grafting import Rate, Replacing, draw_modules, linear_rate
from workers.training.model.loaded import Loaded
from workers.training.model.recording import encoder_layers
from workers.training.model.students import student_of
from workers.training.plugin import BatchPlace

FOLDER = Path(__file__).parents[1] / "data/golden"
CASES = json.loads((FOLDER / "theseus_schedule.json").read_text())["cases"]
MAPS = json.loads((FOLDER / "layer_maps.json").read_text())["cases"]["theseus"]
THESEUS = {**TRAIN, "kind": "distill", "method": "theseus"}


def rate_in(case: dict[str, Any], step: int) -> float:
    params = case["params"]
    if "replacing_rate" in params:
        return constant_rate(step, params["replacing_rate"], params["replacing_steps"])
    if "replacing_steps" in params:
        names = ("rate", "replacing_steps", "base", "k")
        return constant_then_linear_rate(step, *(params[name] for name in names))
    return linear_rate(step, params["base"], params["k"])


@pytest.mark.parametrize("name", list(CASES))
def test_rates_are_those_of_the_authors(name: str) -> None:
    case = CASES[name]
    for step, rate in enumerate(case.get("rate_used_for_forward_t", [])):
        assert rate_in(case, step) == pytest.approx(rate, rel=1e-12), step
    for step, rate in enumerate(case.get("returned_by_step", [])):
        assert rate_in(case, step + 1) == pytest.approx(rate, rel=1e-12), step
    for step, rate in case.get("at", {}).items():
        assert rate_in(case, int(step)) == pytest.approx(rate, rel=1e-12), step
    if "first_step_at_1" in case:
        first = case["first_step_at_1"]
        assert (rate_in(case, first - 1) < 1, rate_in(case, first)) == (True, 1)


@pytest.mark.parametrize(
    ("rate", "steps", "rates"),
    [
        (0.5, 2, [0.5, 0.5, 0.8, 0.9, 1, 1]),
        (0.5, 1, [0.5, 0.8, 0.9, 1, 1, 1]),
        (0.5, 0, [0.5, 0.9, 1, 1, 1, 1]),  # counted from the step that still has the constant rate
        (0.0, 3, [0, 0, 0, 0.8, 0.9, 1]),
        (1.0, 0, [1] * 6),
        (1.0, 3, [1] * 6),  # what is replaced altogether stays so
    ],
)
def test_the_ends_of_a_constant_then_linear_rate_are_those_of_the_authors(
    rate: float, steps: int, rates: list[float]
) -> None:
    values = [constant_then_linear_rate(step, rate, steps, 0.8, 0.1) for step in range(6)]
    assert values == pytest.approx(rates, rel=1e-12)


@given(base=st.floats(0.01, 1), slope=st.floats(1e-6, 0.5), step=st.integers(0, 10**6))
def test_a_linear_rate_rises_to_one(base: float, slope: float, step: int) -> None:
    assert linear_rate(0, base, slope) == base
    assert base <= linear_rate(step, base, slope) <= linear_rate(step + 1, base, slope) <= 1


def test_the_default_is_half_of_the_training_at_half() -> None:
    rate = rate_of(DistillTheseus(method="theseus"))
    assert [rate(step, 10) for step in (0, 4, 5, 9)] == [0.5, 0.5, 1, 1]
    linear = rate_of(DistillTheseus(method="theseus", replacing="linear"))
    assert [linear(0, 10), linear(500, 10), linear(1167, 10)] == [0.3, 0.6, 1]


def test_draws_are_the_same_on_every_rank_and_new_in_every_pass() -> None:
    def draws(step: int, part: int, rank: int) -> list[bool]:
        return draw_modules(BatchPlace(step, part, rank, 5), 64, 0.5)

    assert draws(3, 1, 0) == draws(3, 1, 7)
    assert len({tuple(draws(step, part, 0)) for step in range(4) for part in range(2)}) == 8
    assert draw_modules(BatchPlace(0, 0, 0, 0), 9, 1.0) == [True] * 9
    often = [
        each for step in range(50) for each in draw_modules(BatchPlace(step, 0, 0, 1), 64, 0.3)
    ]
    assert 0.27 < sum(often) / len(often) < 0.33


def pair(root: Path, rate: Rate) -> tuple[Any, Loaded, Replacing]:
    """A predecessor of 2 layers, a successor of its first, and the plug-in between them."""
    stage, predecessor = prepared(root)
    made = student_of(predecessor.model, Student(layers="first"), 0, "student")
    successor = Loaded(made, predecessor.tokenizer, predecessor.labels)
    counted = profile(made.config)
    return stage, successor, Replacing(predecessor.model, rate, counted)


def test_replaced_layers_are_those_of_the_predecessor(tmp_path: Path) -> None:
    _, successor, replacing = pair(tmp_path, lambda step, total: 0.5)
    replacing.predecessor.train(False)
    ids = torch.randint(5, 60, (3, 9), generator=torch.Generator().manual_seed(0))
    own = successor.model.train(False)(input_ids=ids).logits
    theirs = replacing.predecessor(input_ids=ids).logits
    replacing.attach(successor.model)
    for model in (successor.model, replacing.predecessor):
        model.train(True)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    replacing.draws = [False]
    torch.testing.assert_close(successor.model(input_ids=ids).logits, theirs)
    replacing.draws = [True]
    torch.testing.assert_close(successor.model(input_ids=ids).logits, own)
    replacing.draws = [False]
    torch.testing.assert_close(successor.model.train(False)(input_ids=ids).logits, own)
    assert not any("predecessor" in name for name in successor.model.state_dict())


def test_modules_are_those_of_the_authors() -> None:
    assert MAPS["successor_init_from_predecessor_layers"] == list(range(6))
    each = 12 // 6
    parts = [list(range(12))[number * each : (number + 1) * each] for number in range(6)]
    assert parts == MAPS["module_i_replaces"]


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_only_the_successors_layers_are_trained(tmp_path: Path, rate: float) -> None:
    stage, successor, replacing = pair(tmp_path, lambda step, total: rate)
    before = {n: p.detach().clone() for n, p in successor.model.named_parameters()}
    origin = {n: p.detach().clone() for n, p in replacing.predecessor.named_parameters()}
    fitted(stage, successor, plugins=[replacing])
    changed = {
        name
        for name, parameter in successor.model.named_parameters()
        if not torch.equal(parameter, before[name])
    }
    assert all(name.startswith("bert.encoder.layer.0.") for name in changed)
    assert bool(changed) == (rate > 0)
    assert all(p.requires_grad for p in successor.model.parameters())
    assert all(torch.equal(p, origin[n]) for n, p in replacing.predecessor.named_parameters())
    assert all("forward" not in layer.__dict__ for layer in encoder_layers(successor.model))


@pytest.mark.parametrize("draws", [[1, 0], [0, 1], [1, 1], [0, 0]])
def test_operations_are_those_that_are_counted(tmp_path: Path, draws: list[int]) -> None:
    """Against ``FlopCounterMode`` over a forward and a backward pass."""
    _, loaded = prepared(tmp_path)
    config = type(loaded.model.config).from_dict(
        {**loaded.model.config.to_dict(), "num_hidden_layers": 4, "attn_implementation": "eager"}
    )
    predecessor = type(loaded.model)(config)
    made = student_of(predecessor, Student(layers="first"), 0, "student")
    for model in (predecessor, made):
        model.set_attn_implementation("eager")
    counted = profile(made.config)
    replacing = Replacing(predecessor, lambda step, total: 0.5, counted)
    replacing.attach(made.train(True))
    replacing.draws = [bool(draw) for draw in draws]
    rows, width = 3, 12
    with FlopCounterMode(display=False) as counter:
        made(input_ids=torch.full((rows, width), 7)).logits.sum().backward()
    expected = rows * counted.training(width) + replacing.extra_flops(rows, width)
    assert counter.get_total_flops() == pytest.approx(expected, rel=1e-12)


def test_a_successor_learns_within_its_predecessor(tmp_path: Path) -> None:
    data_set(tmp_path, train=64, dev=16, test=8)
    stages = [{**TRAIN, "evaluate": False}, {**THESEUS, "evaluate": False, "max_steps": 8}]
    reporter = carry_out(tmp_path, recipe(*stages))
    cards = [event["card"] for event in reporter.of("artifact") if event["card"] is not None]
    facts = cards[-1]["facts"]
    assert (facts["teacher_layers"], facts["student_layers"], facts["steps"]) == (4, 2, 8)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"successor_layers": 3}, "successor_layers", "must divide the predecessor's 4 layers"),
        ({"replacing": "linear", "replacing_steps": 4}, "replacing_steps", "does not belong to"),
        ({"replacing_slope": 0.1}, "replacing_slope", "does not belong to replacing: constant"),
        ({"replacing_rate": 0.0}, "replacing_rate", "must be greater than 0"),
        ({"student": {"layers": 2}}, "student", "not a known field"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    changes: dict[str, Any], field: str, message: str
) -> None:
    described = recipe(TRAIN, {**THESEUS, **changes}, model={"config": CONFIG})
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message


def test_an_odd_depth_has_no_half() -> None:
    config = {**CONFIG, "num_hidden_layers": 3}
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(TRAIN, THESEUS, model={"config": config}))
    assert "have no half" in caught.value.message
    parse_recipe(recipe(TRAIN, {**THESEUS, "successor_layers": 1}, model={"config": config}))
