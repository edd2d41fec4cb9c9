"""One split of a run's data, read and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Examples:
    """One split of labeled text.

    Attributes:
        split: ``train``, ``validation`` or ``test``.
        texts: The (first) text of each row.
        pairs: The second text of each row, if it has one.
        labels: Class names (classification) or scores (regression).
        class_names: The classes in order, where the job or the hub data set states them.
        labels_given: Whether the job states them.
        unit: What ``places`` counts: ``line`` or ``row``.
        places: Where each row is in its file; None where rows are counted without a gap.
    """

    split: str
    texts: list[str]
    pairs: list[str] | None
    labels: list[str] | list[float]
    class_names: tuple[str, ...] | None = None
    labels_given: bool = False
    unit: str = "row"
    places: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def where(self, index: int) -> str:
        """The name of a row in messages: ``line 66``."""
        return f"{self.unit} {index + 1 if self.places is None else self.places[index]}"
