"""The stages of an attempt as the supervisor numbers them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

MAX_STAGES = 5000
"""Stages of one attempt that get a price of their own; each costs milliseconds to settle."""


@dataclass(frozen=True, slots=True)
class OpenStage:
    """A stage that has begun; ``key`` is ``2``, or ``2.0`` for the first inside it."""

    key: str
    index: int
    parent_key: str | None
    recipe_index: int | None
    kind: str
    name: str

    def as_record(self) -> dict[str, Any]:
        return asdict(self)


class StageBook:
    """Gives every stage its key and order, and knows which are open."""

    def __init__(self) -> None:
        self._count = 0
        self._children: dict[str | None, int] = {}
        self._open: dict[str, tuple[OpenStage, float]] = {}

    @property
    def is_full(self) -> bool:
        """Whether no further stage gets a price of its own."""
        return self._count >= MAX_STAGES

    def open(
        self,
        *,
        parent_key: str | None,
        recipe_index: int | None,
        kind: str,
        name: str,
        t_s: float,
    ) -> OpenStage:
        place = self._children.get(parent_key, 0)
        self._children[parent_key] = place + 1
        key = str(place) if parent_key is None else f"{parent_key}.{place}"
        stage = OpenStage(key, self._count, parent_key, recipe_index, kind, name)
        self._count += 1
        self._open[key] = (stage, t_s)
        return stage

    def close(self, key: str) -> None:
        del self._open[key]

    def open_keys(self) -> list[str]:
        """Keys of the open stages, the innermost first."""
        return list(reversed(self._open))

    def innermost(self) -> OpenStage | None:
        return next(reversed(self._open.values()))[0] if self._open else None

    def started_s(self) -> float | None:
        return next(reversed(self._open.values()))[1] if self._open else None
