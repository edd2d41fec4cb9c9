"""MiniLM's distillation, against the values of published code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from pricetag.recipes.methods.distill_minilm import DistillMinilm
from tests.support.sockets import PROFILE, fitted, prepared
from tests.support.sockets import teacher as frozen
from tests.support.texts import text_files, text_recipe
from tests.support.training import CONFIG, TRAIN, carry_out, recipe
from workers.methods.minilm import IdleEnd, Relation, relation_loss, relations, split_heads

FOLDER = Path(__file__).parents[1] / "data/golden"
CASES = json.loads((FOLDER / "minilm.json").read_text())["cases"]
INPUTS = CASES["inputs"]
RELATIONS = {name: case for name, case in CASES.items() if name.endswith("_kl")}
MASK = torch.tensor(INPUTS["attention_mask"])
MINILM = {
    **TRAIN,
    "kind": "distill",
    "method": "minilm",
    "student": {"layers": 2, "hidden_size": 16, "intermediate_size": 24},
}


def states(name: str) -> torch.Tensor:
    return torch.tensor(INPUTS[name], dtype=torch.float64)


def headed(*tensors: torch.Tensor) -> Any:
    return tuple(split_heads(tensor, INPUTS["heads"]) for tensor in tensors)


def test_every_case_is_computed() -> None:
    assert {"inputs", *RELATIONS, "minilm_v1_total"} == set(CASES)


@pytest.mark.parametrize("name", RELATIONS)
def test_the_loss_of_a_relation_and_its_gradients_are_those_of_the_code(name: str) -> None:
    """A relation of two kinds of states, or of one kind with itself."""
    expected = RELATIONS[name]
    gradients = {key: value for key, value in expected.items() if key.startswith("grad_student_")}
    kinds = [key.removeprefix("grad_student_") for key in gradients]
    own = [states(f"s{kind}").requires_grad_() for kind in kinds]
    theirs = [states(f"t{kind}") for kind in kinds]
    pairs = (own * 2)[:2], (theirs * 2)[:2]
    loss = relation_loss(headed(*pairs[0]), headed(*pairs[1]), MASK)
    assert loss.item() == pytest.approx(expected["loss"], rel=1e-12)
    for slope, wanted in zip(torch.autograd.grad(loss, own), gradients.values(), strict=True):
        wanted = torch.tensor(wanted, dtype=torch.float64)
        torch.testing.assert_close(slope, wanted, rtol=1e-9, atol=1e-14)


def test_the_whole_loss_is_that_of_the_code() -> None:
    pairs = [(("sq", "sk"), ("tq", "tk")), (("sv", "sv"), ("tv", "tv"))]
    total = sum(
        float(relation_loss(headed(*map(states, own)), headed(*map(states, theirs)), MASK))
        for own, theirs in pairs
    )
    assert total == pytest.approx(CASES["minilm_v1_total"]["loss"], rel=1e-12)


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 999),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    heads=st.sampled_from([1, 2, 4]),
)
def test_padding_changes_nothing_and_equal_relations_cost_nothing(
    seed: int, lengths: list[int], heads: int
) -> None:
    torch.manual_seed(seed)
    width = max(lengths) + 2
    own, theirs = torch.randn(2, len(lengths), width, 8, dtype=torch.float64)
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    pair = split_heads(own, heads), split_heads(own, heads)
    other = split_heads(theirs, heads), split_heads(theirs, heads)
    whole = relation_loss(pair, other, mask)
    alone = [
        relation_loss(
            (split_heads(own[row : row + 1, :length], heads),) * 2,
            (split_heads(theirs[row : row + 1, :length], heads),) * 2,
            torch.ones(1, length),
        )
        for row, length in enumerate(lengths)
    ]
    torch.testing.assert_close(whole, torch.stack(alone).mean())
    assert whole >= 0
    assert float(relation_loss(pair, pair, mask)) == pytest.approx(0, abs=1e-12)


def test_v2_splits_states_of_any_width_into_relation_heads(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    _, other = prepared(tmp_path)
    params = DistillMinilm(method="minilm", version="v2")
    terms = relations(params, frozen(other))
    assert [(term.name, term.weight) for term in terms] == [
        ("query_query", 1 / 3), ("key_key", 1 / 3), ("value_value", 1 / 3),
    ]  # fmt: skip
    fitted(stage, loaded, losses=terms, plugins=[IdleEnd()])
    # Equal models have equal relations, whatever the number of heads, but for dropout.
    last = stage.reporter.of("metric", name="loss_key_key")  # type: ignore[attr-defined]
    assert 0 <= last[0]["value"] < 0.01


def test_what_follows_the_last_relations_is_not_trained_or_counted(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    _, other = prepared(tmp_path)
    names = [name for name, _ in loaded.model.named_parameters()]
    before = {name: loaded.model.get_parameter(name).detach().clone() for name in names}
    term, idle = Relation(frozen(other), ("value", "value")), IdleEnd()
    with torch.no_grad():
        other.model.get_parameter("bert.encoder.layer.1.attention.self.value.weight").add_(0.1)
    fitted(stage, loaded, steps=1, losses=[term], plugins=[idle])
    changed = {
        name for name in names if not torch.equal(before[name], loaded.model.get_parameter(name))
    }
    last = "bert.encoder.layer.1."
    assert {name for name in changed if name.startswith(last)} <= {
        f"{last}attention.self.{part}.{kind}"
        for part in ("query", "key", "value")
        for kind in ("weight", "bias")
    }
    assert not any(name.startswith(("classifier", "bert.pooler")) for name in changed)
    assert all(parameter.requires_grad for parameter in loaded.model.parameters())
    count = stage.reporter.of("flops")[-1]  # type: ignore[attr-defined]
    per_text = {
        3 * 2 * (2 * width * (4 * 16 * 16 + 2 * 16 * 24) + 4 * width**2 * 16)  # forward, backward
        - 2 * (2 * width * (16 * 16 + 2 * 16 * 24) + 4 * width**2 * 16)  # of the idle end
        + PROFILE.linear * width  # the teacher
        + 2 * width**2 * 4 * 16  # the relations
        for width in range(4, 49)
    }
    assert count["dense"] in {8 * each for each in per_text}


def test_a_teacher_assistant_is_a_stage_between(tmp_path: Path) -> None:
    text_files(tmp_path)
    assistant = {**MINILM, "student": {"layers": 4, "hidden_size": 16}, "evaluate": False}
    student = {**assistant, "version": "v2", "student": {"layers": 1}}
    config = {**CONFIG, "hidden_size": 32}
    described = text_recipe(
        "masked_lm", {**TRAIN, "evaluate": False}, assistant, student, model={"config": config}
    )
    reporter = carry_out(tmp_path, described)
    cards = [event["card"] for event in reporter.of("artifact") if event["card"] is not None]
    assert [card["facts"].get("student_layers") for card in cards] == [None, 4, 1]
    losses = reporter.of("metric", name="loss_value_value")
    assert losses[-1]["value"] is not None


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        (
            {"student": {"layers": 2, "num_attention_heads": 4}},
            "student.num_attention_heads",
            "must be the teacher's, 2 (got 4)",
        ),
        ({"relation_heads": 4}, "relation_heads", "belongs to version: v2"),
        (
            {"version": "v2", "relation_heads": 3},
            "relation_heads",
            "3 does not divide the teacher's hidden_size 32",
        ),
        (
            {"version": "v2", "relation_heads": 32},
            "relation_heads",
            "32 does not divide the student's hidden_size 16",
        ),
        ({"teacher_layer": 4}, "teacher_layer", "the teacher has layers 0 to 3, not 4"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    changes: dict[str, Any], field: str, message: str
) -> None:
    described = recipe(TRAIN, {**MINILM, **changes}, model={"config": CONFIG})
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message
