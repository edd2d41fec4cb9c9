"""Masks and schedules of pruning, against values of the authors' code and by their rules."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune as torch_prune
from transformers.pytorch_utils import Conv1D

from workers.methods.magnitude import magnitudes
from workers.methods.random_scores import random_scores
from workers.methods.spd import masks_at
from workers.training.plugin import Step
from workers.training.pruning.masker import KeepZeros, RampedMasker
from workers.training.pruning.masks import (
    Masks,
    Structure,
    apply_masks,
    block_norms,
    choose,
    keep_best,
    kept_rounded_down,
    masks_of,
    percentile_count,
    pruned_count,
    spread_blocks,
    two_four_mask,
)
from workers.training.pruning.schedule import Ramp, cubic, round_sparsities

GOLDEN = Path(__file__).parents[1] / "data" / "golden"


def golden(name: str) -> dict[str, Any]:
    cases: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())["cases"]
    return cases


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


MAGNITUDE = golden("magnitude_masks")
BLOCKS = golden("block_masks")
CUBIC = golden("cubic_schedule")


def test_every_case_is_computed() -> None:
    ranked = {name for name in MAGNITUDE if name.startswith(("distinct", "ties"))}
    assert {"inputs", "bert_tickets_imp", *ranked} == set(MAGNITUDE)
    assert all(any(key.startswith("ratio_") for key in case) for case in BLOCKS.values())
    ramps = {name for name in CUBIC if name.startswith(("movement", "spd")) or is_plain(name)}
    assert ramps == set(CUBIC)


def is_plain(name: str) -> bool:
    """Whether a case is the ramp of Zhu and Gupta."""
    return "begin_step" in CUBIC[name]


# ---- masks ----


@pytest.mark.parametrize("name", [n for n in MAGNITUDE if n.startswith(("distinct", "ties"))])
def test_magnitude_masks_are_those_of_the_authors(name: str) -> None:
    case = MAGNITUDE[name]
    tied = name.startswith("ties")
    inputs = {key: tensor(MAGNITUDE["inputs"][("tie" if tied else "") + key]).abs() for key in "AB"}
    masks = masks_of(inputs, case["amount"], "global")
    kept = sum(int(mask.sum()) for mask in masks.values())
    assert kept == case["torch_global"]["kept"]
    assert (
        pruned_count(sum(i.numel() for i in inputs.values()), case["amount"])
        == (case["n_pruned_torch"])
    )
    if not case.get("tie_at_boundary", tied):
        assert {k: m.int().tolist() for k, m in masks.items()} == {
            key: case["torch_global"][key] for key in "AB"
        }
    each = masks_of(inputs, case["amount"], "per_matrix", pruned=kept_rounded_down)
    for key, mask in each.items():
        assert int(mask.sum()) == case["per_matrix"][key]["magnitude_kept"]
        if not tied:
            assert mask.int().tolist() == case["per_matrix"][key]["magnitude_binarizer"]


@pytest.mark.parametrize("name", [n for n in MAGNITUDE if n.startswith("distinct")])
def test_other_programs_keep_the_same_ranking_in_numbers_of_their_own(name: str) -> None:
    case = MAGNITUDE[name]
    inputs = {key: tensor(MAGNITUDE["inputs"][key]).abs() for key in "AB"}
    theirs = case["open_lth_global"]  # it prunes the first value that it was to keep, too
    order = torch.cat([one.flatten() for one in inputs.values()]).sort().values
    assert theirs["kept"] == int((order > order[theirs["n_requested_to_prune"]]).sum())
    kept = dict(zip(inputs, keep_best(list(inputs.values()), theirs["kept"]), strict=True))
    assert {k: m.int().tolist() for k, m in kept.items()} == {k: theirs[k] for k in "AB"}
    for key, programs in case["per_matrix"].items():
        for program in ("bert_prune", "spd_ge_threshold"):
            mask = tensor(programs[program])
            (own,) = keep_best([inputs[key]], int(mask.sum()))
            assert own.int().tolist() == mask.int().tolist(), program


def made_up(case: dict[str, Any]) -> torch.Tensor:
    """The matrix of a case, from the recipe that it states."""
    seed = int(case["recipe"].split("default_rng(")[1].split(")")[0])
    rows, columns = case["shape"]
    draws = np.random.default_rng(seed)
    values = draws.normal(0, 1, [rows, columns])
    scale = draws.uniform(0.5, 1.5, [math.ceil(rows / 16), math.ceil(columns / 16)])
    whole = np.round(values * np.kron(scale, np.ones((16, 16)))[:rows, :columns], 3)
    assert whole.sum() == pytest.approx(case["sum"])
    return torch.from_numpy(whole)


@pytest.mark.parametrize(
    ("name", "ratio"),
    [(name, key) for name, case in BLOCKS.items() for key in case if key.startswith("ratio_")],
)
def test_block_masks_are_those_of_the_authors(name: str, ratio: str) -> None:
    case = BLOCKS[name]
    weight, expected = made_up(case), case[ratio]
    norms = block_norms(weight)
    torch.testing.assert_close(norms, tensor(expected["block_l2_norm"]), rtol=1e-9, atol=0)
    share = float(ratio.removeprefix("ratio_"))
    masks = masks_of({"w": weight}, share, "per_matrix", "16x16", percentile_count)
    spread = spread_blocks(
        tensor(expected["block_mask"]).bool(), (weight.shape[0], weight.shape[1])
    )
    assert torch.equal(masks["w"], spread)
    assert 1 - float(masks["w"].double().mean()) == pytest.approx(expected["element_sparsity"])
    assert sum(map(sum, expected["block_mask"])) == expected["kept_blocks"]


@given(
    scores=st.lists(
        st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.5, 2.0, 7.0]), min_size=1, max_size=9),
        min_size=1,
        max_size=4,
    ),
    share=st.floats(0, 1),
)
@settings(max_examples=100, deadline=None)
def test_the_best_entries_are_kept_exactly_and_the_first_of_equals(
    scores: list[list[float]], share: float
) -> None:
    tensors = [torch.tensor(each) for each in scores]
    flat = [value for each in scores for value in each]
    kept = round(share * len(flat))
    masks = keep_best(tensors, kept)
    order = sorted(range(len(flat)), key=lambda place: (-flat[place], place))[:kept]
    assert torch.cat(masks).nonzero().flatten().tolist() == sorted(order)
    assert [mask.shape for mask in masks] == [each.shape for each in tensors]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.5, 0.9, 0.999])
def test_masks_of_magnitude_are_those_of_torch_as_before(share: float) -> None:
    """Jobs of earlier versions, which pruned with torch.nn.utils.prune, keep their weights."""
    made, before = matrices(3), matrices(3)
    places = [(matrix, "weight") for matrix in before.values()]
    torch_prune.global_unstructured(places, pruning_method=torch_prune.L1Unstructured, amount=share)
    masks = choose(made, magnitudes, share, "global")
    assert all(torch.equal(masks[n], before[n].get_buffer("weight_mask").bool()) for n in made)
    each = matrices(3)
    for matrix in each.values():
        torch_prune.l1_unstructured(matrix, "weight", share)  # type: ignore[no-untyped-call]
    masks = choose(made, magnitudes, share, "per_matrix")
    assert all(torch.equal(masks[n], each[n].get_buffer("weight_mask").bool()) for n in made)


def test_infinite_scores_have_an_order() -> None:
    scores = torch.tensor([math.inf, -math.inf, 0.0, math.inf])
    assert keep_best([scores], 2)[0].tolist() == [True, False, False, True]


def test_scores_that_are_not_numbers_and_impossible_counts_are_rejected() -> None:
    with pytest.raises(ValueError, match="nan"):
        keep_best([torch.tensor([1.0, math.nan])], 1)
    with pytest.raises(ValueError, match="from 0 to 2"):
        keep_best([torch.ones(2)], 3)


@given(
    rows=st.integers(1, 5),
    fours=st.integers(1, 4),
    seed=st.integers(0, 99),
    levels=st.integers(1, 6),
)
@settings(max_examples=60, deadline=None)
def test_two_of_every_four_columns_stay_and_they_are_the_best(
    rows: int, fours: int, seed: int, levels: int
) -> None:
    draws = torch.Generator().manual_seed(seed)
    score = torch.randint(0, levels, (rows, 4 * fours), generator=draws).float()
    mask = two_four_mask(score)
    for values, kept in zip(score.view(-1, 4).tolist(), mask.view(-1, 4).tolist(), strict=True):
        best = sorted(range(4), key=lambda place: (-values[place], place))[:2]
        assert [place for place in range(4) if kept[place]] == sorted(best)


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 6, 7, 10])
def test_two_of_four_needs_a_multiple_of_four_columns(columns: int) -> None:
    with pytest.raises(ValueError, match="multiple of 4 columns"):
        two_four_mask(torch.ones(2, columns))


@given(count=st.integers(1, 60), ratio=st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_the_percentile_of_blocks_is_that_of_numpy(count: int, ratio: float) -> None:
    values = np.arange(count) + 1.0
    above = int((values > np.percentile(values, ratio * 100)).sum())
    # A percentile a rounding error away from a value may fall on either side.
    if abs(ratio * (count - 1) - round(ratio * (count - 1))) > 1e-6:
        assert count - percentile_count(count, ratio) == above


def test_matrices_held_transposed_are_pruned_by_their_own_columns() -> None:
    torch.manual_seed(0)
    linear, turned = nn.Linear(8, 6, bias=False), Conv1D(6, 8)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        turned.weight.copy_(linear.weight.t())
    structures: tuple[Structure, ...] = ("2:4", "16x16", "unstructured")
    for structure in structures:
        one = choose({"m": linear}, magnitudes, 0.5, "global", structure)
        other = choose({"m": turned}, magnitudes, 0.5, "global", structure)
        assert torch.equal(one["m"], other["m"].t())


# ---- scores ----


def matrices(seed: int = 0) -> dict[str, nn.Linear]:
    torch.manual_seed(seed)
    return {"a": nn.Linear(20, 10), "b": nn.Linear(8, 30)}


def test_random_masks_are_nested_seeded_and_independent_of_the_weights() -> None:
    made, other = matrices(0), matrices(1)
    score = random_scores(made, 3)
    assert all(torch.equal(score[k], random_scores(other, 3)[k]) for k in score)
    assert not torch.equal(score["a"], random_scores(made, 4)["a"])
    smaller = masks_of(score, 0.3, "global")
    larger = masks_of(score, 0.6, "global")
    assert all(bool((larger[k] <= smaller[k]).all()) for k in score)


def test_random_pruning_prunes_zeros_first() -> None:
    made = matrices()
    with torch.no_grad():
        made["a"].weight[:5] = 0
    masks = masks_of(random_scores(made, 0), 100 / 440, "global")
    assert torch.equal(masks["a"], made["a"].weight != 0)
    assert bool(masks["b"].all())


# ---- schedules ----


@pytest.mark.parametrize("name", [name for name in CUBIC if name.startswith("movement")])
def test_the_cubic_ramp_is_that_of_movement_pruning(name: str) -> None:
    case = CUBIC[name]
    total, unit = case["total_step"], case["warmup_steps"]
    begin, end = case["initial_warmup"] * unit, total - case["final_warmup"] * unit
    final = case["final_threshold"]
    values = [cubic(t, begin, end, case["initial_threshold"], final) for t in range(total + 1)]
    assert values == pytest.approx(case["threshold_keep_fraction"], rel=1e-9, abs=1e-12)
    if case["regu_lambda"] is not None:
        weights = [case["final_lambda"] * value / final for value in values]
        assert weights == pytest.approx(case["regu_lambda"], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", [name for name in CUBIC if name.startswith("spd")])
def test_masks_along_the_ramp_are_those_of_sparse_progressive_distillation(name: str) -> None:
    """Their code prunes before the last step alone, and rounds the kept entries down.

    It counts whole intervals: where they do not fill the steps, the last update is one of them.
    """
    case = CUBIC[name]
    total, pruning = len(case["nonzero_after_step"]), case["steps_per_epoch"] * case["prune_epochs"]
    every, intervals = case["freq"], pruning // case["freq"]
    end, is_last = every * intervals, pruning % every != 0
    ramp = Ramp(case["target"], end=(end + 0.5) / total, every=every, last=is_last)
    if not is_last:  # what the stage does: updates, spread over the steps
        spread = Ramp(case["target"], end=pruning / total, updates=intervals, last=False)
        steps = range(1, total + 1)
        assert [spread.due(s, total) for s in steps] == [ramp.due(s, total) for s in steps]
    matrix = torch.nn.Linear(1, 1, bias=False)
    matrix.weight = torch.nn.Parameter(tensor(case["weight"]))
    mask, counts, updates = torch.ones_like(matrix.weight, dtype=torch.bool), [], 0
    for step in range(1, total + 1):
        if ramp.due(step, total):
            share = ramp.sparsity(step, total)
            mask = masks_at({"w": matrix}, share)["w"]
            apply_masks({"w": matrix}, {"w": mask})
            updates += 1
        counts.append(int(mask.sum()))
    assert (counts, updates) == (case["nonzero_after_step"], case["number_of_updates"])
    assert mask.int().tolist() == case["final_mask"]


@pytest.mark.parametrize("name", [name for name in CUBIC if is_plain(name)])
def test_the_cubic_ramp_is_that_of_zhu_and_gupta(name: str) -> None:
    case = CUBIC[name]
    ends = case["begin_step"], case["end_step"]
    values = [
        cubic(step, *ends, case["initial_sparsity"], case["target_sparsity"])
        for step in case["steps"]
    ]
    assert values == pytest.approx(case["sparsity"], rel=1e-9, abs=1e-12)


def test_the_ladder_of_rounds_is_that_of_the_tickets() -> None:
    case = MAGNITUDE["bert_tickets_imp"]
    shares = round_sparsities(0.9, 9)
    assert shares == pytest.approx(case["sparsity_after_round"])
    before = [0.0, *shares[:-1]]
    # A share of the survivors in each round is a tenth of the original weights.
    amounts = [(now - then) / (1 - then) for now, then in zip(shares, before, strict=True)]
    assert amounts == pytest.approx(case["amount_per_round"])


@given(
    total=st.integers(1, 300),
    begin=st.floats(0, 0.5),
    length=st.floats(0.01, 0.5),
    every=st.integers(1, 40),
    final=st.floats(0.01, 0.99),
)
@settings(max_examples=150, deadline=None)
def test_a_ramp_rises_and_reaches_its_end_in_every_training(
    total: int, begin: float, length: float, every: int, final: float
) -> None:
    ramp = Ramp(final, begin, begin + length, every)
    due = [step for step in range(1, total + 1) if ramp.due(step, total)]
    shares = [ramp.sparsity(step, total) for step in due]
    assert shares == sorted(shares)
    assert shares[-1] == final


# ---- maskers ----


class Encoder(nn.Module):
    """One matrix in a layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        inside = nn.Module()
        inside.dense = nn.Linear(6, 4, bias=False)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList([inside])

    @property
    def weight(self) -> nn.Parameter:
        weight = self.get_parameter("encoder.layer.0.dense.weight")
        assert isinstance(weight, nn.Parameter)
        return weight


def over_all(made: Any, sparsity: float) -> Masks:
    return choose(made, magnitudes, sparsity, "global")


def trained(model: Encoder, masker: KeepZeros | RampedMasker, steps: range, total: int) -> Any:
    optimizer = torch.optim.AdamW([model.weight], lr=0.01)
    for done in steps:
        masker.before_step(Step(done, total, 0.0, optimizer))
        loss = model.weight.square().sum() + model.weight.sum()
        model.weight.grad = torch.autograd.grad(loss, model.weight)[0]
        optimizer.step()
        optimizer.zero_grad()
        masker.after_step(Step(done + 1, total, 0.0, optimizer))
    return optimizer.state[model.weight]


def test_masks_hold_weights_and_moments_at_zero() -> None:
    model = Encoder()
    with torch.no_grad():
        model.weight[:, ::2] = 0
    masker = KeepZeros()
    masker.attach(model)
    state = trained(model, masker, range(5), 5)
    for tensor_ in (model.weight, state["exp_avg"], state["exp_avg_sq"]):
        assert not tensor_[:, ::2].any()
        assert tensor_[:, 1::2].all()
    assert masker.density() == 0.5


def test_masked_gradients_give_the_numbers_of_masked_weights_and_moments() -> None:
    """Gradients are masked after clipping, so that the others are clipped as before."""
    models, states = (Encoder(), Encoder()), []
    masker = RampedMasker(over_all, Ramp(0.75, 0.0, 0.8, 2))
    masker.attach(models[0])
    for model in models:
        optimizer = torch.optim.AdamW([model.weight], lr=0.01, weight_decay=0.1)
        plain = RampedMasker(over_all, Ramp(0.75, 0.0, 0.8, 2))
        plain.attach(model)
        for done in range(10):
            if model is models[0]:
                masker.before_step(Step(done, 10, 0.0, optimizer))
            (model.weight.square().sum() + model.weight.sum()).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_([model.weight], 0.5)
            optimizer.step()
            optimizer.zero_grad()
            if model is models[0]:
                masker.after_step(Step(done + 1, 10, 0.0, optimizer))
                continue
            if plain._ramp.due(done + 1, 10):
                plain.hold(over_all(plain.matrices, plain._ramp.sparsity(done + 1, 10)))
            plain._apply(optimizer)
        states.append(optimizer.state[model.weight])
    assert torch.equal(models[0].weight, models[1].weight)
    for moment in ("exp_avg", "exp_avg_sq"):
        assert torch.equal(states[0][moment], states[1][moment])
    assert int(torch.count_nonzero(models[0].weight)) == 6
    masker.detach(models[0])
    models[0].weight.grad = torch.ones_like(models[0].weight)
    torch.optim.SGD([models[0].weight], lr=1.0).step()
    assert int(torch.count_nonzero(models[0].weight)) == 24


def test_a_ramp_prunes_exactly_and_its_density_follows() -> None:
    model, counts, densities = Encoder(), [], []
    masker = RampedMasker(over_all, Ramp(0.75, 0.0, 0.8, 2))
    masker.attach(model)
    for done in range(10):
        trained(model, masker, range(done, done + 1), 10)
        counts.append(int(torch.count_nonzero(model.weight)))
        densities.append(masker.density())
    shares = [0.75 * (1 - (1 - t / 8) ** 3) for t in (2, 4, 6, 8)]
    expected = [24 - round(24 * share) for share in shares]
    assert counts == [24, *(e for e in expected[:-1] for _ in range(2)), *[expected[-1]] * 3]
    assert densities == [count / 24 for count in counts]


def test_a_resumed_training_has_the_bits_of_a_whole_one() -> None:
    """The signs of its zeros, too: files of weights are compared by their hashes."""
    models = Encoder(), Encoder()
    for model in models:
        masker = RampedMasker(over_all, Ramp(0.75, 0.0, 0.3))
        masker.attach(model)
        optimizer = torch.optim.AdamW([model.weight], lr=0.01, weight_decay=0.1)
        for done in range(8):
            if model is models[1] and done == 5:
                state, kept = optimizer.state_dict(), masker.state()
                masker.detach(model)
                masker = RampedMasker(over_all, Ramp(0.75, 0.0, 0.3))
                masker.attach(model)
                masker.restore(kept)
                optimizer = torch.optim.AdamW([model.weight])
                optimizer.load_state_dict(state)
            masker.before_step(Step(done, 8, 0.0, optimizer))
            target = torch.sin(torch.arange(24.0) * (done + 1)).view_as(model.weight)
            model.weight.grad = model.weight.detach() - target
            optimizer.step()
            masker.after_step(Step(done + 1, 8, 0.0, optimizer))
    assert torch.equal(models[0].weight, models[1].weight)
    assert torch.equal(models[0].weight.signbit(), models[1].weight.signbit())


def test_a_ramped_masker_continues_from_its_checkpoint() -> None:
    whole, part = Encoder(), Encoder()
    ramp = Ramp(0.75, 0.0, 0.8, 2)
    one, other, later = (RampedMasker(over_all, ramp) for _ in range(3))
    one.attach(whole)
    other.attach(part)
    for done in range(5):
        trained(whole, one, range(done, done + 1), 10)
        trained(part, other, range(done, done + 1), 10)
    later.attach(part)
    later.restore(other.state())
    for done in range(5, 10):
        trained(whole, one, range(done, done + 1), 10)
        trained(part, later, range(done, done + 1), 10)
    assert torch.equal(whole.weight, part.weight)
    assert later.density() == one.density() == 0.25
