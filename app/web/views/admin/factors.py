"""Factors of sites as view models: current factors, entries, effects of a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from app.schemas.common import Quantity
from app.schemas.factor_preview import Effect, FactorPreview, RunEffect, SiteEffect
from app.schemas.factors import FactorRead
from app.schemas.sites import FactorNow, SiteFactors
from app.web.views.figures import FigureView, figure, money, unknown
from pricetag.accounting.bill.charges import bounded_quantity
from pricetag.accounting.bill.inputs import Factor
from pricetag.accounting.quantity.quantity import Source
from pricetag.accounting.quantity.uncertainty import Term, combine
from pricetag.tag.figure import Figure
from pricetag.tag.figures import Unit, column_unit

KINDS: Mapping[str, str] = {
    "pue": "PUE",
    "carbon_location": "Carbon intensity of the grid",
    "carbon_market": "Carbon intensity of the contract",
    "tariff": "Electricity tariff",
    "wue": "Water for cooling",
    "water_intensity": "Water of power plants",
    "embodied": "Embodied emissions",
    "calibration": "Calibration of a meter",
}
"""Kinds of factors in words, in the order in which they are entered most."""

ORIGINS = {
    "site": "entered for the site",
    "lab": "entered for the lab",
    "settings": "setting of the server",
    "catalog": "catalog",
}


@dataclass(frozen=True, slots=True)
class FactorRow:
    """A factor that applies now, or was entered.

    Attributes:
        title: What it is.
        subject: Device, hardware or zone that it is about; empty for all.
        value: Its value.
        origin: Where it comes from.
        citation: Its source, with year, basis and license.
        url: Web address of the source; empty without one.
        valid_from: Start of validity; None where it always applied.
        valid_to: End of validity; None without one.
        note: What else there is to say.
    """

    title: str
    subject: str
    value: FigureView
    origin: str
    citation: str
    url: str
    valid_from: datetime | None
    valid_to: datetime | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class UnknownRow:
    """A factor that is not known."""

    title: str
    value: FigureView


def rows_now(site: SiteFactors) -> tuple[Sequence[FactorRow], Sequence[UnknownRow]]:
    """The factors of this hour, and those that are not known."""
    order = list(KINDS)
    factors = sorted(site.factors, key=lambda item: (order.index(item.kind), item.subject))
    missing = [UnknownRow(KINDS[kind], unknown(reason)) for kind, reason in site.unknown.items()]
    return [_now(factor) for factor in factors], missing


def _now(factor: FactorNow) -> FactorRow:
    return FactorRow(
        title=KINDS[factor.kind],
        subject=factor.subject,
        value=factor_figure(
            factor.kind,
            factor.value,
            factor.unit,
            factor.relative_std_ratio,
            factor.evidence,
            multiplicative=factor.multiplicative,
        ),
        origin=ORIGINS.get(factor.origin, factor.origin),
        citation=_citation(factor.source, factor.year, factor.basis, factor.licence),
        url=factor.source_url or "",
        valid_from=factor.valid_from,
        valid_to=factor.valid_to,
        note="of this hour" if factor.by_the_hour else "",
    )


def rows_entered(factors: Sequence[FactorRead]) -> Sequence[FactorRow]:
    """Factors as they were entered."""
    return [_entered(factor) for factor in factors]


def _entered(factor: FactorRead) -> FactorRow:
    return FactorRow(
        title=KINDS.get(factor.kind, factor.kind),
        subject=factor.subject,
        value=factor_figure(
            factor.kind,
            float(factor.value),
            factor.unit,
            factor.relative_std_ratio,
            factor.evidence,
            multiplicative=factor.multiplicative,
        ),
        origin=factor.site or "the lab",
        citation=_citation(factor.source, factor.year, factor.basis, factor.licence),
        url=factor.source_url,
        valid_from=factor.valid_from,
        valid_to=factor.valid_to,
        note="planned" if factor.planned else "",
    )


def factor_figure(
    kind: str, value: float, unit: str, std_ratio: float, evidence: str, *, multiplicative: bool
) -> FigureView:
    """A factor with its 95% interval; a PUE is at least 1.

    Args:
        kind: Kind of the factor.
        value: The factor.
        unit: Its unit.
        std_ratio: Its relative error, one sigma.
        evidence: How it was obtained.
        multiplicative: Whether the error is a factor.
    """
    if kind == "pue":
        source = cast(Source, evidence)
        pue = Factor(value, unit, std_ratio, source, "", multiplicative=multiplicative)
        return figure(bounded_quantity(pue, 1.0))
    ends = combine([Term(value, "factor", std_ratio, multiplicative=multiplicative)])
    return figure(Figure(value, ends.low, ends.high, unit, evidence))


def _citation(source: str, year: int | None, basis: str | None, licence: str | None) -> str:
    return "; ".join(str(part) for part in (source, year, basis, licence) if part)


@dataclass(frozen=True, slots=True)
class EffectView:
    """A figure without and with a factor.

    Attributes:
        before: Without it.
        after: With it.
        change: The difference in words.
        is_change: Whether there is one.
    """

    before: FigureView
    after: FigureView
    change: str
    is_change: bool


@dataclass(frozen=True, slots=True)
class SiteRow:
    """The effect on a site's month."""

    effect: SiteEffect
    energy: FigureView
    co2e: EffectView
    cost: EffectView


@dataclass(frozen=True, slots=True)
class RunRow:
    """The effect on a run, if it were re-priced."""

    effect: RunEffect
    co2e: EffectView
    embodied: EffectView
    cost: EffectView


@dataclass(frozen=True, slots=True)
class PreviewView:
    """Effect of a factor.

    Attributes:
        preview: As the API states it.
        value: The factor.
        title: What it is.
        covered: How many runs it covers, in a sentence.
        sites: The effect on this month, by site.
        examples: The effect on the newest runs.
        changes_month: Whether anything of this month would change.
    """

    preview: FactorPreview
    value: FigureView
    title: str
    covered: str
    sites: Sequence[SiteRow]
    examples: Sequence[RunRow]
    changes_month: bool


def preview(result: FactorPreview, evidence: str, *, multiplicative: bool) -> PreviewView:
    """The view of a preview.

    Args:
        result: The preview.
        evidence: How the factor was obtained.
        multiplicative: Whether its error is a factor.
    """
    sites = _sites(result.sites)
    return PreviewView(
        preview=result,
        value=factor_figure(
            result.kind,
            float(result.value),
            result.unit,
            result.relative_std_ratio,
            evidence,
            multiplicative=multiplicative,
        ),
        title=KINDS[result.kind],
        covered=_covered(result),
        sites=sites,
        examples=_runs(result.examples),
        changes_month=any(row.co2e.is_change or row.cost.is_change for row in sites),
    )


def _covered(result: FactorPreview) -> str:
    if not result.attempts:
        return "No finished attempt is within its time: no price tag would change by re-pricing."
    attempts = f"{result.attempts:,}{'+' if result.at_least else ''}"
    noun = "attempt" if result.attempts == 1 else "attempts"
    runs = f"{result.runs:,} {'run' if result.runs == 1 else 'runs'}"
    return (
        f"Its time covers {attempts} finished {noun} of {runs}: at most these would get other"
        " figures if they were re-priced. Issued price tags keep theirs."
    )


def _sites(effects: Sequence[SiteEffect]) -> Sequence[SiteRow]:
    energy = column_unit([effect.it_energy_kwh.value for effect in effects], "kWh")
    co2e = _unit([effect.co2e_kg for effect in effects])
    return [
        SiteRow(
            effect,
            figure(_shown(effect.it_energy_kwh), shown=energy),
            _both(effect.co2e_kg, co2e),
            _both(effect.electricity_cost, None),
        )
        for effect in effects
    ]


def _runs(effects: Sequence[RunEffect]) -> Sequence[RunRow]:
    co2e = _unit([effect.co2e_kg for effect in effects])
    embodied = _unit([effect.embodied_co2e_kg for effect in effects])
    return [
        RunRow(
            effect,
            _both(effect.co2e_kg, co2e),
            _both(effect.embodied_co2e_kg, embodied),
            _both(effect.cost, None),
        )
        for effect in effects
    ]


def _unit(effects: Sequence[Effect]) -> Unit:
    """The unit of two columns of masses."""
    return column_unit(
        [end.value for effect in effects for end in (effect.before, effect.after)], "kg"
    )


def _both(effect: Effect, shown: Unit | None) -> EffectView:
    before, after = (_cell(end, shown) for end in (effect.before, effect.after))
    ratio = effect.change_ratio
    is_change = effect.before.value != effect.after.value or _is_other_currency(effect)
    if not is_change:
        change = "no change"
    elif ratio is not None:
        change = f"{ratio:+.2%}"
    elif effect.before.value is None:
        change = "becomes known"
    elif effect.after.value is None:
        change = "becomes unknown"
    else:
        change = "another currency" if _is_other_currency(effect) else "from zero"
    return EffectView(before, after, change, is_change)


def _is_other_currency(effect: Effect) -> bool:
    ends = (effect.before, effect.after)
    return all(end.value is not None for end in ends) and ends[0].unit != ends[1].unit


def _cell(quantity: Quantity, shown: Unit | None) -> FigureView:
    """A mass in the unit of its column, or an amount of money."""
    return money(_shown(quantity)) if shown is None else figure(_shown(quantity), shown=shown)


def _shown(quantity: Quantity) -> Figure:
    return Figure(
        quantity.value, quantity.low, quantity.high, quantity.unit, quantity.source, quantity.reason
    )
