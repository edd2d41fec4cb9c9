"""How much of what a job reports is kept: a loop that never stops must not fill the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.settings import get_settings

Kind = Literal["metrics", "quality_metrics", "artifacts"]

REJECTED = "rejected"

MAX_REJECTED = 1000
"""Rejected records of one attempt that are kept with their reason; the others are counted."""

MAX_QUALITY_METRICS = 1000
"""Metrics of quality are on the price tag. They are counted apart, so that no loop of others
crowds out what was reached at the end."""

NAMES: Mapping[Kind, str] = {
    "metrics": "metrics",
    "quality_metrics": "metrics of quality",
    "artifacts": "artifacts",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The most of each kind that is kept of one attempt."""

    metrics: int
    artifacts: int
    quality_metrics: int = MAX_QUALITY_METRICS


def limits() -> Limits:
    """The limits that this process is set to."""
    settings = get_settings()
    return Limits(metrics=settings.max_metrics, artifacts=settings.max_artifacts)


class Intake:
    """Counts what one attempt reports.

    Args:
        stored: The counts so far, as the attempt's row has them.
        limits: The most that is kept.
        artifact_paths: Of the artifacts that are there already.
    """

    def __init__(
        self,
        stored: Mapping[str, Any] | None,
        limits: Limits,
        artifact_paths: Collection[str] = (),
    ) -> None:
        known = stored or {}
        self._taken = Counter[str](known.get("taken", {}))
        self._left_out = Counter[str](known.get("left_out", {}))
        self._limits = limits
        self._paths = set(artifact_paths)

    def takes(self, kind: Kind) -> bool:
        """Whether one more metric is kept; counts it."""
        if self._taken[kind] >= self._most(kind):
            self._left_out[kind] += 1
            return False
        self._taken[kind] += 1
        return True

    def takes_artifact(self, path: str) -> bool:
        """Whether an artifact is kept; one in the place of another always is."""
        if path not in self._paths and len(self._paths) >= self._limits.artifacts:
            self._left_out["artifacts"] += 1
            return False
        self._paths.add(path)
        return True

    def takes_rejected(self) -> bool:
        """Whether one more rejected record is kept; counts it."""
        self._taken[REJECTED] += 1
        return self._taken[REJECTED] <= MAX_REJECTED

    def first_left_out(self, kind: Kind) -> str | None:
        """The log line after the first dropped record of a kind."""
        if self._left_out[kind] != 1:
            return None
        return f"more than {self._most(kind)} {NAMES[kind]}: the rest is dropped"

    def _most(self, kind: Kind) -> int:
        most: int = getattr(self._limits, kind)
        return most

    def as_stored(self) -> dict[str, Any] | None:
        """The counts as stored in the attempt's row."""
        if not self._taken and not self._left_out:
            return None
        return {"taken": dict(self._taken), "left_out": dict(self._left_out)}


def left_out(stored: Mapping[str, Any] | None) -> dict[str, int]:
    """How much of each kind was reported and not kept."""
    return dict((stored or {}).get("left_out", {}))
