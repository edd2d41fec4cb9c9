"""Forms as view models: input and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from app.schemas.common import FieldProblem


@dataclass(frozen=True, slots=True)
class FormView:
    """A form.

    Attributes:
        values: Texts of its fields.
        problems: Errors to correct.
        labels: Labels of its fields, where they differ from their names.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[FieldProblem] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """The text of a field; empty if nothing was typed."""
        return self.values.get(name, "")

    def label(self, name: str) -> str:
        """The label of a field."""
        words = name.rpartition(".")[2].replace("_", " ")
        return self.labels.get(name) or f"{words[:1].upper()}{words[1:]}"

    def is_day(self, name: str) -> bool:
        """Whether a date field can show its text: browsers show only valid dates."""
        try:
            return not self.get(name) or bool(date.fromisoformat(self.get(name)))
        except ValueError:
            return False

    def problem(self, name: str) -> str | None:
        """Error of a field."""
        texts = [text_of(problem) for problem in self.problems if problem.field == name]
        return " ".join(texts) or None

    @property
    def lines(self) -> Sequence[tuple[str | None, str]]:
        """The field of each problem, if it is one of the form's, and the problem in words."""
        return [self._line(problem) for problem in self.problems]

    def _line(self, problem: FieldProblem) -> tuple[str | None, str]:
        if not problem.field:
            return None, text_of(problem)
        text = f"{self.label(problem.field)}: {text_of(problem)}"
        return (problem.field if problem.field in self.values else None), text


def text_of(problem: FieldProblem) -> str:
    """A problem as a sentence, with its hint."""
    message = problem.message.rstrip(".")
    return f"{message} ({problem.hint})." if problem.hint else f"{message}."
