"""Long contexts cut into overlapping windows, each with its question.

Source: Devlin et al. 2019, BERT, section 4.2, doi:10.18653/v1/N19-1423, and its released code.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from workers.job.request import JobError
from workers.training.data.questions import Answer, Questions
from workers.training.data.tokens import Encoded, TokenData

Offsets = list[tuple[int, int] | None]
"""By token, where its text begins and ends in the context; None for other tokens."""


@dataclass(frozen=True)
class Window:
    """A question with a part of its context, as tokens.

    Attributes:
        question: Number of the question in its split.
        input_ids: Tokens.
        token_type_ids: Kinds of the tokens, where the model has them.
        offsets: Places of the tokens in the context.
        cls: Index of the token that means "no answer here".
    """

    question: int
    input_ids: list[int]
    token_type_ids: list[int] | None
    offsets: Offsets
    cls: int

    def target(self, answers: Sequence[Answer]) -> tuple[int, int]:
        """First and last token of the first answer; twice ``cls`` if it is not in the window."""
        if not answers:
            return self.cls, self.cls
        first, end = answers[0].start, answers[0].start + len(answers[0].text)
        inside = [(n, o) for n, o in enumerate(self.offsets) if o is not None]
        if not inside or inside[0][1][0] > first or inside[-1][1][1] < end:
            return self.cls, self.cls
        of_answer = [n for n, (start, stop) in inside if stop > first and start < end]
        return (of_answer[0], of_answer[-1]) if of_answer else (self.cls, self.cls)


class WindowData(TokenData):
    """Windows with their targets, first and last token of the answer."""

    def __init__(self, windows: Sequence[Window], questions: Questions) -> None:
        kinds = [w.token_type_ids for w in windows if w.token_type_ids is not None]
        super().__init__(
            Encoded([w.input_ids for w in windows], kinds or None),
            [w.target(questions.answers[w.question]) for w in windows],
        )
        self.windows = windows


def cut(
    questions: Questions, tokenizer: PreTrainedTokenizerBase, limit: int, stride: int
) -> list[Window]:
    """All windows of a split, in the order of its questions.

    A question takes at most half of a window. Neighboring windows share ``stride`` tokens of
    the context, or half of a window's context tokens if that is less.

    Args:
        questions: Questions of the split.
        tokenizer: The model's tokenizer.
        limit: Maximum number of tokens in a window.
        stride: Number of tokens that two windows share.

    Raises:
        JobError: ``bad-model`` if the tokenizer does not report where its tokens are in the text.
    """
    if not tokenizer.is_fast:
        message = "the tokenizer does not report where tokens are; use a fast tokenizer"
        raise JobError("bad-model", message, "recipe.model")
    room = limit - tokenizer.num_special_tokens_to_add(pair=True)
    question_tokens = tokenizer(
        questions.texts,
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
    )["offset_mapping"]
    texts = []
    groups: dict[int, list[int]] = defaultdict(list)
    for number, offsets in enumerate(question_tokens):
        first_part = offsets[: room // 2]
        is_complete = len(first_part) == len(offsets)
        text = questions.texts[number]
        texts.append(text if is_complete else text[: first_part[-1][1] if first_part else 0])
        groups[min(stride, (room - len(first_part)) // 2)].append(number)
    windows: list[Window] = []
    for shared, numbers in groups.items():
        windows += _windows(questions, texts, numbers, tokenizer, limit, shared)
    return sorted(windows, key=lambda window: window.question)


def _windows(
    questions: Questions,
    texts: list[str],
    numbers: list[int],
    tokenizer: PreTrainedTokenizerBase,
    limit: int,
    stride: int,
) -> list[Window]:
    assert questions.pairs is not None
    tokens: Any = tokenizer(
        [texts[n] for n in numbers],
        [questions.pairs[n] for n in numbers],
        truncation="only_second",
        max_length=limit,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids="token_type_ids" in tokenizer.model_input_names,
    )
    windows = []
    for place, sample in enumerate(tokens["overflow_to_sample_mapping"]):
        ids = tokens["input_ids"][place]
        of_context = tokens.sequence_ids(place)
        offsets: Offsets = [
            tuple(offset) if which == 1 else None
            for offset, which in zip(tokens["offset_mapping"][place], of_context, strict=True)
        ]
        cls = ids.index(tokenizer.cls_token_id) if tokenizer.cls_token_id in ids else 0
        kinds = tokens["token_type_ids"][place] if "token_type_ids" in tokens else None
        windows.append(Window(numbers[sample], ids, kinds, offsets, cls))
    return windows
