"""The stages of an attempt, with the keys assigned by the supervisor."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

MAX_STAGES = 5000
"""Maximum number of priced stages of one attempt; each takes milliseconds to settle."""

MAX_KEY = 200
"""Maximum length of a key; stages nested deeper than about 100 are charged to their parent."""


@dataclass(frozen=True, slots=True)
class OpenStage:
    """A stage that has begun; ``key`` is ``2``, or ``2.0`` for the first stage inside it."""

    key: str
    index: int
    parent_key: str | None
    recipe_index: int | None
    kind: str
    name: str

    def as_record(self) -> dict[str, Any]:
        """The stage as fields of a journal record."""
        return asdict(self)


class StageBook:
    """Assigns keys to stages in order, and records which are open."""

    def __init__(self) -> None:
        self._count = 0
        self._children: dict[str | None, int] = {}
        self._open: dict[str, tuple[OpenStage, float]] = {}

    def has_room(self, parent_key: str | None) -> bool:
        """Whether one more stage inside this one can be priced."""
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
        """Opens a stage and assigns its key."""
        key = self._next_key(parent_key)
        self._children[parent_key] = self._children.get(parent_key, 0) + 1
        stage = OpenStage(key, self._count, parent_key, recipe_index, kind, name)
        self._count += 1
        self._open[key] = (stage, t_s)
        return stage

    def close(self, key: str) -> None:
        """Records the end of a stage."""
        del self._open[key]

    def is_open(self, key: str) -> bool:
        """Whether a stage has begun and not ended."""
        return key in self._open

    def has_begun(self, key: str) -> bool:
        """Whether a stage with this key exists, open or ended."""
        parent_key, _, place = key.rpartition(".")
        count = self._children.get(parent_key or None, 0)
        return (
            place.isdecimal()
            and key == self._key(parent_key or None, int(place))
            and (int(place) < count)
        )

    def nearest_open(self, key: str | None) -> str | None:
        """The stage itself if it is open, or else its nearest open ancestor."""
        while key and key not in self._open:
            key = key.rpartition(".")[0]
        return key or None

    def open_keys(self) -> list[str]:
        """Keys of the open stages, innermost first."""
        return list(reversed(self._open))

    def innermost(self) -> OpenStage | None:
        """The open stage that began last."""
        return next(reversed(self._open.values()))[0] if self._open else None

    def started_s(self) -> float | None:
        """Its start on the meter's clock, in s."""
        return next(reversed(self._open.values()))[1] if self._open else None

    def _next_key(self, parent_key: str | None) -> str:
        return self._key(parent_key, self._children.get(parent_key, 0))

    @staticmethod
    def _key(parent_key: str | None, place: int) -> str:
        return str(place) if parent_key is None else f"{parent_key}.{place}"
