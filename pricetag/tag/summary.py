"""The figures of a whole run in words, most important first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pricetag.accounting.bill.cost import CLOUD
from pricetag.accounting.document.plain_texts import plain
from pricetag.accounting.document.records import SecondOpinionTag
from pricetag.tag.figure import Figure, Shown, share_of
from pricetag.tag.figures import (
    difference,
    figure_text,
    money_range,
    money_texts,
    not_available,
    percent,
    with_unit,
)
from pricetag.tag.flags import flag_name, flag_text, noteworthy_flags
from pricetag.tag.footnotes import footnoted
from pricetag.tag.measured import is_metered, measured_remark
from pricetag.tag.status import status_text
from pricetag.tag.trust import compared_attempts, error_causes, models
from pricetag.tag.view import TagView

METERED_RATIO = 0.95
"""Metered share of the time below which the energy is stated as a lower bound."""

WHOLE_RATIO = 0.9995
"""Charges above this share count as all of the devices' energy."""

NAMED = 8
"""Maximum number of uncounted operators and stages that are named."""

EXPLAINED = 3
"""Maximum number of listed causes of a difference from the second opinion."""

EVERY_KIND = ("cpu", "gpu", "ram", "host")

IN_SHORT = frozenset({"IT energy", "CO2e", "Cost"})
"""Totals for which the largest error is named."""


@dataclass(frozen=True, slots=True)
class Line:
    """A labeled figure; headline figures are strong."""

    label: str
    text: str
    is_strong: bool = False


def summary(tag: TagView) -> list[Line]:
    """Hardware, time, energy, carbon, water, money, operations; each with unit and interval.

    A reason that several figures share is in its own line at the end.
    """
    lines = _lines(tag)
    texts, notes = footnoted([line.text for line in lines])
    figures = [replace(line, text=text) for line, text in zip(lines, texts, strict=True)]
    return figures + [Line(mark, reason) for mark, _, reason in (n.partition(" ") for n in notes)]


def _lines(tag: TagView) -> list[Line]:
    document = tag.document
    energy = document.energy
    duration = Figure.of(energy.duration_s)
    bound = at_least if is_partly_metered(tag) else figure_text
    clock = Figure(duration.value, duration.low, duration.high, duration.unit, None)
    return [
        Line("Hardware", tag.hardware or not_available(None)),
        Line("Time", figure_text(duration if duration.value is None else clock)),
        Line("Mean power", figure_text(energy.power_w)),
        Line("IT energy", bound(energy.it_energy_kwh), is_strong=True),
        *_split(tag),
        Line("x PUE", figure_text(document.pue)),
        Line("Facility energy", bound(energy.facility_energy_kwh), is_strong=True),
        Line("x grid", figure_text(document.carbon_intensity_g_per_kwh)),
        Line("CO2e", bound(energy.co2e_kg), is_strong=True),
        *_beside(tag),
        *_costs(tag),
        Line("FLOPs, dense", operations_text(document.flops.dense)),
        Line("FLOPs, effective", operations_text(document.flops.effective)),
        *_efficiency(tag),
    ]


def is_partly_metered(tag: TagView) -> bool:
    """Whether so much of the time was not metered that the energy is a lower bound."""
    ratio = tag.document.energy.coverage_ratio.value
    return ratio is not None and ratio < METERED_RATIO


def at_least(figure: Shown) -> str:
    """A figure of the metered time alone, in words."""
    text = figure_text(figure)
    return text if figure.value is None else f"at least {text}"


def _split(tag: TagView) -> Iterator[Line]:
    """The idle part of the energy, and the charged share of the devices' if it is not all."""
    energy = tag.document.energy
    idle, gross, part = (
        energy.split.baseline_kwh,
        energy.split.gross_kwh,
        energy.split.charged_ratio,
    )
    share = share_of(idle, energy.it_energy_kwh)
    if idle.value is not None and share is not None and share.value is not None:
        text = f"{with_unit(idle.value, 'kWh')} ({percent(share.value)})"
        yield Line("  of which idle", text)
    if part.value is not None and gross.value is not None and part.value < WHOLE_RATIO:
        text = f"{percent(part.value)} of the devices' {with_unit(gross.value, 'kWh')}"
        yield Line("  share", text)


def _beside(tag: TagView) -> Iterator[Line]:
    footprint = tag.document.footprint
    for label, figure in (
        ("CO2e, market", footprint.co2e_market_kg),
        ("CO2e, embodied", footprint.embodied_co2e_kg),
        ("CO2e, total", footprint.co2e_total_kg),
        ("Water", footprint.water_l),
    ):
        if figure.value is not None:
            yield Line(label, figure_text(figure))


def _costs(tag: TagView) -> Iterator[Line]:
    """The total cost with its basis, then its known parts and the cloud price."""
    cost = tag.document.cost
    if cost.basis is None:  # nothing is known, or the tag is of the first accounting
        yield Line("Cloud cost", price_range_text(cost.cloud, not_available(cost.cloud.reason)))
        yield Line("Electricity cost", cost_text(cost.electricity))
        return
    if cost.basis == CLOUD:
        yield Line("Cost", f"{price_range_text(cost.total)} ({cost.basis})")
    else:
        yield Line("Cost", cost_text(cost.total, cost.basis))
    if cost.cloud.value not in (None, cost.total.value):
        yield Line("Cloud cost", price_range_text(cost.cloud))
    for label, figure in (
        ("Owned hardware", cost.owned_hardware),
        ("Electricity cost", cost.electricity),
    ):
        if figure.value not in (None, cost.total.value):
            yield Line(label, cost_text(figure))


def cost_text(figure: Shown, basis: str | None = None) -> str:
    """An amount of money like every figure: value, 95% interval, evidence, and its basis."""
    value, interval = money_texts(figure)
    if figure.value is None:
        return value
    tail = "; ".join(note for note in (interval, figure.source, basis) if note)
    return f"{value} ({tail})" if tail else value


def price_range_text(figure: Shown, missing: str = "n/a") -> str:
    """A cloud cost, which has no single value: from the lowest to the highest price."""
    value = figure.value
    if value is None:
        return missing
    low, high = (float(value if end is None else end) for end in (figure.low, figure.high))
    return money_range(low, high, figure.unit)


def operations_text(figure: Shown) -> str:
    """Operations; a lower bound if a remark names operations that are not counted."""
    if figure.value is None:
        return not_available(figure.reason)
    text = with_unit(float(figure.value), "FLOP")
    return f"at least {text}" if figure.reason else text


def _efficiency(tag: TagView) -> Iterator[Line]:
    mfu, rate = tag.document.flops.mfu_ratio.value, tag.document.flops.flops_per_joule.value
    if mfu is not None:
        yield Line("MFU", f"{percent(mfu)} of the dense 16-bit peak")
    if rate is not None:
        yield Line("FLOPs per energy", with_unit(float(rate), "FLOP/J"))


def remarks(tag: TagView) -> list[str]:
    """Remarks about the figures, one per line."""
    coverage = tag.document.energy.coverage_ratio.value
    metered = "n/a" if coverage is None else short_percent(coverage)
    label = "Metered" if is_metered(tag) else "Covered by the other tool's figures"
    lines = [f"{label}: {metered} of the run time"]
    if (elsewhere := measured_remark(tag)) is not None:
        lines.append(elsewhere)
    kinds = ("ram",) if is_metered(tag) else EVERY_KIND
    lines += [*models(tag, kinds), *_second_opinion(tag)]
    causes = [
        f"{cause.label if cause.label != 'Cost' else 'cost'}: {cause.shares[0].term} "
        f"({percent(cause.shares[0].share_of_variance)})"
        for cause in error_causes(tag)
        if cause.label in IN_SHORT
    ]
    if causes:
        lines.append("Largest error: " + "; ".join(causes))
    lines += _uncounted(tag)
    lines += [f"Flag: {flag_name(flag)}: {flag_text(flag)}" for flag in noteworthy_flags(tag)]
    for attempt in tag.document.attempts:
        if attempt.reason is not None:
            message = attempt.reason.get("message") or attempt.reason.get("code")
            lines.append(f"Attempt {attempt.number} {status_text(attempt.status)}: {message}")
    return lines


def short_percent(ratio: float) -> str:
    """A ratio in percent, in short form."""
    return percent(ratio).replace("under ", "<").replace("over ", ">")


def _second_opinion(tag: TagView) -> Iterator[str]:
    opinion = tag.document.second_opinion
    if opinion is None:
        return
    yield f"Second opinion: {opinion.tool} reported {_opinion(tag, opinion)}"
    for item in opinion.explanation[:EXPLAINED]:
        yield f"  {f'{item.component}: ' if item.component else ''}{plain(item.text)}"


def _opinion(tag: TagView, opinion: SecondOpinionTag) -> str:
    """The other tool's figure and its difference; both cover the attempts it watched."""
    theirs = figure_text(opinion.total.theirs_kwh)
    apart, ours = opinion.total.difference_ratio.value, opinion.total.ours_kwh.value
    some = compared_attempts(tag)
    covered = "" if some is None else f" for {some}"
    if apart is None:
        return theirs + covered
    which = "Pricetag"
    if some is not None and ours is not None:
        which = f"Pricetag's {with_unit(ours, 'kWh')}"
    return f"{theirs}{covered}, {difference(apart)} vs {which}"


def _uncounted(tag: TagView) -> Iterator[str]:
    """Operators and stages that are not in the FLOPs, if any were counted."""
    flops = tag.document.flops
    names = flops.uncounted
    if names and flops.dense.value is not None:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"Not counted in FLOPs: {', '.join(names[:NAMED])}{more}"
