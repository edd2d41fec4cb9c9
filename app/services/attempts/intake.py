"""Limits on a job's reports, so that an endless loop cannot fill the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.settings import get_settings

Kind = Literal["metrics", "quality_metrics", "artifacts"]

REJECTED = "rejected"

MAX_REJECTED = 1000
"""Maximum number of rejected records kept per attempt; the others are counted."""

MAX_QUALITY_METRICS = 1000
"""Quality metrics are on the price tag. They have their own limit, so that other metrics
cannot displace the final results."""

NAMES: Mapping[Kind, str] = {
    "metrics": "metrics",
    "quality_metrics": "metrics of quality",
    "artifacts": "artifacts",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Maximum number of records of each kind that are kept per attempt."""

    metrics: int
    artifacts: int
    quality_metrics: int = MAX_QUALITY_METRICS


def limits() -> Limits:
    """The limits in the settings of this process."""
    settings = get_settings()
    return Limits(metrics=settings.max_metrics, artifacts=settings.max_artifacts)


class Intake:
    """Counts what one attempt reports.

    Args:
        stored: The counts so far, from the attempt's row.
        limits: Maximum number of kept records.
        artifact_paths: Paths of the existing artifacts.
    """

    def __init__(
        self,
        stored: Mapping[str, Any] | None,
        limits: Limits,
        artifact_paths: Collection[str] = (),
    ) -> None:
        counts = stored or {}
        self._taken = Counter[str](counts.get("taken", {}))
        self._dropped = Counter[str](counts.get("left_out", {}))
        self._limits = limits
        self._paths = set(artifact_paths)

    def takes(self, kind: Kind) -> bool:
        """Counts a metric; returns whether to keep it."""
        if self._taken[kind] >= self._most(kind):
            self._dropped[kind] += 1
            return False
        self._taken[kind] += 1
        return True

    def takes_artifact(self, path: str) -> bool:
        """Whether to keep an artifact; one that replaces another is always kept."""
        if path not in self._paths and len(self._paths) >= self._limits.artifacts:
            self._dropped["artifacts"] += 1
            return False
        self._paths.add(path)
        return True

    def takes_rejected(self) -> bool:
        """Counts a rejected record; returns whether to keep it."""
        self.count_rejected(1)
        return self._taken[REJECTED] <= MAX_REJECTED

    def count_rejected(self, number: int) -> None:
        """Counts records that were rejected."""
        self._taken[REJECTED] += number

    def first_dropped(self, kind: Kind) -> str | None:
        """The log line after the first dropped record of a kind."""
        if self._dropped[kind] != 1:
            return None
        return f"more than {self._most(kind)} {NAMES[kind]}: the rest is dropped"

    def _most(self, kind: Kind) -> int:
        most: int = getattr(self._limits, kind)
        return most

    def as_stored(self) -> dict[str, Any] | None:
        """The counts as stored in the attempt's row."""
        if not self._taken and not self._dropped:
            return None
        return {"taken": dict(self._taken), "left_out": dict(self._dropped)}


def dropped(stored: Mapping[str, Any] | None) -> dict[str, int]:
    """Number of dropped records of each kind."""
    return dict((stored or {}).get("left_out", {}))


def rejected(stored: Mapping[str, Any] | None) -> int:
    """Number of rejected records and events."""
    return int((stored or {}).get("taken", {}).get(REJECTED, 0))
