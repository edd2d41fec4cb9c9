"""The stages of an attempt as the supervisor numbers them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

MAX_STAGES = 5000
"""Stages of one attempt that get a price of their own; each costs milliseconds to settle."""

MAX_KEY = 200
"""Longest key: stages nested deeper than about 100 belong to the one around them."""


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

    def has_room(self, parent_key: str | None) -> bool:
        """Whether one more stage inside this one gets a price of its own."""
        return self._count < MAX_STAGES and len(self._next_key(parent_key)) <= MAX_KEY

    def open(
        self,
        *,
        parent_key: str | None,
        recipe_index: int | None,
        kind: str,
        name: str,
        t_s: float,
    ) -> OpenStage:
        key = self._next_key(parent_key)
        self._children[parent_key] = self._children.get(parent_key, 0) + 1
        stage = OpenStage(key, self._count, parent_key, recipe_index, kind, name)
        self._count += 1
        self._open[key] = (stage, t_s)
        return stage

    def close(self, key: str) -> None:
        del self._open[key]

    def is_open(self, key: str) -> bool:
        return key in self._open

    def has_begun(self, key: str) -> bool:
        """Whether there was ever a stage of this key, open or ended."""
        parent_key, _, place = key.rpartition(".")
        count = self._children.get(parent_key or None, 0)
        return (
            place.isdecimal()
            and key == self._key(parent_key or None, int(place))
            and (int(place) < count)
        )

    def nearest_open(self, key: str | None) -> str | None:
        """The stage itself, or the nearest one around it that is open."""
        while key and key not in self._open:
            key = key.rpartition(".")[0]
        return key or None

    def open_keys(self) -> list[str]:
        """Keys of the open stages, the innermost first."""
        return list(reversed(self._open))

    def innermost(self) -> OpenStage | None:
        return next(reversed(self._open.values()))[0] if self._open else None

    def started_s(self) -> float | None:
        return next(reversed(self._open.values()))[1] if self._open else None

    def _next_key(self, parent_key: str | None) -> str:
        return self._key(parent_key, self._children.get(parent_key, 0))

    @staticmethod
    def _key(parent_key: str | None, place: int) -> str:
        return str(place) if parent_key is None else f"{parent_key}.{place}"
