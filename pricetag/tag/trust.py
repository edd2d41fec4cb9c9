"""How far the figures can be trusted: flags, causes of error, another tool's opinion."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from pricetag.accounting.document.records import ErrorShare, Opinion
from pricetag.tag.view import TagView

FLAGS = {
    "above_power_limit": "a device drew more than its power limit",
    "activity_inconsistent": "a job's activity on a shared device contradicts itself",
    "activity_missing": "a job's activity on a shared device was not reported at all times",
    "carbon_hours_incomplete": "some hours have no carbon intensity of their own",
    "carbon_intensity_assumed": "the carbon intensity is assumed",
    "carbon_intensity_unknown": "the carbon intensity is unknown, and so are the emissions",
    "component_missing": "a component reported no energy and is missing from the totals",
    "counter_caught_up": "an energy counter stalled and then caught up",
    "counter_frozen": "an energy counter stalled; integrated power was used",
    "counter_integral_divergence": "counter and integrated power differ by more than 10%",
    "counter_reset": "an energy counter was reset; integrated power filled the gap",
    "edge_interpolated": "an edge fell between two readings",
    "end_unread": "the last moment of a lost attempt was not read; the interval includes it",
    "environment_changed": "the attempts ran with different software",
    "gap": "some readings are missing",
    "idle_power_unknown": "a shared device's idle power is unknown: half of its use counts as idle",
    "incomplete_coverage": "less than 99.9% of the run time was metered",
    "lost": "a device was lost",
    "metered_twice": "several meters watched a device at the same time; it is counted once",
    "mig": "the device is a slice of a shared one",
    "mostly_modelled": "more than half of the energy is modelled, not metered",
    "no_counter": "the device has no energy counter",
    "no_permission": "the worker's user has no permission to read a meter",
    "no_power": "the device reports no power",
    "not_covered": "a component was not metered",
    "nothing_metered": "nothing was metered",
    "nothing_reserved": "another job had reserved the machine and is charged its idle energy",
    "overallocated": "jobs were charged more of a device than it used",
    "partly_covered": "a component was metered for only part of the time",
    "pue_assumed": "the PUE is assumed",
    "reset": "a counter was reset",
    "reopened": "a meter was reopened",
    "several_attempts": "the run was attempted more than once",
    "several_sites": "the attempts ran at different sites; the last one's factors are applied",
    "short_window": "a window too short for its counter: an estimate with hard bounds",
    "source_error": "a meter reported errors",
    "tariff_hours_incomplete": "some hours have no electricity price of their own",
    "unavailable": "a meter was not available",
    "unreadable": "a counter could not be read",
    "wrap_ambiguous": "a counter may have wrapped between two readings",
}


QUIET = frozenset({"edge_aligned"})
"""Flags that do not reduce trust in a figure."""


def flag_text(flag: str) -> str:
    """A flag in words; one that is not listed is shown as it is."""
    return FLAGS.get(flag, flag.replace("_", " "))


def noteworthy_flags(tag: TagView) -> list[str]:
    """The flags that reduce trust in a figure."""
    return [flag for flag in tag.document.flags if flag not in QUIET]


@dataclass(frozen=True, slots=True)
class Causes:
    """The causes of error of one total, largest first."""

    label: str
    shares: Sequence[ErrorShare]

    @property
    def std_ratio(self) -> float:
        """The relative error of the total, one sigma."""
        return math.hypot(*(share.relative_std_ratio for share in self.shares))


def error_causes(tag: TagView) -> Iterator[Causes]:
    """The causes of error of every total that has any."""
    budget = tag.document.uncertainty
    for label, shares in (
        ("IT energy", budget.it_energy),
        ("Facility energy", budget.facility_energy),
        ("CO2e", budget.co2e),
        ("Cost", budget.cost),
    ):
        if shares:
            yield Causes(label, shares)


def models(tag: TagView, kinds: Container[str] = ("cpu", "ram", "host")) -> list[str]:
    """How the power of each modelled component was obtained, with the source; each once.

    Args:
        tag: The price tag.
        kinds: Of which components.
    """
    lines = dict.fromkeys(
        f"{component.name} is modelled: {component.notes}"
        for component in tag.document.energy.components
        if component.method == "modelled" and component.kind in kinds and component.notes
    )
    return list(lines)


def second_tool(tag: TagView) -> str | None:
    """The other tool with its version; None where none ran."""
    opinion = tag.document.second_opinion
    return None if opinion is None else f"{opinion.tool} {opinion.version or ''}".strip()


def compared_attempts(tag: TagView) -> str | None:
    """The attempts that the second opinion covers (``attempt 2 of 2``); None if all or none."""
    opinion, count = tag.document.second_opinion, len(tag.document.attempts)
    if opinion is None or not 0 < len(opinion.attempts) < count:
        return None
    noun = "attempt" if len(opinion.attempts) == 1 else "attempts"
    return f"{noun} {', '.join(map(str, opinion.attempts))} of {count}"


def opinions(tag: TagView) -> list[tuple[str, Opinion]]:
    """The second opinion by kind of component, then of all together."""
    opinion = tag.document.second_opinion
    if opinion is None:
        return []
    return [*((part.kind, part.opinion) for part in opinion.components), ("all", opinion.total)]


def second_difference_ratio(tag: TagView) -> float | None:
    """The other tool's figure compared with the gross energy, since it sees whole machines."""
    opinion = tag.document.second_opinion
    if opinion is None:
        return None
    theirs, gross = opinion.total.theirs_kwh.value, opinion.total.ours_gross_kwh.value
    if theirs is None or not gross:
        return opinion.total.difference_ratio.value
    return theirs / gross - 1
