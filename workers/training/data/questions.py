"""Questions on contexts, read from SQuAD's JSON or a flat table, with checked answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pricetag.strict_json import distinct_keys
from workers.job.request import JobError
from workers.training.data.cells import Cells
from workers.training.data.examples import Examples
from workers.training.data.tables import Table

SHAPE = "data -> paragraphs -> context and qas -> question and answers"


@dataclass(frozen=True)
class Answer:
    """An answer as a part of its context, and the number of its first character."""

    text: str
    start: int


@dataclass(frozen=True)
class Questions(Examples):
    """Questions (``texts``) on contexts (``pairs``).

    Attributes:
        answers: Answers to each question; empty where its context has no answer.
    """

    answers: tuple[tuple[Answer, ...], ...] = ()

    @property
    def may_have_none(self) -> bool:
        """Whether some questions of the split have no answer, as in SQuAD 2."""
        return not all(self.answers)


@dataclass(frozen=True)
class QuestionColumns:
    """Names of the columns of a flat table."""

    question: str
    context: str
    answer: str
    start: str

    def all(self) -> list[str]:
        """The names of the four columns."""
        return [self.question, self.context, self.answer, self.start]


def read_squad(path: Path, names: QuestionColumns, field: str) -> Table | None:
    """A file of SQuAD's shape, version 1 or 2, as a table; None if it is not a JSON object.

    Raises:
        JobError: ``unreadable-data`` if the object has another shape, ``missing-answers``.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=distinct_keys)
    except (OSError, ValueError, RecursionError):
        return None  # reading it as a table reports the fault
    if not isinstance(content, dict):
        return None
    columns: dict[str, list[Any]] = {name: [] for name in names.all()}
    try:
        for article in content["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    answers = _answers(question, len(columns[names.question]) + 1, field)
                    columns[names.question].append(question["question"])
                    columns[names.context].append(paragraph["context"])
                    columns[names.answer].append([answer["text"] for answer in answers])
                    columns[names.start].append([answer["answer_start"] for answer in answers])
    except (KeyError, TypeError) as error:
        message = f"{path.name} does not have the shape of SQuAD ({SHAPE}): {error!r:.100}"
        raise JobError("unreadable-data", message, field) from error
    return Table(columns, "question")


def _answers(question: dict[str, Any], number: int, field: str) -> list[dict[str, Any]]:
    if question.get("is_impossible", False):
        return []
    answers: list[dict[str, Any]] = question.get("answers") or []
    if not answers:
        message = (
            f"question {number}: {question['question']!r:.100} has no answers; mark it "
            "is_impossible: true if its context has none, or use a split with answers"
        )
        raise JobError("missing-answers", message, field)
    return answers


def questions_of(cells: Cells, names: QuestionColumns, split: str) -> Questions:
    """The rows of a table as questions.

    Raises:
        JobError: ``bad-cell`` for a cell that is not a text or a place, a context without text,
            or an answer that is not at its place.
    """
    contexts = cells.texts(names.context)
    answers = []
    for row, context in enumerate(contexts):
        if not context.strip():
            raise cells.bad(names.context, row, "is empty")
        answers.append(_answers_of_row(cells, names, row, context))
    table = cells.table
    return Questions(
        split=split,
        texts=cells.texts(names.question),
        pairs=contexts,
        labels=[],
        unit=table.unit,
        places=table.places,
        answers=tuple(answers),
    )


def _answers_of_row(
    cells: Cells, names: QuestionColumns, row: int, context: str
) -> tuple[Answer, ...]:
    texts = _listed(cells.table.columns[names.answer][row])
    starts = _listed(cells.table.columns[names.start][row])
    if len(texts) != len(starts):
        raise cells.bad(names.start, row, f"has not one place for each of {len(texts)} answers")
    answers = []
    for text, place in zip(texts, starts, strict=True):
        start = _whole_number(place)
        if start is None or start < 0:
            raise cells.bad(names.start, row, "is not the place of an answer")
        if not isinstance(text, str) or context[start : start + len(text)] != text:
            there = context[start : start + 40]
            raise cells.bad(names.answer, row, f"is not in the context at {start} ({there!r})")
        answers.append(Answer(text, start))
    return tuple(answers)


def _listed(cell: Any) -> list[Any]:
    """The answers in one cell: one, several, or none in an empty cell."""
    if isinstance(cell, list):
        return cell
    return [] if cell is None or cell == "" else [cell]


def _whole_number(cell: Any) -> int | None:
    if isinstance(cell, bool):
        return None
    try:
        number = float(cell)
    except (TypeError, ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() else None
