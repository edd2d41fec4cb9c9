"""The bill of a run: every line from IT energy to money, by component, by stage, with causes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from app.web.views.figures import FigureView, figure, measured_time, money
from pricetag.accounting.bill.cost import CLOUD
from pricetag.accounting.bill.figures import ComponentTag, EnergyTag
from pricetag.accounting.document.plain_texts import plain
from pricetag.tag.figure import Shown, share_of
from pricetag.tag.figures import Unit, column_unit, difference, money_range, number, percent
from pricetag.tag.flags import flag_name, flag_text, noteworthy_flags, stage_flags
from pricetag.tag.parts import Part, attempt_part, parts_by_attempt
from pricetag.tag.status import status_text
from pricetag.tag.trust import compared_attempts, error_causes, models, opinions, second_tool
from pricetag.tag.view import TagView

MOST_COLUMNS = 12
"""Maximum number of components with a column each in the table by stage."""

MOST_ROWS = 300
"""Rows by stage that the page shows; the price tag has all."""

OUTSIDE = "outside the stages"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the bill; headline figures are strong, parts of the line above are not."""

    label: str
    figure: FigureView
    remark: str = ""
    is_strong: bool = False
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole: in percent, and as the width of a bar of 100."""

    text: str
    width: float


NO_SHARE = Share("", 0.0)


@dataclass(frozen=True, slots=True)
class PartRow:
    """A row by stage: a stage, what lies outside the stages, an attempt, or the run."""

    name: str
    depth: int
    attempt: int | None
    status: str
    duration: FigureView | None
    power: FigureView | None
    energy: FigureView
    co2e: FigureView | None
    share: Share
    components: Sequence[FigureView | None]
    is_total: bool = False


@dataclass(frozen=True, slots=True)
class ComponentRow:
    """A row by component."""

    name: str
    kind: str
    node: str | None
    energy: FigureView
    power: FigureView
    share: Share
    metered: str
    notes: str | None


@dataclass(frozen=True, slots=True)
class CauseRow:
    """The causes of error of one total, largest first."""

    label: str
    std: str
    shares: Sequence[tuple[str, Share]]


@dataclass(frozen=True, slots=True)
class OpinionRow:
    """Another tool's energy beside ours, of one kind of component or of all."""

    kind: str
    ours: FigureView
    devices: FigureView
    theirs: FigureView
    difference: str
    device_difference: str


@dataclass(frozen=True, slots=True)
class OpinionView:
    """The second opinion and what explains its difference."""

    tool: str
    attempts: str | None
    rows: Sequence[OpinionRow]
    unit: str
    explanation: Sequence[tuple[str, str]]
    reason: str | None


@dataclass(frozen=True, slots=True)
class BillView:
    """The bill of one version of a price tag.

    Attributes:
        summary: The largest shares of the energy, in a sentence; None if unknown.
        lines: From the energy of the devices to money and operations.
        components: Components, over all attempts.
        component_heads: Heads of the columns by component of the rows by stage.
        parts: Stages of all attempts, and sums; the first ones of very many, and the whole run.
        more_parts: Number of rows by stage that are not shown.
        energy_unit: Unit of the energies by stage and by component.
        co2e_unit: Unit of the emissions by stage.
        has_attempts: Whether there are several attempts.
        causes: Causes of error of each total.
        opinion: Another tool's figures; None if none ran.
        metered: The metered share of the run time.
        remarks: Models, flags and reasons that qualify the figures.
    """

    summary: str | None
    lines: Sequence[Line]
    components: Sequence[ComponentRow]
    component_heads: Sequence[str]
    parts: Sequence[PartRow]
    more_parts: int
    energy_unit: str
    co2e_unit: str
    has_attempts: bool
    causes: Sequence[CauseRow]
    opinion: OpinionView | None
    metered: str
    remarks: Sequence[tuple[str, str]]


def bill(tag: TagView, *, is_open: bool = False) -> BillView:
    """The bill of a price tag.

    Args:
        tag: The price tag.
        is_open: Whether the run continues, so that its totals may still change.
    """
    document = tag.document
    components = document.energy.components
    energy_unit = column_unit((c.it_energy_kwh.value for c in components), "kWh")
    parts, co2e_unit, more = _parts(tag, energy_unit)
    metered = document.energy.coverage_ratio
    return BillView(
        summary=_summary(tag),
        lines=list(_lines(tag, is_open)),
        components=[_component(item, energy_unit) for item in components],
        component_heads=_heads(tag),
        parts=parts,
        more_parts=more,
        energy_unit=energy_unit[0],
        co2e_unit=co2e_unit[0],
        has_attempts=tag.has_several_attempts,
        causes=[
            CauseRow(
                causes.label,
                percent(causes.std_ratio),
                [(share.term, _share(share.share_of_variance)) for share in causes.shares],
            )
            for causes in error_causes(tag)
        ],
        opinion=_opinion(tag),
        metered="n/a" if metered.value is None else percent(metered.value),
        remarks=list(_remarks(tag)),
    )


def _lines(tag: TagView, is_open: bool) -> Iterator[Line]:
    document, energy = tag.document, tag.document.energy

    def shown(quantity: Shown) -> FigureView:
        return figure(quantity, provisional=is_open)

    duration = measured_time(energy.duration_s.value, energy.duration_s.reason)
    yield Line("Time", replace(duration, is_provisional=is_open and duration.value is not None))
    yield Line("Mean power", shown(energy.power_w))
    yield Line("IT energy", shown(energy.it_energy_kwh), is_strong=True)
    yield from _split(tag, is_open)
    yield Line("x PUE", figure(document.pue))
    yield Line("Facility energy", shown(energy.facility_energy_kwh), is_strong=True)
    yield Line("x carbon intensity", figure(document.carbon_intensity_g_per_kwh))
    yield Line("CO2e, location-based", shown(energy.co2e_kg), is_strong=True)
    footprint = document.footprint
    for label, quantity in (
        ("CO2e, market-based", footprint.co2e_market_kg),
        ("CO2e, embodied", footprint.embodied_co2e_kg),
        ("CO2e, operational and embodied", footprint.co2e_total_kg),
        ("Water", footprint.water_l),
    ):
        yield Line(label, shown(quantity))
    yield from _costs(tag, is_open)
    yield from _operations(tag, is_open)


def _split(tag: TagView, is_open: bool) -> Iterator[Line]:
    split, charged = tag.document.energy.split, tag.document.energy.it_energy_kwh
    for label, part in (("of which idle", split.baseline_kwh), ("dynamic", split.dynamic_kwh)):
        share = share_of(part, charged)
        text = "" if share is None or share.value is None else percent(share.value)
        yield Line(label, figure(part, provisional=is_open), text, is_part=True)
    ratio = split.charged_ratio.value
    remark = "" if ratio is None else f"{percent(ratio)} of it charged"
    yield Line("Whole devices", figure(split.gross_kwh, provisional=is_open), remark, is_part=True)


def _costs(tag: TagView, is_open: bool) -> Iterator[Line]:
    cost = tag.document.cost
    total = money(cost.total, provisional=is_open)
    if cost.basis == CLOUD:
        total = _price_range(cost.total, is_open)
    yield Line("Cost", total, cost.basis or "", is_strong=True)
    yield Line("owned hardware", money(cost.owned_hardware, provisional=is_open), is_part=True)
    yield Line("electricity", money(cost.electricity, provisional=is_open), is_part=True)
    yield Line("in the cloud", _price_range(cost.cloud, is_open), is_part=True)


def _price_range(quantity: Shown, is_open: bool) -> FigureView:
    """A cloud cost, which has no single value: from the lowest to the highest price."""
    view = money(quantity, provisional=is_open)
    low, high = quantity.low, quantity.high
    if view.value is None or low is None or high is None:
        return view
    return replace(view, text=money_range(float(low), float(high), None), interval="")


def _operations(tag: TagView, is_open: bool) -> Iterator[Line]:
    flops = tag.document.flops
    for label, quantity in (("FLOPs, dense", flops.dense), ("FLOPs, effective", flops.effective)):
        view = figure(quantity, provisional=is_open)
        if view.value is not None and quantity.reason:
            view = replace(view, text=f"at least {view.text}", interval="")
        remark = plain(quantity.reason) if view.value is not None and quantity.reason else ""
        yield Line(label, view, remark)
    mfu = figure(flops.mfu_ratio)
    if flops.mfu_ratio.value is not None:
        mfu = replace(mfu, text=percent(flops.mfu_ratio.value), interval="")
    yield Line("MFU", mfu, "of the dense 16-bit peak" if mfu.value is not None else "")
    yield Line("FLOPs per joule", figure(flops.flops_per_joule))


def _share(ratio: float | None) -> Share:
    return NO_SHARE if ratio is None else Share(percent(ratio), round(max(0.0, ratio) * 100, 2))


def _component(item: ComponentTag, unit: Unit) -> ComponentRow:
    coverage = item.coverage_ratio.value
    return ComponentRow(
        item.name,
        item.kind,
        item.node,
        figure(item.it_energy_kwh, shown=unit),
        figure(item.power_w, shown=("W", 1.0)),
        _share(item.share_ratio.value),
        "n/a" if coverage is None else percent(coverage),
        item.notes,
    )


def _heads(tag: TagView) -> list[str]:
    """Names of the components; devices that share a name also have their ID."""
    components = tag.document.energy.components
    if len(components) > MOST_COLUMNS:
        return []
    names = [item.name or item.kind for item in components]
    return [
        name if names.count(name) == 1 else f"{name} ({item.id.rpartition(':')[2][-8:]})"
        for name, item in zip(names, components, strict=True)
    ]


def _parts(tag: TagView, unit: Unit) -> tuple[list[PartRow], Unit, int]:
    listed: list[tuple[Part, bool]] = []
    for attempt, parts in parts_by_attempt(tag):
        listed += [(part, False) for part in parts]
        if tag.has_several_attempts:
            listed.append((attempt_part(attempt), True))
    more = max(0, len(listed) - MOST_ROWS)
    listed = listed[:MOST_ROWS]
    energy = tag.document.energy
    listed.append((Part("Whole run", "", None, 0, energy.it_energy_kwh, None, energy), True))
    masses = [part.energy.co2e_kg.value for part, _ in listed if part.energy is not None]
    co2e_unit = column_unit(masses, "kg")
    ids = [item.id for item in energy.components] if _heads(tag) else []
    rows = [_part(part, unit, co2e_unit, ids, is_total) for part, is_total in listed]
    return rows, co2e_unit, more


def _part(
    part: Part,
    unit: Unit,
    co2e_unit: Unit,
    ids: Sequence[str],
    is_total: bool,
) -> PartRow:
    energy = part.energy
    return PartRow(
        name=part.name or OUTSIDE,
        depth=part.depth,
        attempt=part.attempt,
        status=status_text(part.status),
        duration=None
        if energy is None
        else measured_time(energy.duration_s.value, energy.duration_s.reason),
        power=None if energy is None else figure(energy.power_w, shown=("W", 1.0)),
        energy=figure(part.it_energy_kwh, shown=unit),
        co2e=None if energy is None else figure(energy.co2e_kg, shown=co2e_unit),
        share=_share(part.share_ratio.value if part.share_ratio is not None else None),
        components=[_of(energy, id_, unit) for id_ in ids],
        is_total=is_total,
    )


def _of(energy: EnergyTag | None, id_: str, unit: Unit) -> FigureView | None:
    """A component's energy in a stage; None where it was not metered there at all."""
    parts = energy.components if energy is not None else ()
    part = next((item for item in parts if item.id == id_), None)
    return None if part is None else figure(part.it_energy_kwh, shown=unit)


def _summary(tag: TagView) -> str | None:
    """The stage and the component with the largest shares of the energy."""
    stages = [
        (stage.share_ratio.value, tag.stage_name(stage.key))
        for stage in tag.document.stages
        if stage.share_ratio.value is not None and stage.parent is None
    ]
    components = [
        (item.share_ratio.value, item.name)
        for item in tag.document.energy.components
        if item.share_ratio.value is not None
    ]
    if not stages or not components:
        return None
    (most, stage), (largest, component) = max(stages), max(components)
    return (
        f"Stage {stage} used {percent(most)} of the IT energy; of the components, {component} used"
        f" {percent(largest)}."
    )


def _opinion(tag: TagView) -> OpinionView | None:
    stored = tag.document.second_opinion
    if stored is None:
        return None
    compared = opinions(tag)
    energies = [
        quantity.value
        for _, opinion in compared
        for quantity in (opinion.ours_kwh, opinion.theirs_kwh, opinion.ours_gross_kwh)
    ]
    unit = column_unit(energies, "kWh")
    return OpinionView(
        tool=second_tool(tag) or stored.tool,
        attempts=compared_attempts(tag),
        rows=[
            OpinionRow(
                kind,
                figure(opinion.ours_kwh, shown=unit),
                figure(opinion.ours_gross_kwh, shown=unit),
                figure(opinion.theirs_kwh, shown=unit),
                _difference(opinion.difference_ratio.value),
                _difference(opinion.gross_difference_ratio.value),
            )
            for kind, opinion in compared
        ],
        unit=unit[0],
        explanation=[(item.component or "all", plain(item.text)) for item in stored.explanation],
        reason=None if stored.reason is None else plain(stored.reason),
    )


def _difference(ratio: float | None) -> str:
    return "n/a" if ratio is None else difference(ratio)


def _remarks(tag: TagView) -> Iterator[tuple[str, str]]:
    for line in models(tag):
        yield "Model", line
    for flag in noteworthy_flags(tag):
        yield "Flag", f"{flag_name(flag)}: {flag_text(flag)}"
    for stage_flag in stage_flags(tag):
        yield "Flag", stage_flag.text
    flops = tag.document.flops
    if flops.uncounted and flops.dense.value is not None:
        names = flops.uncounted[:8]
        more = len(flops.uncounted) - len(names)
        tail = f" and {number(more)} more" if more else ""
        yield "Not counted in FLOPs", f"{', '.join(names)}{tail}"
