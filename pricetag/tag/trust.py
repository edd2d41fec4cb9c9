"""The reliability of the figures: causes of error, models, the second opinion."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from pricetag.accounting.document.records import ErrorShare, Opinion
from pricetag.accounting.readings.reading import MODELS
from pricetag.tag.view import TagView


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
    """How modelled and estimated figures were obtained, with the source; each once.

    Args:
        tag: The price tag.
        kinds: Kinds of components.
    """
    lines = dict.fromkeys(
        f"{component.name} is {component.method}: {component.notes}"
        for component in tag.document.energy.components
        if component.method in MODELS and component.kind in kinds and component.notes
    )
    return list(lines)


def second_tool(tag: TagView) -> str | None:
    """The other tool with its version; None if none ran."""
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
