"""A reporter that records events instead of sending them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from workers.job.reporter import Reporter, StageHandle


@dataclass
class RecordingReporter(Reporter):
    """Records everything in ``events``; requests a stop after ``stop_after`` questions."""

    events: list[dict[str, Any]] = field(default_factory=list)
    stop_after: int | None = None
    open_keys: list[str] = field(default_factory=list)
    stages_opened: int = 0

    def _event(self, type_: str, **fields: Any) -> None:
        key = self.open_keys[-1] if self.open_keys else None
        self.events.append({"type": type_, "key": key, **fields})

    @contextmanager
    def stage(self, kind: str, name: str, recipe_index: int | None = None) -> Iterator[StageHandle]:
        """See ``Reporter.stage``."""
        handle = StageHandle(key=f"s{self.stages_opened}")
        self.stages_opened += 1
        parent = self.open_keys[-1] if self.open_keys else None
        self.open_keys.append(handle.key)
        self._event("stage_start", kind=kind, name=name, recipe_index=recipe_index, parent=parent)
        try:
            yield handle
        except BaseException as error:
            handle.left_by(error)
            raise
        finally:
            self._event("stage_end", kind=kind, status=handle.status)
            self.open_keys.pop()

    def stop_requested(self) -> str | None:
        """See ``Reporter.stop_requested``: stops after ``stop_after`` questions."""
        if self.stop_after is None:
            return None
        self.stop_after -= 1
        return "stop" if self.stop_after < 0 else None

    def of(self, type_: str, **match: Any) -> list[dict[str, Any]]:
        """The events of one type whose fields have the given values."""
        return [
            event
            for event in self.events
            if event["type"] == type_ and all(event.get(k) == v for k, v in match.items())
        ]
