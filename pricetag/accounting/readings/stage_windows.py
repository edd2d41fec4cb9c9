"""The stages of an attempt as windows on its readings, including overlapping stages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from pricetag.accounting.readings.hours import energy_by_hour_j, hour_spans
from pricetag.accounting.readings.ledger import Ledger, WindowEnergy
from pricetag.accounting.readings.overlaps import (
    StageSpan,
    Stretch,
    TooManyOverlapsError,
    overlapping,
    share_overlaps,
    stretches,
)


class BegunStage(Protocol):
    """A stage of an attempt, as stored; ``end_s`` is None if it never ended."""

    @property
    def key(self) -> str:
        """Key of the stage within its attempt."""
        ...

    @property
    def parent_key(self) -> str | None:
        """Key of the stage around it."""
        ...

    @property
    def start_s(self) -> float:
        """Start on the meter's clock, in s."""
        ...

    @property
    def end_s(self) -> float | None:
        """End on the meter's clock, in s."""
        ...

    @property
    def flags(self) -> Sequence[str]:
        """Flags of its edges."""
        ...


@dataclass(frozen=True, slots=True)
class StageEnergy:
    """The energy of one stage in one component, in total and by hour."""

    stage_key: str
    window: WindowEnergy
    by_hour_j: dict[str, float]


@dataclass(frozen=True, slots=True)
class StagePlan:
    """The stages of one attempt, independent of components.

    Attributes:
        spans: Start and end of each stage.
        flags: Flags of the stages.
        timeline: Intervals in which no stage begins or ends; empty if no stages overlap.
        shared: Keys of the stages that share energy with others.
        undivided: Reason why the energy of the stages is unknown.
    """

    spans: tuple[StageSpan, ...]
    flags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    timeline: tuple[Stretch, ...] = ()
    shared: frozenset[str] = frozenset()
    undivided: str | None = None


def plan(
    stages: Iterable[BegunStage], *, end_s: float, opened_at: datetime, shares_overlaps: bool
) -> StagePlan:
    """Start and end of each stage, and which stages share energy.

    Args:
        stages: Stages of the attempt.
        end_s: End of the attempt, also for stages without an end.
        opened_at: Zero of the meter's clock.
        shares_overlaps: Whether overlapping stages of this attempt share energy; price tags of
            attempts from before this rule stay as they were issued.
    """
    spans: list[StageSpan] = []
    flags: dict[str, tuple[str, ...]] = {}
    for stage in stages:
        stop_s = end_s if stage.end_s is None else stage.end_s
        span = StageSpan(stage.key, stage.parent_key, stage.start_s, max(stop_s, stage.start_s))
        spans.append(span)
        flags[stage.key] = tuple(stage.flags)
    if not shares_overlaps:
        return StagePlan(tuple(spans), flags)
    try:
        shared = overlapping(spans)
        hours = [hour.end_s for hour in hour_spans(opened_at, 0.0, end_s)]
        timeline = stretches(spans, hours) if shared else []
    except TooManyOverlapsError as error:
        return StagePlan(tuple(spans), flags, undivided=str(error))
    return StagePlan(tuple(spans), flags, tuple(timeline), shared)


def stage_energies(ledger: Ledger, stages: StagePlan, opened_at: datetime) -> Iterator[StageEnergy]:
    """The energy of every stage in one component.

    Args:
        ledger: The component's readings.
        stages: The attempt's stages.
        opened_at: Zero of their clock, with time zone.
    """
    shared = share_overlaps(ledger, stages.timeline, stages.shared)
    hours = {
        stretch.start_s: next(hour_spans(opened_at, stretch.start_s, stretch.end_s)).key
        for stretch in stages.timeline
    }
    for span in stages.spans:
        energy = shared.get(span.key)
        if energy is None:
            window = _unshared(ledger, span, stages.undivided)
            by_hour_j = energy_by_hour_j(ledger, opened_at, span.start_s, span.end_s)
        else:
            window = energy.window
            by_hour_j = _by_hour(energy.parts, hours)
        yield StageEnergy(span.key, _flagged(window, stages.flags[span.key]), by_hour_j)


def _unshared(ledger: Ledger, span: StageSpan, undivided: str | None) -> WindowEnergy:
    window = ledger.window(span.start_s, span.end_s)
    if undivided is None or window.energy_j is None:
        return window
    unknown = replace(window, energy_j=None, reason=undivided, energy_by_source_j={})
    return replace(unknown, device_energy_j=None, baseline_j=None, covered_s=0.0)


def _flagged(window: WindowEnergy, flags: Sequence[str]) -> WindowEnergy:
    return replace(window, flags=tuple(sorted({*window.flags, *flags}))) if flags else window


def _by_hour(parts: Iterable[tuple[float, float]], hours: dict[float, str]) -> dict[str, float]:
    by_hour_j: dict[str, float] = {}
    for start_s, energy_j in parts:
        if energy_j > 0:
            by_hour_j[hours[start_s]] = by_hour_j.get(hours[start_s], 0.0) + energy_j
    return by_hour_j
