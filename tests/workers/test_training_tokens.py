from __future__ import annotations

import random
from pathlib import Path

import torch

from tests.support.training import context, data_set, recipe
from workers.training.data.texts import load_split
from workers.training.data.tokens import Collator, EpochSampler, encode
from workers.training.data.vocabulary import train_wordpiece

RANDOM = random.Random(1)
LENGTHS = [RANDOM.randint(3, 60) for _ in range(1003)]


def padded(order: list[int], batch: int) -> int:
    parts = [order[i : i + batch] for i in range(0, len(order), batch)]
    return sum(len(part) * max(LENGTHS[i] for i in part) for part in parts)


def test_each_epoch_has_every_example_once_in_an_order_of_its_own() -> None:
    sampler = EpochSampler(LENGTHS, 8, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == sorted(second) == list(range(len(LENGTHS)))
    assert first != second


def test_the_order_is_fixed_by_seed_and_epoch() -> None:
    one, other = EpochSampler(LENGTHS, 8, seed=3), EpochSampler(LENGTHS, 8, seed=3)
    list(one)
    torch.rand(5)  # the global generator has no say
    one.set_epoch(4)
    other.set_epoch(4)
    assert list(one) == list(other)
    assert list(EpochSampler(LENGTHS, 8, seed=4)) != list(EpochSampler(LENGTHS, 8, seed=3))


def test_batches_by_length_leave_little_padding() -> None:
    by_length = padded(list(EpochSampler(LENGTHS, 8, seed=0)), 8)
    shuffled = padded(list(EpochSampler(LENGTHS, 8, seed=0, by_length=False)), 8)
    assert by_length < 1.1 * sum(LENGTHS)
    assert shuffled > 1.5 * sum(LENGTHS)


def test_batches_by_length_are_in_random_order() -> None:
    order = list(EpochSampler(LENGTHS, 8, seed=0))
    longest = [max(LENGTHS[i] for i in order[k : k + 8]) for k in range(0, 400, 8)]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)


def test_a_batch_is_padded_to_its_longest() -> None:
    items = [
        {"input_ids": [5, 6, 7], "labels": 1, "index": 4},
        {"input_ids": [8], "labels": 0, "index": 2},
    ]
    batch = Collator(pad_token_id=9, regression=False)(items)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].dtype == torch.long
    assert batch["index"].tolist() == [4, 2]
    wide = Collator(pad_token_id=9, regression=True, multiple=8)(items)
    assert wide["input_ids"].shape == (2, 8)
    assert wide["labels"].dtype == torch.float


def test_a_vocabulary_is_learned_once_and_marks_pairs(tmp_path: Path) -> None:
    data_set(tmp_path)
    stage = context(tmp_path, recipe())
    tokenizer = train_wordpiece(stage, 200, 48)
    assert len(tokenizer) <= 200
    again = train_wordpiece(context(tmp_path, recipe()), 200, 48)
    text = "the plot was not dull , but moving"
    assert tokenizer(text)["input_ids"] == again(text)["input_ids"]
    pair = tokenizer("the plot", "was dull")
    kinds = pair["token_type_ids"]
    assert kinds == sorted(kinds)
    assert set(kinds) == {0, 1}
    examples = load_split(stage, "train")
    encoded = encode(stage, examples, tokenizer, 6)
    assert max(encoded.lengths) == 6
    assert encode(stage, examples, tokenizer, 6) is encoded
