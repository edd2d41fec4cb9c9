"""Forms as view models: what was typed, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.schemas.common import FieldProblem


@dataclass(frozen=True, slots=True)
class FormView:
    """A form.

    Attributes:
        values: Texts of its fields.
        problems: What has to be corrected.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[FieldProblem] = ()

    def get(self, name: str) -> str:
        """The text of a field; empty if nothing was typed."""
        return self.values.get(name, "")

    def problem(self, name: str) -> str | None:
        """What is wrong with a field."""
        texts = [text_of(problem) for problem in self.problems if problem.field == name]
        return " ".join(texts) or None

    @property
    def lines(self) -> Sequence[tuple[str | None, str]]:
        """The field of each problem, if it is one of the form's, and the problem in words."""
        return [self._line(problem) for problem in self.problems]

    def _line(self, problem: FieldProblem) -> tuple[str | None, str]:
        if not problem.field:
            return None, text_of(problem)
        label = problem.field.rpartition(".")[2].replace("_", " ")
        text = f"{label[:1].upper()}{label[1:]}: {text_of(problem)}"
        return (problem.field if problem.field in self.values else None), text


def text_of(problem: FieldProblem) -> str:
    """A problem as a sentence, with its hint."""
    message = problem.message.rstrip(".")
    return f"{message} ({problem.hint})." if problem.hint else f"{message}."
