"""The record of a study: its trials, and the rungs that each has run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["open", "done", "failed", "canceled"]


@dataclass(frozen=True, slots=True)
class RungRecord:
    """A run of a trial.

    Attributes:
        rung: Number of the rung in its bracket, from 0.
        state: Whether its run is open, has succeeded, has failed or was canceled.
        score: Last reported value of the study's metric; None if there is none.
        best: Best value reported until its end, of a run that evaluates several times.
    """

    rung: int
    state: State
    score: float | None = None
    best: float | None = None


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A trial: its number in the study, its values, and its rungs in order."""

    number: int
    bracket: int
    values: Mapping[str, Any]
    rungs: tuple[RungRecord, ...]

    @property
    def last(self) -> RungRecord:
        """The rung that it ran last."""
        return self.rungs[-1]

    @property
    def is_open(self) -> bool:
        """Whether one of its runs waits or runs."""
        return self.last.state == "open"


@dataclass(frozen=True, slots=True)
class Start:
    """Start a new trial in the first rung of its bracket."""

    number: int
    bracket: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Promote:
    """Continue a trial in the next rung."""

    number: int
    rung: int


End = Literal[
    "completed", "budget-reached", "cancelled", "metric-not-reported", "all-trials-failed"
]


@dataclass(frozen=True, slots=True)
class Finish:
    """End the study."""

    reason: End


Action = Start | Promote | Finish
