"""Stages that run side by side, in threads or tasks, share the energy of that time.

In each stretch of time in which k stages of one parent are open, each of them has 1/k of what
their parent has in that stretch; stages without a parent share what the attempt has. Energies
of stages then add up to no more than their parent's. Where stages only nest or follow one
another, k is 1 and nothing changes. A stage that outlives its parent counts, from there on, as
a stage of the nearest one around it that is open.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pricetag.accounting.quantity.quantity import Source
from pricetag.accounting.readings.ledger import EnergyLedger
from pricetag.accounting.readings.window import WindowEnergy

OVERLAPPING = "overlapping_stages"
"""The flag of a stage that shares its energy with stages beside it, or outlived its parent."""

MAX_PARTS = 2_000_000
"""Stages times stretches of time that are looked at: some seconds for each component."""


@dataclass(frozen=True, slots=True)
class StageSpan:
    """When a stage ran, on the clock of its attempt's meter.

    Attributes:
        key: Its own.
        parent_key: Of the stage in which it was opened.
        start_s: When it began.
        end_s: When it ended.
    """

    key: str
    parent_key: str | None
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Part:
    """What one stage has of a stretch of time.

    Attributes:
        around: Key of the open stage around it.
        ratio: Its part of the attempt's energy.
    """

    around: str | None
    ratio: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time in which no stage begins or ends.

    Attributes:
        start_s: Its beginning.
        end_s: Its end.
        parts: What each open stage has of it, by key.
    """

    start_s: float
    end_s: float
    parts: Mapping[str, Part]


class TooManyOverlapsError(ValueError):
    """Stages overlap too often for their energy to be divided in reasonable time."""


def stretches(spans: Sequence[StageSpan], cuts: Iterable[float] = ()) -> list[Stretch]:
    """Cuts the time of an attempt at every edge of a stage.

    Args:
        spans: Its stages.
        cuts: Further times to cut at.

    Raises:
        TooManyOverlapsError: If too many stages overlap: it would take minutes.
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
    """Keys of the stages that share energy with others beside them, or outlive their parent.

    Raises:
        TooManyOverlapsError: If too many stages overlap: it would take minutes.
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
    """What a stage that runs beside others has of one component.

    Attributes:
        window: Over its whole time.
        parts: Beginning and charged energy (J) of each stretch.
    """

    window: WindowEnergy
    parts: tuple[tuple[float, float], ...]


def share_overlaps(
    ledger: EnergyLedger, timeline: Sequence[Stretch], keys: Collection[str]
) -> dict[str, SharedEnergy]:
    """The energy of stages that run side by side, in one component.

    Args:
        ledger: The component's readings.
        timeline: The stretches of all stages of the attempt.
        keys: The stages to settle.
    """
    parts: dict[str, list[tuple[float, WindowEnergy]]] = {key: [] for key in keys}
    for stretch in timeline:
        shared = [key for key in stretch.parts if key in parts]
        if shared:
            window = ledger.window(stretch.start_s, stretch.end_s)
            for key in shared:
                parts[key].append((stretch.parts[key].ratio, window))
    return {key: _together(ledger, some) for key, some in parts.items() if some}


def _together(ledger: EnergyLedger, parts: Sequence[tuple[float, WindowEnergy]]) -> SharedEnergy:
    whole = ledger.window(parts[0][1].start_s, parts[-1][1].end_s)
    charged = tuple((part.start_s, ratio * (part.energy_j or 0.0)) for ratio, part in parts)
    return SharedEnergy(_sum(whole, parts), charged)


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
            assert key is not None  # None is there from the beginning
            ratios[key] = ratio(around[key]) / beside[around[key]]
        return ratios[key]

    parts = {key: Part(parent, ratio(key)) for key, parent in around.items()}
    return Stretch(start_s, end_s, parts)


def _sum(whole: WindowEnergy, parts: Sequence[tuple[float, WindowEnergy]]) -> WindowEnergy:
    """A stage's parts together; what is not energy is that of the whole time."""
    flags = tuple(sorted({*whole.flags, OVERLAPPING}))
    if whole.energy_j is None:
        return replace(whole, flags=flags)
    by_source: dict[Source, float] = dict.fromkeys(whole.energy_by_source_j, 0.0)
    baseline_j = 0.0
    for ratio, window in parts:
        for source, energy_j in window.energy_by_source_j.items():
            by_source[source] = by_source.get(source, 0.0) + ratio * energy_j
        baseline_j += ratio * (window.baseline_j or 0.0)
    energy_j = sum(by_source.values())
    return replace(
        whole,
        energy_j=energy_j,
        energy_by_source_j=by_source,
        baseline_j=None if whole.baseline_j is None else min(baseline_j, energy_j),
        flags=flags,
    )
