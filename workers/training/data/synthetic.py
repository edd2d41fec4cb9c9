"""A synthetic sentiment data set: generated, seeded, no real text in it.

Short reviews of invented works, labeled 1 (positive) or 0 (negative). Easy sentences are
plain statements. In hard ones a negation ("was not dull") flips a clause, or a contrast ("dull ,
but moving", "although dull , moving") lets one clause outweigh the other. A bag of words solves
only the easy half, so models of different capacity differ in accuracy.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


def _words(text: str) -> list[str]:
    return text.split()


POSITIVE = _words(
    "charming clever delightful elegant engaging fresh funny gripping heartfelt honest "
    "inventive lively lovely luminous moving playful polished radiant sharp sincere smart "
    "splendid stirring subtle superb tender thrilling vivid warm witty"
)
NEGATIVE = _words(
    "awkward bland bleak boring careless clumsy cold confused crude dreary dull empty flat "
    "forced hollow incoherent lifeless lumbering messy muddled pale pointless shallow silly "
    "sloppy stale tedious tired ugly weak"
)
SUBJECTS = _words(
    "acting camera cast chapter chorus comedy dialogue director drama ending film finale "
    "hero music novel opening performance picture play plot score script sequel show song "
    "stage story sequence title voice"
)
FRAMES = ("the {s} was {a}", "the {s} felt {a}", "i found the {s} {a}", "its {s} is {a}")
NEGATED = ("the {s} was not {a}", "the {s} never felt {a}", "nothing about the {s} is {a}")
ADVERBS = ("", "", "truly ", "rather ", "quite ", "utterly ")
TAILS = ("", "", " .", " from start to end .", " , as the critics said .", " this time .")

Difficulty = Literal["easy", "hard"]
COLUMNS = ("sentence", "label", "difficulty")


@dataclass(frozen=True)
class Instance:
    """One labeled sentence."""

    sentence: str
    label: int
    difficulty: Difficulty


def generate(count: int, seed: int, hard_share: float = 0.5) -> list[Instance]:
    """Different sentences, both labels equally often, ``hard_share`` of them hard.

    Raises:
        ValueError: The count is negative, or the share is not between 0 and 1.
    """
    if count < 0 or not 0 <= hard_share <= 1:
        raise ValueError(f"cannot make {count} sentences with a hard share of {hard_share}")
    rng = random.Random(seed)
    used: set[str] = set()
    instances: list[Instance] = []
    hard_count = round(count * hard_share)
    for number in range(count):
        label = number % 2
        difficulty: Difficulty = "hard" if number < hard_count else "easy"
        instances.append(_unused(rng, label, difficulty, used))
    rng.shuffle(instances)
    return instances


def write(
    folder: Path,
    *,
    train: int = 4000,
    dev: int = 500,
    test: int = 500,
    seed: int = 0,
    hard_share: float = 0.5,
) -> dict[str, Path]:
    """Write ``train.tsv``, ``dev.tsv`` and ``test.tsv``, with no sentence in two of them."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"train": train, "dev": dev, "test": test}
    instances: Iterator[Instance] = iter(generate(sum(sizes.values()), seed, hard_share))
    files = {}
    for split, size in sizes.items():
        files[split] = folder / f"{split}.tsv"
        lines = ["\t".join(COLUMNS)]
        for _ in range(size):
            instance = next(instances)
            lines.append(f"{instance.sentence}\t{instance.label}\t{instance.difficulty}")
        files[split].write_text("\n".join(lines) + "\n", encoding="utf-8")
    return files


def _unused(rng: random.Random, label: int, difficulty: Difficulty, used: set[str]) -> Instance:
    while True:
        make = _hard if difficulty == "hard" else _easy
        sentence = make(rng, label) + rng.choice(TAILS)
        if sentence not in used:
            used.add(sentence)
            return Instance(sentence, label, difficulty)


def _easy(rng: random.Random, label: int) -> str:
    first = _plain(rng, label)
    return first if rng.random() < 0.5 else f"{first} and {_plain(rng, label)}"


def _hard(rng: random.Random, label: int) -> str:
    shape = rng.randrange(5)
    if shape == 0:
        return _negated(rng, label)
    if shape == 1:
        return f"{_plain(rng, 1 - label)} , but {_plain(rng, label)}"
    if shape == 2:
        return f"although {_plain(rng, 1 - label)} , {_plain(rng, label)}"
    if shape == 3:
        return f"{_plain(rng, label)} , even though {_plain(rng, 1 - label)}"
    return f"{_plain(rng, 1 - label)} , but {_negated(rng, label)}"


def _plain(rng: random.Random, label: int) -> str:
    return _fill(rng, FRAMES, POSITIVE if label else NEGATIVE)


def _negated(rng: random.Random, label: int) -> str:
    return _fill(rng, NEGATED, NEGATIVE if label else POSITIVE)


def _fill(rng: random.Random, frames: Sequence[str], adjectives: Sequence[str]) -> str:
    words = {"s": rng.choice(SUBJECTS), "a": rng.choice(ADVERBS) + rng.choice(adjectives)}
    return rng.choice(frames).format(**words)


def main() -> None:
    """``python -m workers.training.data.synthetic FOLDER``: writes the three files."""
    parser = argparse.ArgumentParser(description="Write the synthetic sentiment data set.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=4000)
    parser.add_argument("--dev", type=int, default=500)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write(args.folder, train=args.train, dev=args.dev, test=args.test, seed=args.seed)
    for name in ("train", "dev", "test"):
        sys.stdout.write(f"{args.folder / name}.tsv: {getattr(args, name):,} labeled sentences\n")


if __name__ == "__main__":
    main()
