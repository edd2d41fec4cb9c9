"""Figures of a price tag for lists: totals with intervals, score, flags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pricetag.accounting.bill.figures import CostTag, EnergyTag, FootprintTag
from pricetag.accounting.document.records import Hardware, QualityTag, SecondOpinionTag
from pricetag.accounting.quantity.record import INLINE, InvalidDocument, Record
from pricetag.accounting.work.figures import FlopsTag
from pricetag.tag.figure import Figure, Shown, scaled
from pricetag.tag.flags import noteworthy
from pricetag.tag.scores import LOWER_IS_BETTER, SCORES
from pricetag.tag.view import hardware_text

UNITS = {
    "duration_s": "s",
    "it_energy_kwh": "kWh",
    "facility_energy_kwh": "kWh",
    "co2e_kg": "kg",
    "co2e_market_kg": "kg",
    "cost": "money",
    "flops_dense": "FLOP",
    "kwh_per_score": "kWh",
}
"""Figures of a headline, with the unit of one that is unknown."""

SPLITS = ("validation", "test", None, "train")
"""Splits of the score that a list shows: the first of these that was scored."""

UNREADABLE = "this version cannot read the price tag"
NO_SCORE = "no score was reported"


@dataclass(frozen=True, slots=True)
class _Read(Record):
    """The parts of a price tag that a headline needs: neither stages nor causes of error."""

    schema: str
    run_id: str
    version: int
    hardware: Hardware
    energy: Annotated[EnergyTag, INLINE]
    footprint: Annotated[FootprintTag, INLINE]
    flops: FlopsTag
    cost: CostTag
    quality: tuple[QualityTag, ...]
    second_opinion: SecondOpinionTag | None


def headline_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """The figures for lists, from a price tag in JSON form, as plain data.

    Args:
        content: The price tag. One that cannot be read has only unknown figures.

    Returns:
        ``figures`` by name, each ``{value, low, high, unit, source, reason}``; ``score``,
        ``hardware``, ``flags`` and ``second_opinion``.
    """
    try:
        return _of(_Read.from_dict(content))
    except InvalidDocument:
        unknown = {name: Figure.unknown(UNREADABLE, unit) for name, unit in UNITS.items()}
        return {
            "figures": {name: figure.as_dict() for name, figure in unknown.items()},
            "score": None,
            "hardware": None,
            "flags": [],
            "second_opinion": None,
        }


def _of(document: _Read) -> dict[str, Any]:
    energy = document.energy
    score = shown_score(document.quality)
    figures: dict[str, Shown] = {
        "duration_s": energy.duration_s,
        "it_energy_kwh": energy.it_energy_kwh,
        "facility_energy_kwh": energy.facility_energy_kwh,
        "co2e_kg": energy.co2e_kg,
        "co2e_market_kg": document.footprint.co2e_market_kg,
        "cost": document.cost.total,
        "flops_dense": document.flops.dense,
        "kwh_per_score": kwh_per_score(energy.it_energy_kwh, score),
    }
    return {
        "figures": {name: Figure.of(figure).as_dict() for name, figure in figures.items()},
        "score": None
        if score is None
        else {"metric": score.metric, "split": score.split, "value": score.value},
        "hardware": hardware_text(document.hardware),
        "flags": noteworthy(energy.flags),
        "second_opinion": _second_opinion(document.second_opinion),
    }


def shown_score(quality: tuple[QualityTag, ...]) -> QualityTag | None:
    """The score that represents a run: its best-known metric, of its last model.

    It is on the validation split, or else on the first other split that was scored.
    """
    scored = [item for item in quality if item.metric in SCORES and item.value is not None]
    if not scored:
        return None
    metric = min((item.metric for item in scored), key=SCORES.index)
    by_split = {item.split: item for item in scored if item.metric == metric}
    named = [by_split[split] for split in SPLITS if split in by_split]
    return named[0] if named else next(iter(by_split.values()))


def kwh_per_score(energy: Shown, score: QualityTag | None) -> Figure:
    """IT energy divided by the score, in kWh for a score of 1."""
    if score is None or score.value is None:
        return Figure.unknown(NO_SCORE, "kWh")
    if score.metric in LOWER_IS_BETTER:
        return Figure.unknown(f"a smaller {score.metric} is better", "kWh")
    if score.value <= 0:
        return Figure.unknown("the score is not above 0", "kWh")
    return scaled(energy, 1 / score.value, "kWh")


def _second_opinion(opinion: SecondOpinionTag | None) -> dict[str, Any] | None:
    if opinion is None:
        return None
    total = opinion.total
    # The other tool sees whole machines.
    is_gross = total.gross_difference_ratio.value is not None
    difference = total.gross_difference_ratio if is_gross else total.difference_ratio
    return {
        "tool": opinion.tool,
        "compared_with": "gross" if is_gross else "charged",
        "difference_ratio": Figure.of(difference).as_dict(),
    }
