"""Sparse Progressive Distillation: grafts, losses, the ramp, and the gap that it reports."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from pricetag.recipes.methods.prune_spd import PruneSpd
from pricetag.recipes.plan import plan
from tests.support.sockets import prepared as prepared_stage
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.methods.spd import NEEDS, probabilities_loss, ramp_of, rate_of
from workers.training.cost.flops import FlopProfile
from workers.training.evaluate import train_dev_gap
from workers.training.grafting import Replacing
from workers.training.model.recording import Recorder, encoder_layers, prepared

SMALL = {**CONFIG, "num_hidden_layers": 2, "intermediate_size": 32}
SPD = {
    **{**TRAIN, "kind": "prune", "method": "spd", "sparsity": 0.8, "max_steps": 12},
    **{"precision": "fp32", "updates": 4},
}


def params(**changes: Any) -> PruneSpd:
    return PruneSpd(method="spd", **changes)


def test_attention_differs_by_the_mean_within_a_layer_summed_over_layers() -> None:
    torch.manual_seed(0)
    own, theirs = (torch.rand(3, 2, 4, 5, 5, dtype=torch.float64) for _ in range(2))
    by_hand = sum(float(((own[n] - theirs[n]) ** 2).mean()) for n in range(3))
    assert float(probabilities_loss(list(own), list(theirs))) == pytest.approx(by_hand, rel=1e-12)


@given(updates=st.integers(2, 40), total=st.integers(80, 4000), final=st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_released_code_loses_the_last_of_the_updates(
    updates: int, total: int, final: bool
) -> None:
    ramp = ramp_of(params(sparsity=0.9, updates=updates, final_update=final))
    due = [done for done in range(1, total + 1) if ramp.due(done, total)]
    assert len(due) == (updates if final else updates - 1)
    assert (due[-1] == total // 2) == final
    assert not ramp.over(total // 2 - 1, total)
    assert ramp.over(total // 2, total)


def test_without_the_last_update_the_sparsity_is_that_of_the_one_before() -> None:
    ramp = ramp_of(params(sparsity=0.9, final_update=False))
    due = [done for done in range(1, 49) if ramp.due(done, 48)]
    assert due == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]
    assert ramp.sparsity(due[-1], 48) == pytest.approx(0.9 * (1 - (1 / 12) ** 3), rel=1e-12)


def test_grafts_are_as_likely_throughout_the_ramp_and_certain_from_halfway_after_it() -> None:
    rate = rate_of(params())
    assert [rate(step, 40) for step in (0, 19, 20)] == [0.8, 0.8, 0.8]
    assert rate(25, 40) == pytest.approx(0.9)
    assert [rate(step, 40) for step in (30, 39)] == [1, 1]
    steep = rate_of(params(graft_rate=0.5, graft_base=0.8, graft_slope=0.05))
    expected = [0.5, 0.8, 0.85, 0.9, 0.95, 1.0, 1.0]
    assert [steep(step, 40) for step in range(19, 26)] == pytest.approx(expected)


@given(total=st.integers(1, 500), end=st.floats(0.01, 1), first=st.floats(0.01, 1))
@settings(max_examples=60, deadline=None)
def test_the_probability_of_a_graft_never_falls(total: int, end: float, first: float) -> None:
    rate = rate_of(params(ramp_end=end, graft_rate=first))
    rates = [rate(step, total) for step in range(total)]
    assert rates == sorted(rates)
    assert first <= rates[0] <= rates[-1] <= 1


def without_dropout(model: torch.nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


@pytest.mark.parametrize("draws", [[False, False], [True, False], [False, True], [True, True]])
def test_states_and_attention_are_those_of_the_layers_in_the_grafted_model(
    tmp_path: Path, draws: list[bool]
) -> None:
    _, loaded = prepared_stage(tmp_path)
    original, student = loaded.model, copy.deepcopy(loaded.model)
    with torch.no_grad():
        for parameter in encoder_layers(student).parameters():
            parameter.mul_(0.5)
    mixed = copy.deepcopy(original)
    for number, drawn in enumerate(draws):
        source = student if drawn else original
        weights = encoder_layers(source)[number].state_dict()
        encoder_layers(mixed)[number].load_state_dict(weights)
    grafting = Replacing(original, lambda step, total: 0.5, profile(), NEEDS)
    grafting.attach(student)
    for model in (original, student, mixed):
        without_dropout(model.train(True))
    grafting.draws = draws
    ids = torch.randint(5, 60, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, 6:] = 0
    recorders: list[Recorder] = []
    for model in (student, mixed):
        with prepared(model, NEEDS) as recorder, recorder.recording():
            model(input_ids=ids, attention_mask=mask)
        recorders.append(recorder)
    grafted, expected = recorders
    assert len(grafted.hidden_states) == 3
    assert len(grafted.attention) == 2
    for own, theirs in zip(grafted.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(own, theirs)
    for one, other in zip(grafted.attention, expected.attention, strict=True):
        assert one.probabilities is not None
        assert other.probabilities is not None
        torch.testing.assert_close(one.probabilities, other.probabilities)


def profile() -> FlopProfile:
    return FlopProfile(square=3.0, linear=1000.0, fixed=5.0, method="test", head=7.0)


@given(density=st.floats(0, 1), draws=st.tuples(st.booleans(), st.booleans()))
@settings(max_examples=60, deadline=None)
def test_zeros_save_operations_in_the_layers_of_the_pruned_model_alone(
    density: float, draws: tuple[bool, bool]
) -> None:
    grafting = Replacing.__new__(Replacing)
    grafting._profile, grafting._inputs, grafting.draws = profile(), 120, list(draws)
    grafting._layers = [torch.nn.Identity()] * 2
    grafting.predecessor = torch.nn.Module()  # type: ignore[assignment]
    grafting.predecessor.layer = torch.nn.ModuleList([torch.nn.Identity()] * 2)
    grafting.predecessor.config = type("Config", (), {"num_hidden_layers": 2})()
    rows, width = 4, 10
    extra = grafting.extra_effective_flops(rows, width, density)
    total = rows * profile().training(width, density) + extra
    mixing, matrices = 3.0 * width**2 / 2, 1000.0 * width / 2
    by_hand = 2 * (5.0 + 7.0 * width)
    learns = False
    for drawn in draws:
        if drawn:
            by_hand += 3 * (matrices * density + mixing)
            by_hand -= 0 if learns else 2 * width * 120 * density
            learns = True
        else:
            by_hand += 2 * matrices + 3 * mixing if learns else matrices + mixing
    assert total == pytest.approx(rows * by_hand, rel=1e-9)


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = data_set(tmp_path_factory.mktemp("spd"), train=64, dev=16, test=8)
    train = {**TRAIN, "evaluate": False}
    return root, carry_out(root, recipe(train, SPD, model={"config": SMALL}))


def tensors(root: Path, stage: str) -> dict[str, torch.Tensor]:
    return load_file(root / "work" / stage / "model" / "model.safetensors")


def test_every_matrix_is_pruned_and_only_layers_learn(pruned: Any) -> None:
    root, reporter = pruned
    before, after = tensors(root, "stage-00"), tensors(root, "stage-01")
    for name, weight in after.items():
        if ".layer." not in name:
            torch.testing.assert_close(weight, before[name], rtol=0, atol=0)
        elif weight.dim() == 2:
            assert float((weight == 0).double().mean()) == pytest.approx(0.8, abs=1e-3), name
    losses = {e["name"] for e in reporter.of("metric") if e["name"].startswith("loss_")}
    assert losses == {"loss_hidden", "loss_attention", "loss_prediction"}


def test_the_gap_between_training_and_validation_split_is_reported(pruned: Any) -> None:
    _, reporter = pruned
    accuracy = {
        e["split"]: e["value"]
        for e in reporter.of("metric")
        if e["name"] == "accuracy" and e["quality"]
    }
    assert set(accuracy) == {"train", "validation"}
    (gap,) = [e for e in reporter.of("metric") if e["name"] == "train_dev_gap"]
    assert gap["value"] == pytest.approx(accuracy["train"] - accuracy["validation"])


def test_only_this_method_reads_the_training_split_again_by_itself() -> None:
    described = recipe(TRAIN, SPD, model={"config": SMALL})
    steps = plan(parse_recipe(described).stages, ["train", "validation", "test"])
    splits = [step.params.splits for step in steps if step.automatic]  # type: ignore[attr-defined]
    assert splits == [["validation", "test"], ["validation", "test", "train"]]


@pytest.mark.parametrize(
    ("quality", "metric", "gap"),
    [
        ({"train": {"accuracy": 0.9}, "validation": {"accuracy": 0.75}}, "accuracy", 0.15),
        ({"train": {"perplexity": 4.0}, "validation": {"perplexity": 6.0}}, "perplexity", 2.0),
        ({"train": {"mcc": 0.5}, "validation": {}}, "mcc", None),
        ({"train": {"accuracy": 0.9}}, "accuracy", None),
    ],
)
def test_the_gap_is_above_zero_where_training_data_fits_better(
    quality: dict[str, dict[str, float]], metric: str, gap: float | None
) -> None:
    assert train_dev_gap(quality, metric) == (gap if gap is None else pytest.approx(gap))


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"sparsity": 1.0}, "sparsity", "less than 1"),
        ({"updates": 1, "final_update": False}, "final_update", "nothing is pruned"),
        ({"ramp_end": 1.0, "graft_slope": 0.1}, "graft_slope", "steps after the ramp"),
        ({"ramp_end": 1.0, "graft_base": 0.1}, "graft_base", "steps after the ramp"),
        ({"graft_rate": 0.0}, "graft_rate", "greater than 0"),
        ({"alpha": 0.5}, "alpha", "not a known field"),
    ],
)
def test_what_does_not_fit_is_rejected(changes: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(TRAIN, {**SPD, **changes}, model={"config": SMALL}))
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message
