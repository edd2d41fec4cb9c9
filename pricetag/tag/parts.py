"""The parts of the energy: stages, outside the stages, attempts, the whole run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pricetag.accounting.bill.figures import EnergyTag
from pricetag.accounting.document.records import AttemptTag, StageTag
from pricetag.tag.figure import Shown, share_of
from pricetag.tag.names import shown_name
from pricetag.tag.view import TagView

LEAST_RATIO = 0.0005
"""Smallest share outside the stages that gets a row."""


@dataclass(frozen=True, slots=True)
class Part:
    """A row: a stage, the energy outside the stages, an attempt, or the whole run.

    Attributes:
        name: Its name; empty for the energy outside the stages.
        status: How it ended; empty if it has no separate end.
        attempt: Number of the attempt; None for all attempts together.
        depth: Number of stages around it.
        it_energy_kwh: Its IT energy.
        share_ratio: Its part of the run's IT energy; None where it has none.
        energy: All of its energy figures; None for the energy outside the stages.
    """

    name: str
    status: str
    attempt: int | None
    depth: int
    it_energy_kwh: Shown
    share_ratio: Shown | None
    energy: EnergyTag | None


def stage_part(tag: TagView, stage: StageTag) -> Part:
    """A stage."""
    return Part(
        shown_name(stage),
        stage.status,
        stage.attempt,
        tag.stage_depth(stage),
        stage.energy.it_energy_kwh,
        stage.share_ratio,
        stage.energy,
    )


def outside_part(tag: TagView, attempt: AttemptTag | None = None) -> Part:
    """Energy outside the stages, of one attempt or of all; with it the shares add up."""
    outside = (tag.document.provenance if attempt is None else attempt).outside_stages
    share = share_of(outside.it_energy_kwh, tag.document.energy.it_energy_kwh)
    number = None if attempt is None else attempt.number
    return Part("", "", number, 0, outside.it_energy_kwh, share, None)


def stages_with_outside(tag: TagView) -> list[Part]:
    """The stages of all attempts, then the energy outside them if it is worth a row."""
    parts = [stage_part(tag, stage) for stage in tag.document.stages]
    outside = outside_part(tag)
    share = outside.share_ratio
    if share is not None and share.value is not None and share.value >= LEAST_RATIO:
        parts.append(outside)
    return parts


def parts_by_attempt(tag: TagView) -> Iterator[tuple[AttemptTag, list[Part]]]:
    """For each attempt its stages, then the energy outside them."""
    for attempt in tag.document.attempts:
        stages = [s for s in tag.document.stages if s.attempt == attempt.number]
        yield attempt, [*(stage_part(tag, s) for s in stages), outside_part(tag, attempt)]


def attempt_part(attempt: AttemptTag) -> Part:
    """A whole attempt."""
    return Part(
        f"Attempt {attempt.number}",
        attempt.status,
        attempt.number,
        0,
        attempt.energy.it_energy_kwh,
        attempt.share_ratio,
        attempt.energy,
    )
