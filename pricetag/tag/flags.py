"""The flags of a run and of its stages, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pricetag.accounting.document.records import StageTag
from pricetag.tag.names import shown_name
from pricetag.tag.view import TagView

FLAGS = {
    "above_power_limit": "a device drew more than its power limit",
    "accelerators_unseen": "a meter could not read all accelerators of the job: a lower bound",
    "activity_inconsistent": "a job's activity on a shared device contradicts itself",
    "activity_missing": "a job's activity on a shared device was not reported at all times",
    "carbon_hours_incomplete": "some hours have no carbon intensity of their own",
    "carbon_intensity_assumed": "no measured or published carbon intensity of the site is known",
    "carbon_intensity_unknown": "the carbon intensity is unknown, and so are the emissions",
    "clock_went_back": "a meter's clock went back; readings taken before it caught up are skipped",
    "component_missing": "a component reported no energy and is missing from the totals",
    "counter_caught_up": "an energy counter stalled and then caught up",
    "counter_far_from_model": "an energy counter and the model beside it differ more than fivefold",
    "counter_frozen": "an energy counter stalled; integrated power was used",
    "counter_integral_divergence": "counter and integrated power differ by more than 10%",
    "counter_reset": "an energy counter was reset; integrated power filled the gap",
    "edge_interpolated": "an edge fell between two readings",
    "end_unread": "the last moment of a lost attempt was not read; the interval includes it",
    "environment_changed": "the attempts ran with different software",
    "gap": "some readings are missing",
    "idle_power_unknown": "a shared device's idle power is unknown: half of its use counts as idle",
    "implausible_power": "an energy counter implied an impossible power; the counter was not used",
    "incomplete_coverage": "less than 99.9% of the run time was metered",
    "lost": "a device could no longer be read",
    "metered_twice": "several meters watched a device at the same time; it is counted once",
    "mig": "the device is a slice of a shared one",
    "mostly_modelled": "more than half of the energy is modelled, not metered",
    "no_counter": "the device has no energy counter",
    "no_permission": "the worker's user has no permission to read a meter",
    "no_power": "the device reports no power",
    "node_shared": "other jobs used the node at the same time, or may have: CPU and memory are an "
    "estimate by CPU time",
    "nodes_unmetered": "a node of the job had no meter: energy and cost are a lower bound",
    "not_covered": "a component was not metered",
    "nothing_metered": "nothing was metered",
    "nothing_reserved": "another job had reserved the machine and is charged its idle energy",
    "overallocated": "jobs were charged more of a device than it used",
    "overlapping_stages": "concurrent stages share the energy of their common time equally",
    "partly_covered": "a component was metered for only part of the time",
    "pue_assumed": "no measured or published PUE of the site is known",
    "reopened": "a meter was closed after errors and opened again",
    "reset": "a counter started again from a lower value",
    "several_attempts": "the run was attempted more than once",
    "several_sites": "the attempts ran at different sites; the last one's factors are applied",
    "short_window": "a window too short for its counter: an estimate with hard bounds",
    "source_error": "a meter reported errors",
    "tariff_hours_incomplete": "some hours have no electricity price of their own",
    "unavailable": "a meter was not available",
    "unreadable": "a counter could not be read",
    "wrap_ambiguous": "a counter may have wrapped between two readings",
}
"""The vocabulary: what each flag of a price tag means."""

QUIET = frozenset({"edge_aligned"})
"""Flags that do not reduce trust in a figure."""

_DRIVER_ERROR = re.compile(r"(nvml|amdsmi)_error_(-?\d+)")

MOST_NAMED = 5
"""Maximum number of stages named in a line."""


@dataclass(frozen=True, slots=True)
class StageFlag:
    """A flag with the names of the stages that have it, in order."""

    flag: str
    stages: tuple[str, ...]

    @property
    def text(self) -> str:
        """One line: the flag, its stages and its meaning."""
        named = ", ".join(self.stages[:MOST_NAMED])
        if len(self.stages) > MOST_NAMED:
            named += f" and {len(self.stages) - MOST_NAMED} more stages"
        return f"{flag_name(self.flag)} ({named}): {flag_text(self.flag)}"


def flag_name(flag: str) -> str:
    """A flag as text: ``short window``."""
    words = flag.split("_")
    return " ".join(word.upper() if word in {"mig", "pue"} else word for word in words)


def flag_text(flag: str) -> str:
    """The meaning of a flag; an unlisted one is shown unchanged."""
    if match := _DRIVER_ERROR.fullmatch(flag):
        return f"the library {match[1]} reported error {match[2]}"
    return FLAGS.get(flag, flag_name(flag))


def noteworthy(flags: Iterable[str]) -> list[str]:
    """The flags that reduce trust in a figure."""
    return [flag for flag in flags if flag not in QUIET]


def noteworthy_flags(tag: TagView) -> list[str]:
    """The flags of the run that reduce trust in a figure."""
    return noteworthy(tag.document.flags)


def stage_flags(tag: TagView) -> list[StageFlag]:
    """The noteworthy flags of stages, each with its stages.

    A flag that the run has as well is omitted if every metered stage has it: then it says
    nothing about a stage.
    """
    stages = [stage for stage in tag.document.stages if stage.status != "reused"]
    by_flag: dict[str, list[StageTag]] = {}
    for stage in stages:
        for flag in noteworthy(stage.energy.flags):
            by_flag.setdefault(flag, []).append(stage)
    return [
        StageFlag(flag, tuple(_name(tag, stage) for stage in flagged))
        for flag, flagged in sorted(by_flag.items())
        if len(flagged) < len(stages) or flag not in tag.document.flags
    ]


def _name(tag: TagView, stage: StageTag) -> str:
    name = shown_name(stage)
    return f"{stage.attempt}: {name}" if tag.has_several_attempts else name
