"""Further examples: training texts with words replaced by those of a masked language model.

Source: Jiao, Yin, Shang, Jiang, Chen, Li, Wang, Liu 2020, TinyBERT, section 3.2 and algorithm 1,
arXiv:1909.10351.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from workers.training.data.examples import Examples
from workers.training.model.loaded import Loaded

Candidates = list[list[str]]
"""Candidates for replacing each word of a text."""

PIECE = "##"
"""Beginning of a token that continues a word."""


@dataclass(frozen=True)
class Replacement:
    """How words are replaced.

    Attributes:
        copies: Copies of each example.
        rate: Probability that a word of a copy is replaced.
        candidates: Number of most likely tokens to consider for a word.
        seed: Seed of the copies.
    """

    copies: int
    rate: float
    candidates: int
    seed: int


def replaced_words(
    words: Sequence[str], candidates: Sequence[Sequence[str]], rate: float, draws: random.Random
) -> list[str]:
    """Each word, or with a probability one of its candidates.

    Args:
        words: The words of a text.
        candidates: For each word those that may take its place; a word without any stays.
        rate: The probability.
        draws: Random numbers.

    Source: Jiao et al. 2020, algorithm 1.
    """
    return [
        draws.choice(others) if draws.random() < rate and others else word
        for word, others in zip(words, candidates, strict=True)
    ]


def copies_of(
    text: str, candidates: Sequence[Sequence[str]], how: Replacement, row: int
) -> list[str]:
    """The copies of a text with words replaced, the same in every attempt.

    Args:
        text: The text; its words are separated by spaces.
        candidates: For each word those that may take its place.
        how: How words are replaced.
        row: Number of the example.
    """
    words = text.split()
    copies = []
    for number in range(how.copies):
        draws = random.Random(f"{how.seed}/{row}/{number}/{text}")
        copies.append(" ".join(replaced_words(words, candidates, how.rate, draws)))
    return copies


def augmented(
    examples: Examples, copies: Sequence[Sequence[Sequence[str]]], split: str
) -> Examples:
    """The examples, then their copies, with the labels of the originals.

    Args:
        examples: The examples.
        split: Name of the result, other than that of the examples: tokens are cached by it.
        copies: For the texts, and for the second texts if there are any, the copies of each.
    """
    number = len(copies[0][0]) if copies[0] else 0

    def with_copies(originals: Sequence[Any], of_each: Sequence[Sequence[Any]]) -> list[Any]:
        return [
            *originals,
            *(example_copies[place] for place in range(number) for example_copies in of_each),
        ]

    labels: list[Any] = list(examples.labels) * (number + 1)
    return replace(
        examples,
        split=split,
        texts=with_copies(examples.texts, copies[0]),
        pairs=None if examples.pairs is None else with_copies(examples.pairs, copies[1]),
        labels=labels,
        unit="example",
        places=None,
    )


def masked_rows(loaded: Loaded, text: str, limit: int) -> tuple[list[int], list[tuple[int, int]]]:
    """The tokens of a text, and for each word that is one token its number and position.

    Args:
        loaded: The masked language model.
        text: The text.
        limit: Maximum number of tokens; words beyond it are not replaced.
    """
    encoded = loaded.tokenizer(
        text.split(), is_split_into_words=True, truncation=True, max_length=limit
    )
    numbers = encoded.word_ids()
    counts = {number: numbers.count(number) for number in set(numbers) if number is not None}
    places = [
        (number, position)
        for position, number in enumerate(numbers)
        if number is not None and counts[number] == 1
    ]
    return list(encoded["input_ids"]), places


def batches_of(
    loaded: Loaded, texts: Sequence[str], limit: int, rows: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, list[tuple[int, int, int]]]]:
    """Batches in which each row is a text with one word hidden.

    Args:
        loaded: The masked language model.
        texts: The texts.
        limit: Maximum number of tokens of a text.
        rows: Rows of a batch.

    Yields:
        Tokens and attention mask ``[rows, tokens]``, and for each row the numbers of text and
        word and the position of the hidden token.
    """
    tokenizer: Any = loaded.tokenizer
    waiting: list[tuple[list[int], tuple[int, int, int]]] = []

    def batch() -> tuple[torch.Tensor, torch.Tensor, list[tuple[int, int, int]]]:
        width = max(len(ids) for ids, _ in waiting)
        ids = torch.full((len(waiting), width), tokenizer.pad_token_id)
        for row, (tokens, _) in enumerate(waiting):
            ids[row, : len(tokens)] = torch.tensor(tokens)
        lengths = torch.tensor([len(tokens) for tokens, _ in waiting])
        mask = (torch.arange(width) < lengths[:, None]).long()
        return ids, mask, [place for _, place in waiting]

    for number, text in enumerate(texts):
        tokens, places = masked_rows(loaded, text, limit)
        for word, position in places:
            hidden = [*tokens]
            hidden[position] = tokenizer.mask_token_id
            waiting.append((hidden, (number, word, position)))
            if len(waiting) == rows:
                yield batch()
                waiting.clear()
    if waiting:
        yield batch()


def proposed(loaded: Loaded, scores: torch.Tensor, word: str, count: int) -> list[str]:
    """The most likely words for a hidden one, without word pieces, punctuation and the word itself.

    Args:
        loaded: The masked language model.
        scores: Its logits at the position, ``[vocabulary]``.
        word: The word.
        count: Number of most likely tokens to consider.

    Source: Jiao et al. 2020, algorithm 1 (K).
    """
    tokenizer: Any = loaded.tokenizer
    best = scores.topk(min(count, len(scores))).indices.tolist()
    special = set(tokenizer.all_special_ids)
    tokens = tokenizer.convert_ids_to_tokens([token for token in best if token not in special])
    return [t for t in tokens if not t.startswith(PIECE) and t.lower() != word.lower()]
