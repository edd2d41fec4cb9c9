"""Extractive question answering: the answer is a part of a context, or does not exist.

Source: Rajpurkar et al. 2016, SQuAD, doi:10.18653/v1/D16-1264; Devlin et al. 2019, BERT,
sections 4.2 and 4.3, doi:10.18653/v1/N19-1423.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from pricetag.recipes import Data
from workers.job.context import StageContext
from workers.training import answers
from workers.training.data.cells import Cells
from workers.training.data.examples import Examples
from workers.training.data.questions import (
    QuestionColumns,
    Questions,
    questions_of,
    read_squad,
)
from workers.training.data.tables import Table
from workers.training.data.tokens import Batch, TokenData, padded, tokenizer_key
from workers.training.data.windows import WindowData, cut
from workers.training.forward_pass import ForwardPass
from workers.training.metrics import Metrics, Score
from workers.training.model.heads import QUESTION_ANSWERING
from workers.training.model.loaded import Loaded
from workers.training.plugin import LossTerm
from workers.training.prediction import Predictions, predict, require_finite
from workers.training.tasks.base import Task


@dataclass(frozen=True)
class SpanCollator:
    """Pads windows; ``labels`` are the answer's first and last token, ``[batch, 2]``."""

    pad_token_id: int
    multiple: int = 1

    def __call__(self, items: Sequence[dict[str, Any]]) -> Batch:
        labels = torch.tensor([item["labels"] for item in items], dtype=torch.long)
        return {**padded(items, self.pad_token_id, self.multiple), "labels": labels}


class SpanLoss(LossTerm):
    """Mean cross-entropy of the answer's first and of its last token."""

    name = "task"

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        first, last = _within_text(forward.outputs, forward)
        begin = functional.cross_entropy(first, forward.labels[:, 0])
        end = functional.cross_entropy(last, forward.labels[:, 1])
        return (begin + end) / 2


def _within_text(outputs: Any, forward: ForwardPass) -> list[torch.Tensor]:
    """Logits of the answer's first and last token, ``[batch, seq]``; -inf at padding."""
    padding = forward.inputs["attention_mask"] == 0
    return [
        logits.float().masked_fill(padding, -torch.inf)
        for logits in (outputs.start_logits, outputs.end_logits)
    ]


class QuestionAnswering(Task):
    """Exact match and F1 of the best span over all windows of a context."""

    name = "question_answering"
    head = QUESTION_ANSWERING

    def columns(self, data: Data) -> list[str]:
        """See ``Task.columns``: question, context, answer and its place."""
        return _named(data).all()

    def pairs(self, data: Data) -> bool:
        """See ``Task.pairs``: a question and its context."""
        return True

    def read(self, path: Path, data: Data, field: str) -> Table:
        """See ``Task.read``; a ``.json`` file may have the shape of SQuAD."""
        if path.suffix.lower() == ".json":
            table = read_squad(path, _named(data), field)
            if table is not None:
                return table
        return super().read(path, data, field)

    def examples(self, cells: Cells, data: Data, split: str) -> Questions:
        """See ``Task.examples``."""
        return questions_of(cells, _named(data), split)

    def tokens(
        self, context: StageContext, examples: Examples, loaded: Loaded, limit: int
    ) -> WindowData:
        """See ``Task.tokens``: long contexts become several windows."""
        assert isinstance(examples, Questions)
        assert context.recipe.data is not None
        stride = context.recipe.data.doc_stride
        key = ("windows", examples.split, limit, stride, tokenizer_key(loaded.tokenizer))
        windows: WindowData = context.cached(
            key, lambda: WindowData(cut(examples, loaded.tokenizer, limit, stride), examples)
        )
        return windows

    def collator(self, loaded: Loaded, *, seed: int = 0, multiple: int = 1) -> SpanCollator:
        """See ``Task.collator``."""
        return SpanCollator(int(loaded.tokenizer.pad_token_id or 0), multiple)

    def settle_head(
        self, context: StageContext, config: PreTrainedConfig, classes: Sequence[str] | None
    ) -> tuple[list[str] | None, bool]:
        """See ``Task.settle_head``: one output for the first token, one for the last."""
        settled = super().settle_head(context, config, classes)
        config.num_labels = 2
        return settled

    def configure(
        self,
        config: PreTrainedConfig,
        tokenizer: PreTrainedTokenizerBase,
        classes: Sequence[str] | None,
    ) -> None:
        """See ``Task.configure``."""
        config.num_labels = 2

    def loss(self, weight: float = 1.0) -> SpanLoss:
        """See ``Task.loss``."""
        return SpanLoss(weight)

    def choices(
        self, outputs: Any, forward: ForwardPass, *, every_token: bool = False
    ) -> list[torch.Tensor]:
        """See ``Task.choices``: a place for the answer's first token, and one for its last."""
        return _within_text(outputs, forward)

    def score(
        self,
        context: StageContext,
        loaded: Loaded,
        examples: Examples,
        data: TokenData,
        batch_size: int,
    ) -> tuple[Metrics, Predictions]:
        """See ``Task.score``.

        Where some questions of the split have no answer, a prediction is empty if the logits of
        "no answer" exceed those of the best span.
        """
        assert isinstance(examples, Questions)
        assert isinstance(data, WindowData)
        predicted, predictions = self.predicted_answers(context, loaded, examples, data, batch_size)
        gold = [[prediction.text for prediction in each] for each in examples.answers]
        pairs = list(zip(predicted, gold, strict=True))
        metrics = {
            "exact_match": Score(sum(answers.exact_match(*pair) for pair in pairs) / len(pairs)),
            "f1": Score(sum(answers.f1(*pair) for pair in pairs) / len(pairs)),
        }
        return metrics, predictions

    def predicted_answers(
        self,
        context: StageContext,
        loaded: Loaded,
        questions: Questions,
        data: WindowData,
        batch_size: int,
    ) -> tuple[list[str], Predictions]:
        """The model's answer to each question; an empty text for no answer."""
        assert questions.pairs is not None
        predictions = Predictions()
        best: dict[int, answers.Span] = {}
        no_answer = [math.inf] * len(questions)  # lowest sum of logits over the windows
        collate = self.collator(loaded)
        for rows, _, outputs in predict(context, loaded, data, collate, batch_size, predictions):
            firsts, lasts = outputs.start_logits.float().cpu(), outputs.end_logits.float().cpu()
            require_finite(firsts)
            require_finite(lasts)
            for row, first, last in zip(rows, firsts, lasts, strict=True):
                window = data.windows[row]
                number = window.question
                span = answers.best_span(first, last, window.offsets)
                if span is not None and (number not in best or span.score > best[number].score):
                    best[number] = span
                no_answer[number] = min(
                    no_answer[number], float(first[window.cls] + last[window.cls])
                )
        texts = []
        for number, text in enumerate(questions.pairs):
            span = best.get(number)
            if span is not None and questions.may_have_none and no_answer[number] > span.score:
                span = None
            texts.append("" if span is None else text[span.start : span.end])
        return texts, predictions


def _named(data: Data) -> QuestionColumns:
    return QuestionColumns(data.question, data.context, data.answer, data.answer_start)


TASK = QuestionAnswering()
