"""Pre-training by masked and by causal language modeling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.texts import ARCHITECTURES, SHALLOW, text_files, text_recipe
from tests.support.tiny_models import tokenizer
from tests.support.training import TRAIN, carry_out, counted_once, data_set, recipe
from workers.training.tasks.language import IGNORED
from workers.training.tasks.masked_lm import Masking, MaskingCollator

MASK, PAD, SPECIAL, VOCABULARY = 4, 0, frozenset({0, 1, 2, 3, 4}), 200
SMALL = {
    **{"max_steps": 6, "batch_size": 8, "precision": "fp32", "max_length": 32},
    **{"learning_rate": 3e-3, "evaluate": False},
}
MASKED: dict[str, Any] = {"kind": "pretrain", "method": "masked_lm", **SMALL}
CAUSAL: dict[str, Any] = {"kind": "pretrain", "method": "causal_lm", **SMALL}


def saved(root: Path, work: str = "work") -> dict[str, torch.Tensor]:
    return load_file(root / work / "stage-00" / "model" / "model.safetensors")


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0.01, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 60),
    st.integers(0, 5),
)
def test_the_shares_of_hidden_tokens_are_those_of_the_masking(
    predicted: float, masked: float, rest: float, length: int, epoch: int
) -> None:
    masking = Masking(predicted, masked, rest * (1 - masked))
    collator = MaskingCollator(PAD, MASK, SPECIAL, VOCABULARY, 1, masking=masking, epoch=epoch)
    ids = [2, *range(10, 10 + length), 3]
    batch = collator([{"input_ids": ids, "index": 7}])
    targets = batch["labels"][0]
    places = targets != IGNORED
    assert int(places.sum()) == max(1, round(predicted * length))
    assert torch.equal(targets[places], torch.tensor(ids)[places])
    assert torch.equal(batch["input_ids"][0][~places], torch.tensor(ids)[~places])
    assert not bool(places[0])
    assert not bool(places[-1])
    shown = batch["input_ids"][0][places]
    if masked == 1:
        assert bool((shown == MASK).all())
    if masked == 0:
        assert not bool((shown == MASK).any())
    if masked == 0 and masking.replaced == 0:
        assert torch.equal(shown, targets[places])


def test_shares_of_many_tokens() -> None:
    masking = Masking(0.4, 0.5, 0.3)
    collator = MaskingCollator(PAD, MASK, SPECIAL, 10**6, 0, masking=masking)
    ids = list(range(10, 20_010))
    batch = collator([{"input_ids": ids, "index": 0}])
    places = batch["labels"][0] != IGNORED
    shown, targets = batch["input_ids"][0][places], batch["labels"][0][places]
    share_masked = float((shown == MASK).double().mean())
    assert share_masked == pytest.approx(0.5, abs=0.03)
    assert float((shown == targets).double().mean()) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("stage", [MASKED, CAUSAL], ids=["masked_lm", "causal_lm"])
def test_pretraining_is_the_training_of_the_task_with_other_defaults(
    tmp_path: Path, stage: dict[str, Any]
) -> None:
    task = stage["method"]
    text_files(tmp_path)
    defaults: dict[str, Any] = {"weight_decay": 0.01, "warmup_ratio": 0.01}
    if task == "causal_lm":
        defaults["schedule"] = "cosine"
    train = {**SMALL, **defaults, "kind": "train"}
    with counted_once():
        one = carry_out(tmp_path, text_recipe(task, stage))
        other = carry_out(tmp_path, text_recipe(task, train), work_dir=tmp_path / "other")
    tensors, expected = saved(tmp_path), saved(tmp_path, "other")
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)
    counts = [reporter.of("flops")[-1]["dense"] for reporter in (one, other)]
    assert counts[0] == counts[1] > 0


def test_other_shares_give_another_model(tmp_path: Path) -> None:
    text_files(tmp_path)
    with counted_once():
        carry_out(tmp_path, text_recipe("masked_lm", MASKED))
        more = {**MASKED, "predicted": 0.4, "masked": 1.0, "replaced": 0.0}
        carry_out(tmp_path, text_recipe("masked_lm", more), work_dir=tmp_path / "more")
    first, second = saved(tmp_path), saved(tmp_path, "more")
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_a_shape_with_a_tokenizer_is_pretrained_continued_and_fine_tuned(tmp_path: Path) -> None:
    text_files(tmp_path)
    tokenizer().save_pretrained(tmp_path / "words")
    shape = {**SHALLOW, "model_type": ARCHITECTURES["masked_lm"]}
    scratch = {"config": shape, "tokenizer": "words"}
    with counted_once():
        carry_out(tmp_path, text_recipe("masked_lm", MASKED, model=scratch))
        first = saved(tmp_path)
        assert len(first["bert.embeddings.word_embeddings.weight"]) == len(tokenizer())
        (tmp_path / "work" / "stage-00" / "model").rename(tmp_path / "pretrained")
        continued = text_recipe("masked_lm", {**MASKED, "learning_rate": 1e-9}, model="pretrained")
        carry_out(tmp_path, continued, work_dir=tmp_path / "again")
        again = saved(tmp_path, "again")
        for name, tensor in first.items():
            torch.testing.assert_close(again[name], tensor, rtol=0, atol=1e-6)
        data_set(tmp_path)
        tuned = recipe({**TRAIN, "learning_rate": 1e-9, "evaluate": False}, model="pretrained")
        carry_out(tmp_path, tuned, work_dir=tmp_path / "tuned")
    for name, tensor in saved(tmp_path, "tuned").items():
        if name in first:
            torch.testing.assert_close(tensor, first[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("task", "changes", "field"),
    [
        ("masked_lm", {"masked": 0.8, "replaced": 0.3}, "recipe.stages.0.replaced"),
        ("masked_lm", {"predicted": 0}, "recipe.stages.0.predicted"),
        ("masked_lm", {"method": "causal_lm"}, "recipe.stages.0.kind"),
        ("causal_lm", {"method": "masked_lm"}, "recipe.stages.0.kind"),
        ("masked_lm", {"method": "bert"}, "recipe.stages.0.method"),
    ],
)
def test_what_does_not_fit_is_rejected(task: str, changes: dict[str, Any], field: str) -> None:
    described = text_recipe(task, {**MASKED, **changes})
    with pytest.raises(RecipeError) as rejected:
        parse_recipe(described)
    assert [error.field for error in rejected.value.errors] == [field]
