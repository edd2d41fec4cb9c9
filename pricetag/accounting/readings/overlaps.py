"""Concurrent stages, in threads or tasks, share the energy of their common time.

In each interval in which k stages of one parent are open, each of them gets 1/k of their
parent's energy in that interval; stages without a parent share the energy of the attempt. The
energies of stages then never exceed that of their parent. If stages only nest or follow each
other, k is 1 and nothing changes. A stage that outlives its parent counts, from then on, as a
child of its nearest open ancestor.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pricetag.accounting.quantity.quantity import Source
from pricetag.accounting.readings.ledger import Ledger
from pricetag.accounting.readings.window import WindowEnergy

OVERLAPPING = "overlapping_stages"
"""Flag of a stage that shares its energy with concurrent stages, or outlived its parent."""

MAX_PARTS = 2_000_000
"""Maximum number of stages times intervals; this many take some seconds per component."""


@dataclass(frozen=True, slots=True)
class StageSpan:
    """Start and end of a stage, on the clock of its attempt's meter.

    Attributes:
        key: Key of the stage.
        parent_key: Key of the stage in which it was opened.
        start_s: Start of the stage.
        end_s: End of the stage.
    """

    key: str
    parent_key: str | None
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Part:
    """Share of one stage in an interval.

    Attributes:
        around: Key of its open parent.
        ratio: Its share of the attempt's energy.
    """

    around: str | None
    ratio: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """An interval in which no stage begins or ends.

    Attributes:
        start_s: Beginning of the interval.
        end_s: End of the interval.
        parts: Share of each open stage, by key.
    """

    start_s: float
    end_s: float
    parts: Mapping[str, Part]


class TooManyOverlapsError(ValueError):
    """Stages overlap too often for their energy to be divided in reasonable time."""


def stretches(spans: Sequence[StageSpan], cuts: Iterable[float] = ()) -> list[Stretch]:
    """Cuts an attempt at every edge of a stage.

    Args:
        spans: Stages of the attempt.
        cuts: Additional times at which to cut.

    Raises:
        TooManyOverlapsError: If too many stages overlap, which would take minutes.
    """
    parents = {span.key: span.parent_key for span in spans}
    begins: dict[float, list[str]] = {}
    ends: dict[float, list[str]] = {}
    for span in spans:
        if span.end_s > span.start_s:
            begins.setdefault(span.start_s, []).append(span.key)
            ends.setdefault(span.end_s, []).append(span.key)
    times = sorted({*begins, *ends, *cuts})
    open_keys: set[str] = set()
    parts = 0
    result: list[Stretch] = []
    for here_s, next_s in itertools.pairwise(times):
        open_keys.difference_update(ends.get(here_s, ()))
        open_keys.update(begins.get(here_s, ()))
        parts += len(open_keys)
        if parts > MAX_PARTS:
            raise TooManyOverlapsError(f"more than {MAX_PARTS} parts of stages side by side")
        if open_keys:
            result.append(_stretch(here_s, next_s, open_keys, parents))
    return result


def overlapping(spans: Sequence[StageSpan]) -> frozenset[str]:
    """Keys of the stages that share energy with concurrent stages, or outlive their parent.

    Raises:
        TooManyOverlapsError: If too many stages overlap, which would take minutes.
    """
    parents = {span.key: span.parent_key for span in spans}
    keys: set[str] = set()
    for stretch in stretches(spans):
        for key, part in stretch.parts.items():
            if part.ratio < 1.0 or (part.around != parents[key] and parents[key] in parents):
                keys.add(key)
    return frozenset(keys)


@dataclass(frozen=True, slots=True)
class SharedEnergy:
    """Energy of one component for a stage that runs concurrently with others.

    Attributes:
        window: Energy over the whole stage.
        parts: Beginning and charged energy (J) of each interval.
    """

    window: WindowEnergy
    parts: tuple[tuple[float, float], ...]


def share_overlaps(
    ledger: Ledger, timeline: Sequence[Stretch], keys: Collection[str]
) -> dict[str, SharedEnergy]:
    """The energy of concurrent stages in one component.

    Args:
        ledger: The component's readings.
        timeline: The intervals of all stages of the attempt.
        keys: Keys of the stages to settle.
    """
    parts: dict[str, list[tuple[float, WindowEnergy]]] = {key: [] for key in keys}
    for stretch in timeline:
        shared = [key for key in stretch.parts if key in parts]
        if shared:
            window = ledger.window(stretch.start_s, stretch.end_s)
            for key in shared:
                parts[key].append((stretch.parts[key].ratio, window))
    return {key: _together(ledger, some) for key, some in parts.items() if some}


def _together(ledger: Ledger, parts: Sequence[tuple[float, WindowEnergy]]) -> SharedEnergy:
    window = ledger.window(parts[0][1].start_s, parts[-1][1].end_s)
    charged = tuple((part.start_s, ratio * (part.energy_j or 0.0)) for ratio, part in parts)
    return SharedEnergy(_sum(window, parts), charged)


def _stretch(
    start_s: float, end_s: float, open_keys: set[str], parents: Mapping[str, str | None]
) -> Stretch:
    around: dict[str, str | None] = {}
    for key in open_keys:
        parent = parents[key]
        while parent is not None and parent not in open_keys:
            parent = parents.get(parent)
        around[key] = parent
    beside = Counter(around.values())
    ratios: dict[str | None, float] = {None: 1.0}

    def ratio(key: str | None) -> float:
        if key not in ratios:
            assert key is not None  # None is in the mapping from the beginning
            ratios[key] = ratio(around[key]) / beside[around[key]]
        return ratios[key]

    parts = {key: Part(parent, ratio(key)) for key, parent in around.items()}
    return Stretch(start_s, end_s, parts)


def _sum(span: WindowEnergy, parts: Sequence[tuple[float, WindowEnergy]]) -> WindowEnergy:
    """The sum of a stage's parts, with all other fields of the whole window."""
    flags = tuple(sorted({*span.flags, OVERLAPPING}))
    if span.energy_j is None:
        return replace(span, flags=flags)
    by_source: dict[Source, float] = dict.fromkeys(span.energy_by_source_j, 0.0)
    baseline_j = 0.0
    for ratio, window in parts:
        for source, energy_j in window.energy_by_source_j.items():
            by_source[source] = by_source.get(source, 0.0) + ratio * energy_j
        baseline_j += ratio * (window.baseline_j or 0.0)
    energy_j = sum(by_source.values())
    return replace(
        span,
        energy_j=energy_j,
        energy_by_source_j=by_source,
        baseline_j=None if span.baseline_j is None else min(baseline_j, energy_j),
        flags=flags,
    )
