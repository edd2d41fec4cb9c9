from __future__ import annotations

from pathlib import Path

import pytest

from workers.training.data.synthetic import NEGATIVE, POSITIVE, generate, write


def test_generated_data_are_fixed_by_their_seed() -> None:
    assert generate(200, seed=1) == generate(200, seed=1)
    assert generate(200, seed=1) != generate(200, seed=2)


def test_classes_and_difficulties_are_balanced_and_sentences_differ() -> None:
    made = generate(1000, seed=0, hard_share=0.4)
    assert sum(one.label for one in made) == 500
    assert sum(one.difficulty == "hard" for one in made) == 400
    assert len({one.sentence for one in made}) == 1000


def polarity(sentence: str) -> int:
    words = sentence.split()
    return sum(w in POSITIVE for w in words) - sum(w in NEGATIVE for w in words)


def test_words_alone_decide_the_easy_half_and_fail_on_the_hard_one() -> None:
    made = generate(2000, seed=0)
    right = {"easy": 0, "hard": 0}
    for one in made:
        right[one.difficulty] += (polarity(one.sentence) > 0) == bool(one.label)
    assert right["easy"] == 1000
    assert right["hard"] < 600


def test_a_negation_turns_its_adjective() -> None:
    plain = [
        one
        for one in generate(4000, seed=0, hard_share=1.0)
        if " not " in one.sentence and "but" not in one.sentence
    ]
    assert len(plain) > 100
    assert all((polarity(one.sentence) < 0) == bool(one.label) for one in plain)


def test_written_splits_share_no_sentence(tmp_path: Path) -> None:
    files = write(tmp_path, train=300, dev=50, test=50, seed=3)
    seen: list[str] = []
    for split, size in (("train", 300), ("dev", 50), ("test", 50)):
        lines = files[split].read_text().splitlines()
        assert lines[0] == "sentence\tlabel\tdifficulty"
        assert len(lines) == size + 1
        seen += [line.split("\t")[0] for line in lines[1:]]
    assert len(set(seen)) == 400


@pytest.mark.parametrize(("count", "share"), [(-1, 0.5), (10, 1.5)])
def test_impossible_sizes_are_rejected(count: int, share: float) -> None:
    with pytest.raises(ValueError, match="cannot make"):
        generate(count, 0, share)
