"""Answers in contexts: the best span by the model's logits, exact match and F1.

Source: Rajpurkar et al. 2016, SQuAD, section 6.1, doi:10.18653/v1/D16-1264; 2018, Know What You
Don't Know, doi:10.18653/v1/P18-2124; normalization as in the official evaluation.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from workers.training.data.windows import Offsets

N_BEST = 20
"""Number of likeliest first tokens, and of likeliest last tokens, that are combined."""

MAX_ANSWER_TOKENS = 30

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class Span:
    """A part of a context, characters ``start`` to ``end``, and the sum of its two logits."""

    score: float
    start: int
    end: int


def best_span(first: torch.Tensor, last: torch.Tensor, offsets: Offsets) -> Span | None:
    """The span of a window with the highest sum of logits; None if it has no context.

    Spans begin and end in the context, go forwards, and have at most ``MAX_ANSWER_TOKENS``
    tokens; the ``N_BEST`` likeliest first and last tokens of the context are combined.

    Args:
        first: Logits of the answer's first token, ``[seq]``.
        last: Logits of its last token, ``[seq]``.
        offsets: Places of the window's tokens in the context.
    """
    in_context = torch.tensor([n for n, offset in enumerate(offsets) if offset is not None])
    if not len(in_context):
        return None
    count = min(N_BEST, len(in_context))
    firsts = in_context[first[in_context].topk(count).indices]
    lasts = in_context[last[in_context].topk(count).indices]
    length = lasts[None, :] - firsts[:, None] + 1
    scores = first[firsts][:, None] + last[lasts][None, :]
    scores = scores.masked_fill((length < 1) | (length > MAX_ANSWER_TOKENS), -torch.inf)
    best = int(scores.argmax())
    if scores.flatten()[best] == -torch.inf:
        return None
    begin = offsets[int(firsts[best // count])]
    end = offsets[int(lasts[best % count])]
    assert begin is not None
    assert end is not None
    return Span(float(scores.flatten()[best]), begin[0], end[1])


def normalized(text: str) -> str:
    """A text in lower case, without punctuation and articles, with single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(predicted: str, answers: Sequence[str]) -> float:
    """1 if the normalized prediction equals one of the normalized answers, else 0.

    For a question without answers only an empty prediction is right.
    """
    return float(any(normalized(predicted) == normalized(right) for right in answers or [""]))


def f1(predicted: str, answers: Sequence[str]) -> float:
    """The highest F1 of the prediction's words against an answer's, repeated words included."""
    return max(_f1(normalized(predicted).split(), normalized(a).split()) for a in answers or [""])


def _f1(predicted: list[str], expected: list[str]) -> float:
    if not predicted or not expected:
        return float(predicted == expected)
    common = sum((Counter(predicted) & Counter(expected)).values())
    return 2 * common / (len(predicted) + len(expected))
