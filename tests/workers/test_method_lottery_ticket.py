"""Lottery tickets: masks, rewinding and controls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import BertConfig, BertForSequenceClassification

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from pricetag.recipes.methods.prune_lottery_ticket import PruneLotteryTicket
from tests.support.halves import assert_same_weights, in_halves
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.job.request import JobError
from workers.methods.lottery_ticket import (
    Select,
    random_weights,
    shuffled_elements,
    shuffled_layers,
    subnetwork,
    with_pooler,
)
from workers.training import fit as fit_module
from workers.training.pruning import tickets

SMALL = {**CONFIG, "num_hidden_layers": 2, "intermediate_size": 32}
TICKET = {
    **{**TRAIN, "kind": "prune", "method": "lottery_ticket", "sparsity": 0.5, "rounds": 2},
    **{"max_steps": 4, "precision": "fp32", "evaluate": False},
}
SELECTS: tuple[Select, ...] = ("good", "random", "bad")
Tensors = dict[str, torch.Tensor]


def carried_out(root: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> list[Tensors]:
    """The weights before each training of a stage, and those of its model."""
    seen: list[Tensors] = []
    fit = fit_module.fit

    def watched(context: Any, loaded: Any, *args: Any, **options: Any) -> Any:
        seen.append({n: t.clone() for n, t in loaded.model.state_dict().items()})
        return fit(context, loaded, *args, **options)

    monkeypatch.setattr(tickets, "fit", watched)
    data_set(root)
    carry_out(root, recipe({**TICKET, **changes}, model={"config": SMALL}))
    return [*seen, load_file(root / "work" / "stage-00" / "model" / "model.safetensors")]


def is_pruned(name: str) -> bool:
    inside = ".layer." in name or "pooler.dense" in name
    return inside and name.endswith("weight") and "LayerNorm" not in name


def share(tensors: Tensors) -> float:
    values = torch.cat([t.flatten() for n, t in tensors.items() if is_pruned(n)])
    return float((values == 0).double().mean())


@pytest.mark.parametrize("rewind_head", [True, False])
def test_a_round_prunes_the_trained_weights_and_rewinds_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rewind_head: bool
) -> None:
    first, second, third, ticket = carried_out(tmp_path, monkeypatch, rewind_head=rewind_head)
    shares = [share(tensors) for tensors in (first, second, third, ticket)]
    assert shares == pytest.approx([0, 0.25, 0.5, 0.5], abs=1e-3)
    for later in (second, third):
        for name, tensor in later.items():
            if is_pruned(name):
                assert ((tensor == first[name]) | (tensor == 0)).all(), name
            elif name.startswith("bert."):
                assert torch.equal(tensor, first[name]), name
    assert torch.equal(second["classifier.weight"], first["classifier.weight"]) == rewind_head
    for name in filter(is_pruned, third):
        assert not third[name][second[name] == 0].any()  # masks are nested
        assert not ticket[name][third[name] == 0].any()


def test_rewinding_to_a_share_goes_back_to_the_weights_of_that_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *_ = carried_out(tmp_path, monkeypatch, rewind_to=0.5)
    early = load_file(tmp_path / "work" / "stage-00" / "rewind.safetensors")
    assert not torch.equal(
        early["bert.embeddings.LayerNorm.bias"], first["bert.embeddings.LayerNorm.bias"]
    )
    for name in filter(is_pruned, second):
        assert ((second[name] == early[name]) | (second[name] == 0)).all()


def test_standard_pruning_does_not_rewind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, *_, ticket = carried_out(tmp_path, monkeypatch, rewind_to="standard")
    assert not (tmp_path / "work" / "stage-00" / "rewind.safetensors").exists()
    name = "bert.encoder.layer.0.output.dense.weight"
    kept = second[name] != 0
    assert not torch.equal(second[name][kept], first[name][kept])
    assert share(ticket) == pytest.approx(0.5, abs=1e-3)


def test_the_largest_trained_weights_of_all_matrices_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second, *_ = carried_out(tmp_path, monkeypatch, rewind_to="standard", rounds=1)
    sizes = {n: t.abs() for n, t in second.items() if is_pruned(n)}
    kept = [t[t > 0] for t in sizes.values()]
    shares = {round(float((t == 0).double().mean()), 3) for t in sizes.values()}
    assert len(shares) > 1  # one ranking of all
    assert float(torch.cat(kept).min()) > 0


@pytest.mark.parametrize("control", ["random_weights", "shuffled_layers", "shuffled_elements"])
def test_a_control_has_the_tickets_mask_and_other_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, control: str
) -> None:
    *_, ticket, _ = carried_out(tmp_path / "ticket", monkeypatch)
    first, _, start, _ = carried_out(tmp_path / "control", monkeypatch, control=control)
    for name in filter(is_pruned, ticket):
        mask = ticket[name] != 0
        assert torch.equal(start[name] != 0, mask), name
    name = "bert.encoder.layer.0.intermediate.dense.weight"
    kept = start[name][start[name] != 0]
    initial = set(first[name].flatten().tolist())
    other = set(first[name.replace("layer.0", "layer.1")].flatten().tolist())
    values = set(kept.tolist())
    assert (values <= initial) == (control != "random_weights") or values <= other
    if control == "shuffled_elements":
        assert not torch.equal(kept, first[name][start[name] != 0])
    if control == "random_weights":
        assert not values & (initial | other)
    assert torch.equal(start["classifier.weight"], first["classifier.weight"])


def test_a_random_mask_needs_one_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, ticket = carried_out(tmp_path, monkeypatch, control="random_mask", rounds=None)
    assert share(start) == share(ticket) == pytest.approx(0.5, abs=1e-3)


@given(
    seed=st.integers(0, 99),
    kept=st.lists(st.integers(0, 12), min_size=2, max_size=2),
)
@settings(max_examples=30, deadline=None)
def test_bad_subnetworks_have_the_tickets_size_and_what_it_pruned_first(
    seed: int, kept: list[int]
) -> None:
    ticket = {}
    for name, count in zip("ab", kept, strict=True):
        order = torch.randperm(12, generator=torch.Generator().manual_seed(seed + count))
        ticket[name] = (order < count).view(3, 4)
    masks = {
        select: torch.cat([m.flatten() for m in subnetwork(ticket, select, seed).values()])
        for select in SELECTS
    }
    sizes = {select: int(mask.sum()) for select, mask in masks.items()}
    assert set(sizes.values()) == {sum(kept)}
    pruned = ~masks["good"]
    assert int((masks["bad"] & pruned).sum()) == min(sum(kept), int(pruned.sum()))
    again = torch.cat([m.flatten() for m in subnetwork(ticket, "random", seed).values()])
    assert torch.equal(masks["random"], again)


def test_a_random_subnetwork_is_drawn_from_all_weights() -> None:
    ticket = {"a": torch.arange(10_000).view(100, 100) < 4000}
    random = subnetwork(ticket, "random", 0)["a"]
    assert int(random.sum()) == 4000
    assert float(random[ticket["a"]].double().mean()) == pytest.approx(0.4, abs=0.03)
    assert not torch.equal(random, subnetwork(ticket, "random", 1)["a"])


def test_a_bad_subnetwork_is_rewound_and_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, _, good = carried_out(tmp_path / "good", monkeypatch)[:3]
    _, second, bad, model = carried_out(tmp_path / "bad", monkeypatch, select="bad")
    assert share(second) == pytest.approx(0.25, abs=1e-3)  # only the last round selects
    assert share(bad) == share(good) == pytest.approx(0.5, abs=1e-3)
    assert share(model) == share(bad)
    for name, tensor in bad.items():
        if is_pruned(name):
            assert torch.equal(tensor, torch.where(tensor != 0, start[name], 0))
    kept = torch.cat([(bad[n] != 0).flatten() for n in bad if is_pruned(n)])
    tickets_own = torch.cat([(good[n] != 0).flatten() for n in bad if is_pruned(n)])
    assert float((kept & tickets_own).double().mean()) < 1e-3


@pytest.mark.parametrize("stop_after", [3, 7])
def test_a_stage_that_is_stopped_ends_at_the_same_ticket(tmp_path: Path, stop_after: int) -> None:
    described = recipe({**TICKET, "rewind_to": 0.5}, model={"config": SMALL})
    whole, halves = data_set(tmp_path / "whole"), data_set(tmp_path / "halves")
    carry_out(whole, described)
    in_halves(halves, described, stop_after)
    assert_same_weights(whole, halves)


# ---- pure functions ----


def tiny(layers: int = 4) -> BertForSequenceClassification:
    config = BertConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=layers, num_attention_heads=2,
        vocab_size=20, max_position_embeddings=8,
    )  # fmt: skip
    return BertForSequenceClassification(config)


def test_pooler_and_layers_of_bert_base_have_the_papers_weights() -> None:
    with torch.device("meta"):
        model = BertForSequenceClassification(BertConfig())
    matrices = with_pooler(model)
    assert len(matrices) == 73
    assert sum(matrix.weight.numel() for matrix in matrices.values()) == 85_524_480


def test_shuffled_layers_are_a_permutation_that_keeps_layers_together() -> None:
    tensors = tiny().state_dict()
    shuffled = shuffled_layers(tensors, torch.Generator().manual_seed(3))
    sources = []
    for number in range(4):
        prefix = f"bert.encoder.layer.{number}."
        names = [name for name in tensors if name.startswith(prefix)]
        matches = [
            other
            for other in range(4)
            if all(
                torch.equal(shuffled[n], tensors[n.replace(prefix, f"bert.encoder.layer.{other}.")])
                for n in names
                if "dense.weight" in n
            )
        ]
        sources += matches
    assert sorted(sources) == [0, 1, 2, 3]
    assert sources != [0, 1, 2, 3]
    outside = [name for name in tensors if ".layer." not in name]
    assert all(torch.equal(shuffled[name], tensors[name]) for name in outside)


def test_shuffled_layers_are_never_the_ticket_itself() -> None:
    tensors = {f"bert.encoder.layer.{number}.w": torch.tensor([number]) for number in range(2)}
    for seed in range(20):
        shuffled = shuffled_layers(tensors, torch.Generator().manual_seed(seed))
        assert [int(value) for value in shuffled.values()] == [1, 0]
    with pytest.raises(ValueError, match="two layers or more"):
        shuffled_layers({"bert.encoder.layer.0.w": torch.zeros(1)}, torch.Generator())


@pytest.mark.parametrize(
    ("sparsity", "rounds"),
    [(0.05, 1), (0.1, 1), (0.15, 2), (0.25, 3), (0.3, 3), (0.7, 7), (0.9, 9)],
)
def test_a_round_removes_ten_points_of_the_weights_at_most(sparsity: float, rounds: int) -> None:
    params = PruneLotteryTicket(method="lottery_ticket", sparsity=sparsity)
    assert params.ticket_rounds == rounds


def test_shuffled_elements_are_a_permutation_of_each_tensor() -> None:
    tensors = {"a": torch.arange(50.0).view(5, 10), "b": torch.arange(6.0)}
    shuffled = shuffled_elements(tensors, ["a"], torch.Generator().manual_seed(0))
    assert shuffled["a"].shape == (5, 10)
    assert sorted(shuffled["a"].flatten().tolist()) == list(range(50))
    assert not torch.equal(shuffled["a"], tensors["a"])
    assert torch.equal(shuffled["b"], tensors["b"])


def test_random_weights_are_seeded_and_of_the_models_shape() -> None:
    model = tiny(2)
    state = torch.random.get_rng_state()
    one, same, other = (random_weights(model, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    name = "bert.encoder.layer.0.output.dense.weight"
    assert torch.equal(one[name], same[name])
    assert not torch.equal(one[name], other[name])
    model.set_submodule("bert.pooler.dense", torch.nn.Linear(4, 8))
    with pytest.raises(JobError, match="plain"):
        random_weights(model, 1)


# ---- rejections ----


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"rewind_to": 1.0}, "rewind_to", "beyond the training"),
        ({"rewind_to": 1.5}, "rewind_to", "beyond the training"),
        ({"rewind_to": 20.0}, "rewind_to", "beyond the training"),
        ({"rewind_to": -0.1}, "rewind_to", "from 0 to below 1"),
        ({"rewind_to": 20}, "rewind_to", "beyond the training"),
        ({"rewind_to": "late"}, "rewind_to", "must be"),
        ({"rewind_to": "standard", "control": "random_weights"}, "control", "rewind_to: 0"),
        ({"rewind_to": 0.1, "control": "random_mask", "rounds": None}, "rewind_to", "must be 0"),
        ({"control": "random_mask"}, "rounds", "remove it"),
        ({"control": "shuffled"}, "control", "random_mask"),
        ({"select": "bad", "rewind_to": "standard"}, "select", "needs rewinding"),
        ({"select": "bad", "control": "random_weights"}, "select", "mask of its own"),
        ({"keep_sparsity": False}, "keep_sparsity", "cannot be false"),
    ],
)
def test_impossible_options_are_rejected_before_anything_runs(
    changes: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe({**TICKET, **changes}, model={"config": SMALL}))
    assert caught.value.field == f"recipe.stages.0.{field}"
    assert message in caught.value.message


@pytest.mark.parametrize(("sparsity", "rounds"), [(0.5, 5), (0.7, 7), (0.04, 1), (0.9, 9)])
def test_a_round_is_ten_points_by_default(sparsity: float, rounds: int) -> None:
    stage: Any = parse_recipe(
        recipe({**TICKET, "sparsity": sparsity, "rounds": None}, model={"config": SMALL})
    ).stages[0]
    assert stage.ticket_rounds == rounds
