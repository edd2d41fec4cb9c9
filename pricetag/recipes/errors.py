"""Errors in run descriptions, worded so that the author can correct them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class FieldError:
    """One invalid field (``recipe.stages.1.scheme``), with the problem and a hint."""

    field: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"{where}{self.message}" + (f" ({self.hint})" if self.hint else "")

    def as_dict(self) -> dict[str, str | None]:
        """The fault as plain data, for an API's error body."""
        return asdict(self)


class RecipeError(ValueError):
    """A run description is invalid.

    ``field``, ``message`` and ``hint`` are those of the first fault; ``errors`` has all faults.
    """

    code = "invalid-recipe"

    def __init__(
        self,
        field: str = "",
        message: str = "",
        hint: str | None = None,
        *,
        errors: Sequence[FieldError] | None = None,
    ) -> None:
        self.errors = list(errors) if errors else [FieldError(field, message, hint)]
        first = self.errors[0]
        self.field, self.message, self.hint = first.field, first.message, first.hint
        super().__init__("; ".join(str(error) for error in self.errors))
