"""TinyBERT's augmentation: copies of examples with words of a masked language model."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from pricetag.recipes.registry import traits_of
from tests.support.texts import text_files, text_recipe
from tests.support.training import CONFIG, TRAIN, carry_out, context, data_set, recipe
from workers.job.request import JobError
from workers.training.augmenting import language_model_context
from workers.training.data.augmentation import (
    Replacement,
    augmented,
    batches_of,
    copies_of,
    masked_rows,
    proposed,
    replaced_words,
)
from workers.training.data.examples import Examples
from workers.training.model.loaded import Loaded
from workers.training.model.models import for_use

TINYBERT = {
    **{**TRAIN, "kind": "distill", "method": "tinybert", "precision": "fp32"},
    **{"student": {"layers": 1}, "intermediate_epochs": 0, "augmentation": 2},
}
HOW = Replacement(copies=3, rate=0.5, candidates=15, seed=1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with labeled sentences, and a masked language model in ``pretrained``."""
    folder = text_files(tmp_path_factory.mktemp("augmentation"))
    carry_out(folder, text_recipe("masked_lm", {**TRAIN, "evaluate": False, "max_steps": 2}))
    (folder / "work" / "stage-00" / "model").rename(folder / "pretrained")
    return data_set(folder, train=24, dev=8, test=8)


@pytest.fixture(scope="module")
def language_model(root: Path) -> Loaded:
    stage = context(root, recipe(model="pretrained"))
    return for_use(language_model_context(stage))


words = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=8)


@given(originals=words, seed=st.integers(0, 99), rate=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_words_stay_or_become_one_of_their_candidates(
    originals: list[str], seed: int, rate: float
) -> None:
    candidates = [[] if number % 2 else [f"X{number}", "Y"] for number in range(len(originals))]
    made = replaced_words(originals, candidates, rate, random.Random(seed))
    for original, others, word in zip(originals, candidates, made, strict=True):
        assert word == original or word in others
    everywhere = replaced_words(originals, candidates, 1.0, random.Random(seed))
    for number, word in enumerate(everywhere):
        assert word == originals[number] if number % 2 else word in candidates[number]


def test_words_are_replaced_as_often_as_asked() -> None:
    many = ["word"] * 20_000
    made = replaced_words(many, [["other"]] * len(many), 0.4, random.Random(0))
    assert made.count("other") / len(made) == pytest.approx(0.4, abs=0.02)


def test_copies_depend_on_seed_and_row_alone() -> None:
    text, candidates = "a b c d e f", [["x", "y", "z"]] * 6
    first = copies_of(text, candidates, HOW, 0)
    assert len(first) == 3
    assert first == copies_of(text, candidates, HOW, 0)
    others = [copies_of(text, candidates, HOW, 1)]
    others.append(copies_of(text, candidates, Replacement(3, 0.5, 15, seed=2), 0))
    assert all(other != first for other in others)


def test_copies_keep_their_label_and_their_partner() -> None:
    examples = Examples("train", ["a", "b"], ["p", "q"], ["yes", "no"])
    whole = augmented(
        examples, [[["a1", "a2"], ["b1", "b2"]], [["p1", "p2"], ["q1", "q2"]]], "more"
    )
    assert whole.texts == ["a", "b", "a1", "b1", "a2", "b2"]
    assert whole.pairs == ["p", "q", "p1", "q1", "p2", "q2"]
    assert whole.labels == ["yes", "no"] * 3
    alone = augmented(Examples("train", ["a"], None, [0.5]), [[["a1"]]], "more")
    assert (alone.texts, alone.pairs, alone.labels) == (["a", "a1"], None, [0.5, 0.5])


def test_each_row_hides_one_word_of_one_token(root: Path, language_model: Loaded) -> None:
    tokenizer: Any = language_model.tokenizer
    texts = [line.split("\t")[0] for line in (root / "data" / "dev.tsv").read_text().split("\n")]
    texts = [*[text for text in texts if text][1:4], "unheardofword 123456789"]
    rows = 0
    for ids, mask, places in batches_of(language_model, texts, 16, rows=5):
        assert len(ids) == len(places) <= 5
        for tokens, seen, (text, word, position) in zip(ids, mask, places, strict=True):
            original, possible = masked_rows(language_model, texts[text], 16)
            assert (word, position) in possible
            assert int(seen.sum()) == len(original) <= 16
            own = tokens[: len(original)].tolist()
            assert own[position] == tokenizer.mask_token_id
            own[position] = original[position]
            assert own == original
            pieces = tokenizer.tokenize(texts[text].split()[word])
            assert len(pieces) == 1
            rows += 1
    assert rows == sum(len(masked_rows(language_model, text, 16)[1]) for text in texts)


def test_proposals_are_whole_words_and_not_the_word_itself(language_model: Loaded) -> None:
    tokenizer: Any = language_model.tokenizer
    vocabulary = tokenizer.get_vocab()
    whole = [t for t, n in vocabulary.items() if t.isalpha() and n not in tokenizer.all_special_ids]
    piece = next(token for token in vocabulary if token.startswith("##"))
    scores = torch.zeros(len(vocabulary))
    for place, token in enumerate([tokenizer.mask_token, piece, whole[0], whole[1], whole[2]]):
        scores[vocabulary[token]] = 100.0 - place
    assert proposed(language_model, scores, whole[1].upper(), 4) == [whole[0]]
    assert proposed(language_model, scores, "other", 5) == whole[:3]


def test_a_student_is_trained_on_the_copies_too(root: Path) -> None:
    epoch = {**TINYBERT, "epochs": 1, "evaluate": False}
    del epoch["max_steps"]
    train = {**TRAIN, "evaluate": False, "max_steps": 1}
    flops = []
    for copies in (0, 2):
        stages = train, {**epoch, "augmentation": copies}
        reporter = carry_out(root / f"runs-{copies}", recipe(*stages, model="pretrained"), 1,
                             data_roots=[root])  # fmt: skip
        card = [e["card"] for e in reporter.of("artifact") if e["card"] is not None][-1]
        assert card["facts"]["steps"] == 3 * (1 + copies)
        flops.append(reporter.of("flops")[-1]["dense"])
    assert flops[1] > 3 * flops[0]  # three times the examples, and the language model
    assert (root / "runs-2" / "work" / "stage-01" / "augmentation.json").exists()


def test_the_runs_model_must_be_a_masked_language_model(root: Path) -> None:
    train = {**TRAIN, "evaluate": False, "max_steps": 1}
    carry_out(root / "plain", recipe(train, model="pretrained"), 1, data_roots=[root])
    (root / "plain" / "work" / "stage-00" / "model").rename(root / "classifier")
    with pytest.raises(JobError, match="no head for masked language modeling") as caught:
        carry_out(root / "bad", recipe(TINYBERT, model="classifier"), 1, data_roots=[root])
    assert caught.value.field == "recipe.stages.0.augmentation"


@pytest.mark.parametrize(
    ("described", "field", "message"),
    [
        (recipe(TRAIN, TINYBERT, model={"config": CONFIG}), "augmentation", "random weights"),
        (text_recipe("masked_lm", TRAIN, TINYBERT), "augmentation", ""),
        (
            recipe(TRAIN, {**TINYBERT, "replacement_rate": 0}, model="folder"),
            "replacement_rate",
            "greater than 0",
        ),
    ],
)
def test_what_does_not_fit_is_rejected(described: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message


def test_copies_are_part_of_the_amount_of_work() -> None:
    epochs = []
    for copies in (0, 20):
        stage = {**TINYBERT, "augmentation": copies, "intermediate_epochs": 10, "epochs": 3}
        del stage["max_steps"]
        params = parse_recipe(recipe(TRAIN, stage, model="folder")).stages[1]
        epochs.append(traits_of(params).work(params, 1).epochs)
    assert epochs == [13, 13 * 21]
