"""Sequence-level distillation: texts and classes of the teacher's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.tasks import task_files, task_recipe
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.methods.sequence import (
    OnlyWritten,
    Writing,
    batches,
    prompt_of,
    whole_text,
    write,
    writing_flops,
)
from workers.training.cost.counting import FORMULAS
from workers.training.cost.flops import profile
from workers.training.model.heads import CAUSAL_LM
from workers.training.plugin import BatchPlace

SEQUENCE = {**TRAIN, "kind": "distill", "method": "sequence", "student": {"layers": 1}}
VOCABULARY = 12


def writer() -> GPT2LMHeadModel:
    torch.manual_seed(3)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_inner=24, n_positions=48,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8)  # confident enough to write varied texts
    model.train(False)
    return model


def writing(**changes: Any) -> Writing:
    usual = {"prompt_tokens": 2, "new_tokens": 4, "beams": 1, "end": 11, "padding": 0}
    return Writing(**{**usual, **changes})


def log_probability(model: GPT2LMHeadModel, text: list[int], prompt: int) -> float:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([text])).logits[0].log_softmax(-1)
    return float(sum(logits[place - 1, text[place]] for place in range(prompt, len(text))))


def test_a_greedy_text_takes_the_best_token_each_time() -> None:
    model, prompts = writer(), torch.tensor([[1, 2], [3, 4], [5, 6]])
    written = write(model, prompts, writing(end=None))
    assert written.shape == (3, 6)
    for text in written.tolist():
        for place in range(2, 6):
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([text[:place]])).logits[0, -1]
            assert text[place] == int(logits.argmax())


def test_a_beam_as_wide_as_the_vocabulary_finds_the_best_text_of_two_tokens() -> None:
    model = writer()
    how = writing(end=None, new_tokens=2, beams=VOCABULARY)
    (text,) = write(model, torch.tensor([[1, 2]]), how).tolist()
    every = [[1, 2, a, b] for a in range(VOCABULARY) for b in range(VOCABULARY)]
    best = max(every, key=lambda one: log_probability(model, one, 2))
    assert text == best


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ([11, 2, 5, 11, 0, 0], [11, 2, 5, 11]),  # an end inside the prompt does not count
        ([1, 2, 5, 6, 7, 8], [1, 2, 5, 6, 7, 8]),
        ([1, 2, 11, 0, 0, 0], [1, 2, 11]),
    ],
)
def test_a_text_ends_with_its_end(written: list[int], kept: list[int]) -> None:
    assert whole_text(written, 2, 11) == kept
    assert whole_text(written, 2, None) == written


@given(
    lengths=st.lists(st.integers(2, 9), max_size=30),
    tokens=st.integers(1, 9),
    size=st.integers(1, 7),
)
def test_every_text_is_in_one_batch_of_equal_prompts(
    lengths: list[int], tokens: int, size: int
) -> None:
    texts = [list(range(length)) for length in lengths]
    made = list(batches(texts, tokens, size))
    assert sorted(number for rows in made for number in rows) == list(range(len(texts)))
    for rows in made:
        assert 1 <= len(rows) <= size
        prompts = [prompt_of(texts[row], tokens) for row in rows]
        assert len({len(prompt) for prompt in prompts}) == 1
        assert all(1 <= len(p) < len(texts[row]) for p, row in zip(prompts, rows, strict=True))


@pytest.mark.parametrize("beams", [1, 3])
def test_operations_of_writing_are_those_that_are_counted(beams: int) -> None:
    model = writer()
    counted = profile(model.config, CAUSAL_LM)
    prompts = torch.tensor([[1, 2, 3], [4, 5, 6]])
    with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        written = write(model, prompts, writing(end=None, new_tokens=5, beams=beams))
    expected = writing_flops(counted, 2 * beams, 3, written.shape[1])
    assert counter.get_total_flops() == pytest.approx(expected, rel=1e-9)


def test_prompts_are_not_predicted() -> None:
    batch = {
        "input_ids": torch.tensor([[1, 2, 3, 4], [5, 6, 7, 0]]),
        "labels": torch.tensor([[2, 3, 4, -100], [6, 7, -100, -100]]),
        "index": torch.tensor([1, 0]),
    }
    changed = OnlyWritten([1, 3]).change_batch(batch, BatchPlace(0, 0, 0, 0))
    assert changed["labels"].tolist() == [[-100, -100, 4, -100], [6, 7, -100, -100]]


def test_a_causal_student_learns_its_teachers_texts_and_a_retry_reuses_them(
    tmp_path: Path,
) -> None:
    task_files(tmp_path, "causal_lm")
    stages = [
        {**TRAIN, "evaluate": False},
        {**SEQUENCE, "prompt_tokens": 3, "new_tokens": 5, "evaluate": False, "max_length": 32},
    ]
    described = task_recipe("causal_lm", *stages)
    reporter = carry_out(tmp_path, described)
    path = tmp_path / "work" / "stage-01" / "outputs.safetensors"
    stored = load_file(path)
    lengths = (stored["tokens"] >= 0).sum(1)
    assert bool((lengths > stored["prompts"]).all())
    assert int(lengths.max()) <= 8
    (whole,) = [e["dense"] for e in reporter.of("flops")][-1:]
    assert whole > 0
    before = path.stat().st_mtime_ns
    again = carry_out(tmp_path, described, 2)
    assert path.stat().st_mtime_ns == before
    assert [e["status"] for e in again.of("stage_end")] == ["reused", "reused"]


def test_a_classifiers_student_learns_its_teachers_classes(tmp_path: Path) -> None:
    data_set(tmp_path, train=48, dev=16, test=8)
    reporter = carry_out(tmp_path, recipe({**TRAIN, "evaluate": False}, SEQUENCE))
    labels = load_file(tmp_path / "work" / "stage-01" / "outputs.safetensors")["labels"]
    assert labels.shape == (48,)
    assert set(labels.tolist()) <= {0, 1}
    assert len(reporter.of("metric", name="accuracy")) == 1


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"beams": 2}, "beams", "belongs to causal_lm"),
        ({"prompt_tokens": 4}, "prompt_tokens", "belongs to causal_lm"),
        ({"student": {"layers": 9}}, "student.layers", "the teacher has 4 layers, not 9"),
    ],
)
def test_what_does_not_fit_a_classifier_is_rejected(
    changes: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(TRAIN, {**SEQUENCE, **changes}, model={"config": CONFIG}))
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message


def test_a_text_longer_than_the_limit_is_rejected() -> None:
    stage = {**SEQUENCE, "max_length": 32, "new_tokens": 25}
    with pytest.raises(RecipeError) as caught:
        parse_recipe(task_recipe("causal_lm", TRAIN, stage))
    assert caught.value.field == "recipe.stages.1.new_tokens"
    assert "are more than max_length 32" in caught.value.message
