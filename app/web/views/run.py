"""The head of a run's page: status, versions, what may be done, quote, lineage, files, recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import yaml

from app.schemas.price_tags import PriceTagVersion
from app.schemas.quotes import HitRead, StoredQuoteRead
from app.schemas.runs import AttemptRead, RunRead
from app.schemas.series import ArtifactRead
from app.schemas.windows import WindowRead
from app.services.principals import Principal
from app.web.views.figures import FigureView, figure, in_column, measured_time, money, unknown
from app.web.views.reasons import Reason, reason_of
from pricetag.tag.figure import Figure, figure_of
from pricetag.tag.figures import column_unit, percent, ratio_text, with_unit
from pricetag.tag.green import green_text
from pricetag.tag.measured import QUEUE, measured_text
from pricetag.tag.names import shown_name
from pricetag.tag.status import status_text
from pricetag.tag.view import TagView

OPEN = ("queued", "running")
MOST_BANDS = 500
"""Stages of an attempt that its trace of power shades."""

QUANTITIES = (
    ("duration_s", "Time", "s"),
    ("it_energy_kwh", "IT energy", "kWh"),
    ("facility_energy_kwh", "Facility energy", "kWh"),
    ("co2e_kg", "CO2e", "kg"),
    ("cost", "Cost", ""),
)

CAUSES = {
    "attempt-ended": "an attempt ended",
    "journal-came-late": "measurements arrived late",
    "repriced": "re-priced",
}


@dataclass(frozen=True, slots=True)
class IssuedTag:
    """A version of a price tag, with its view."""

    version: int
    shown: TagView


@dataclass(frozen=True, slots=True)
class Actions:
    """Actions that the visitor may take on the run."""

    cancel: bool
    resume: bool
    reprice: bool
    report: bool

    @property
    def any(self) -> bool:
        """Whether there is any action."""
        return self.cancel or self.resume or self.reprice or self.report


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress and use of a running run so far.

    Attributes:
        ratio: Its completed share, from 0 to 1; None if unknown.
        text: Steps or examples in words; empty without any.
        power: Power now.
        energy: IT energy of the running attempt so far.
        left: Expected time until the end of the stage.
        expected: Label and expected total of each quantity.
    """

    ratio: float | None
    text: str
    power: FigureView
    energy: FigureView
    left: FigureView
    expected: Sequence[tuple[str, FigureView]]


@dataclass(frozen=True, slots=True)
class AttemptView:
    """An attempt in a row, and its stages for the trace of power.

    Attributes:
        attempt: The attempt.
        duration: Its duration.
        devices: Its devices.
        reason: Why it did not succeed.
        stages: JSON of ``[name, start, end]`` of its first stages, in s since its meter opened.
    """

    attempt: AttemptRead
    duration: FigureView
    devices: str
    reason: Reason | None
    stages: str

    @property
    def status(self) -> str:
        """The status of the attempt in words."""
        return status_text(self.attempt.status)


@dataclass(frozen=True, slots=True)
class RunView:
    """Content of the page above the bill."""

    run: RunRead
    is_open: bool
    reason: Reason | None
    devices: str
    duration: FigureView
    attempts: Sequence[AttemptView]
    progress: Progress | None
    actions: Actions
    recipe: str
    measured: str | None
    green: str | None


def run_view(run: RunRead, visitor: Principal, *, has_tag: bool, now: datetime) -> RunView:
    """The head of the page.

    Args:
        run: The run.
        visitor: Who sees it.
        has_tag: Whether it has a price tag.
        now: The time, for how long a running run has taken.
    """
    attempts = [_attempt(attempt) for attempt in run.attempts]
    return RunView(
        run=run,
        is_open=run.status in OPEN,
        reason=reason_of(run.status_reason.message if run.status_reason else None),
        devices=attempts[-1].devices if attempts else _wanted(run),
        duration=_duration(run, now),
        attempts=attempts,
        progress=progress(run) if run.status == "running" else None,
        actions=actions(run, visitor, has_tag=has_tag),
        recipe=yaml.safe_dump(run.recipe, sort_keys=False, allow_unicode=True, width=100),
        measured=None if run.origin == QUEUE else measured_text(run.origin, run.measured_by),
        green=None if run.green_start is None else green_text(run.green_start.model_dump()),
    )


def actions(run: RunRead, visitor: Principal, *, has_tag: bool) -> Actions:
    """Actions that the visitor may take now; the services check them again."""
    is_author = visitor.has("admin") or (
        visitor.has("member") and run.created_by == visitor.user_id
    )
    is_queues = run.origin == QUEUE
    return Actions(
        cancel=is_author and run.status in OPEN and run.cancel_requested_at is None,
        resume=is_author and is_queues and run.status in ("failed", "cancelled"),
        reprice=is_author and has_tag,
        report=visitor.has("member") and has_tag,
    )


def _wanted(run: RunRead) -> str:
    gpus = run.resources.gpus
    noun = "accelerator" if gpus == 1 else "accelerators"
    if not gpus:
        return f"pool {run.resources.pool}"
    limit_w = run.resources.power_limit_w
    limit = "" if limit_w is None else f", limited to {limit_w:g} W each"
    return f"{gpus} {noun} of pool {run.resources.pool}{limit}"


def _attempt(attempt: AttemptRead) -> AttemptView:
    names: dict[str, int] = {}
    for device in attempt.devices:
        name = str(device.get("name") or "accelerator")
        names[name] = names.get(name, 0) + 1
    devices = [name if count == 1 else f"{count}x {name}" for name, count in names.items()]
    stages = [
        [shown_name(stage), stage.start_s, stage.end_s]
        for stage in attempt.stages
        if stage.parent_key is None
    ]
    return AttemptView(
        attempt,
        measured_time(attempt.duration_s, "the attempt has not ended"),
        ", ".join(devices) or f"processor of {attempt.node}",
        reason_of(attempt.reason.message if attempt.reason else None),
        json.dumps(stages[:MOST_BANDS]),
    )


def _duration(run: RunRead, now: datetime) -> FigureView:
    if run.started_at is None:
        return unknown("the run has not started")
    if run.status in OPEN:
        elapsed_s = max(0.0, (now - run.started_at).total_seconds())
        return figure(Figure(elapsed_s, None, None, "s", "counter"), provisional=True)
    if run.price_tag is None:
        return unknown("no price tag was issued")
    return measured_time(run.price_tag.duration_s)


def progress(run: RunRead) -> Progress:
    """Progress and use of a running run so far."""
    reported: Mapping[str, Any] = run.progress or {}
    done, total, unit = (reported.get(key) for key in ("done", "total", "unit"))
    ratio = run.projection.progress_ratio if run.projection else None
    if ratio is None and done is not None and total:
        ratio = min(1.0, done / total)
    text = ""
    if done is not None:
        text = f"{done:,} of {total:,}" if total else f"{done:,}"
        text = f"{text} {unit or ''}".strip()
    return Progress(
        ratio,
        text,
        _so_far(reported.get("power_w"), "W"),
        _so_far(reported.get("energy_kwh"), "kWh"),
        _so_far(reported.get("eta_s"), "s"),
        [] if run.projection is None else _expected(run.projection.quantities.model_dump()),
    )


def _so_far(value: float | None, unit: str) -> FigureView:
    if value is None:
        return unknown("the job has not reported it yet")
    return figure(Figure(value, None, None, unit, None), provisional=True)


def _expected(quantities: Mapping[str, Any]) -> list[tuple[str, FigureView]]:
    every = [(label, _quoted(quantities[name], name)) for name, label, _ in QUANTITIES]
    return [(label, view) for label, view in every if view.value is not None]


def _quoted(wire: Mapping[str, Any], name: str) -> FigureView:
    return money(figure_of(wire)) if name == "cost" else figure(wire)


@dataclass(frozen=True, slots=True)
class VersionView:
    """A version of the price tag with its totals."""

    version: PriceTagVersion
    cause: str
    energy: FigureView
    co2e: FigureView
    cost: FigureView
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class VersionsView:
    """All versions, newest first, in one unit a column."""

    rows: Sequence[VersionView]
    energy_unit: str
    co2e_unit: str


def versions(stored: Sequence[PriceTagVersion], selected_version: int | None) -> VersionsView:
    """All versions of a run's price tag; the chosen one is marked, by default the newest."""
    energy_unit = column_unit((item.it_energy_kwh.value for item in stored), "kWh")
    co2e_unit = column_unit((item.co2e_kg.value for item in stored), "kg")
    rows = [
        VersionView(
            item,
            CAUSES.get(item.cause, item.cause)
            + (f", factors of {_day(item.as_of)}" if item.as_of else ""),
            figure(item.it_energy_kwh.model_dump(), shown=energy_unit),
            figure(item.co2e_kg.model_dump(), shown=co2e_unit),
            unknown("not recorded in this version of the accounting")
            if item.cost is None
            else money(figure_of(item.cost.model_dump())),
            item.version == (selected_version or stored[0].version),
        )
        for item in stored
    ]
    return VersionsView(rows, energy_unit[0], co2e_unit[0])


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


@dataclass(frozen=True, slots=True)
class QuoteRow:
    """A quoted quantity beside the actual one."""

    label: str
    quoted: FigureView
    actual: FigureView
    factor: str
    inside: str


@dataclass(frozen=True, slots=True)
class QuoteView:
    """A run's quote, and its accuracy once the run has ended."""

    quote: StoredQuoteRead
    rows: Sequence[QuoteRow]
    is_scored: bool


def quote_view(quote: StoredQuoteRead) -> QuoteView:
    """The quote against what the run used."""
    quantities = quote.quantities.model_dump()
    hits = quote.score.quantities if quote.score else {}
    rows = [
        _quote_row(name, label, unit, quantities[name], hits.get(name))
        for name, label, unit in QUANTITIES
    ]
    return QuoteView(quote, rows, quote.score is not None)


def _quote_row(
    name: str, label: str, unit: str, wire: Mapping[str, Any], hit: HitRead | None
) -> QuoteRow:
    quoted = _quoted(wire, name)
    if hit is None:
        why = "the quoted or the actual value is unknown, or the run has not ended"
        return QuoteRow(label, quoted, unknown(why), "", "")
    actual = Figure(hit.actual, None, None, unit or str(wire.get("unit") or ""), None)
    shown = money(actual) if name == "cost" else figure(actual)
    inside = "inside the interval" if hit.inside else "outside the interval"
    return QuoteRow(label, quoted, shown, ratio_text(hit.factor), inside)


@dataclass(frozen=True, slots=True)
class ArtifactView:
    """A file that a stage published."""

    artifact: ArtifactRead
    size: str
    card: str | None


def artifacts(stored: Sequence[ArtifactRead]) -> list[ArtifactView]:
    """The files of a run."""
    return [
        ArtifactView(
            item,
            with_unit(float(item.size_bytes), "bytes"),
            None if item.card is None else json.dumps(item.card, indent=2, ensure_ascii=False),
        )
        for item in stored
    ]


@dataclass(frozen=True, slots=True)
class WindowView:
    """The energy of a part of an attempt."""

    window: WindowRead
    energy: FigureView
    power: FigureView
    metered: str
    components: Sequence[tuple[str, FigureView, str]]
    unit: str


def window_view(window: WindowRead) -> WindowView:
    """The energy of a window, in total and by component."""
    unit = column_unit((item.it_energy_kwh.value for item in window.components), "kWh")
    coverage = window.coverage_ratio.value
    return WindowView(
        window,
        figure(window.it_energy_kwh.model_dump()),
        figure(window.power_w.model_dump()),
        "n/a" if coverage is None else percent(coverage),
        [
            (
                item.name,
                in_column(item.it_energy_kwh, unit),
                "" if item.share_ratio.value is None else percent(item.share_ratio.value),
            )
            for item in window.components
        ],
        unit[0],
    )
