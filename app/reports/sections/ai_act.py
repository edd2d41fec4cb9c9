"""The form of the EU AI Act on the training of a general-purpose model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from app.reports.sections.methods import measured
from app.reports.shape import Section, column, row, table
from pricetag.tag.figure import Figure
from pricetag.tag.figures import not_available, number, with_unit
from pricetag.tag.totals import Totals
from pricetag.tag.view import TagView

KWH_PER_MWH = 1_000.0
S_PER_DAY = 86_400.0
H_PER_DAY = 24.0
KNOWN = ("counter", "integrated")


def section(content: Mapping[str, Any], tags: Sequence[TagView], sums: Totals) -> Section:
    """Training energy, operations, time and inference of all runs of a paper.

    Source:
        Regulation (EU) 2024/1689, Annex XI, section 1, 2 (d) and (e).
    """
    energy = sums.facility_energy_kwh
    example = (content["research"] or {}).get("green_ai", {}).get("example")
    rows = [
        row("Energy used for training, with PUE", _megawatt_hours(energy)),
        row("Known or estimated", _basis(energy)),
        row("Method", " ".join(measured(tags))),
        row("Floating-point operations", _known(sums.flops_dense)),
        row("Wall-clock time", _days(sums.duration_s, S_PER_DAY)),
        row("Hardware-days (accelerators)", _days(sums.device_hours, H_PER_DAY)),
        row("Operations of one inference of the best model", _inference(content, example)),
    ]
    columns = [column("Information", weight=1.4), column("Value", weight=3)]
    caption = "Annex XI, section 1, points 2 (d) and (e)"
    return {
        "id": "eu-ai-act",
        "heading": "EU AI Act: computational resources and energy",
        "paragraphs": [
            "For all runs of the paper together, including failed ones: if they are not all part "
            "of the training of one model, state the runs that are."
        ],
        "tables": [table("eu-ai-act", caption, columns, rows)],
    }


def _megawatt_hours(energy: Figure) -> str:
    """The energy in MWh to at least two significant figures, with its interval."""
    if energy.value is None:
        return not_available(energy.reason)
    text = f"{_two_digits(energy.value / KWH_PER_MWH)} MWh"
    if energy.low is not None and energy.high is not None and energy.low != energy.high:
        ends = (_two_digits(end / KWH_PER_MWH) for end in (energy.low, energy.high))
        text += f" (95% interval {' to '.join(ends)} MWh)"
    return f"at least {text}" if energy.reason else text


def _two_digits(value: float) -> str:
    """A number in plain digits with three significant ones, so that two are always stated."""
    if value == 0:
        return "0"
    places = max(2 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{places}f}"


def _basis(energy: Figure) -> str:
    if energy.source is None:
        return not_available(energy.reason)
    is_known = energy.source in KNOWN
    return f"{'known' if is_known else 'estimated'} (weakest evidence: {energy.source})"


def _known(figure: Figure) -> str:
    if figure.value is None:
        return not_available(figure.reason)
    return f"{'at least ' if figure.reason else ''}{with_unit(figure.value, figure.unit)}"


def _days(figure: Figure, size: float) -> str:
    if figure.value is None:
        return not_available(figure.reason)
    return f"{number(figure.value / size)} days"


def _inference(content: Mapping[str, Any], example: Mapping[str, Any] | None) -> str:
    if example is None or example["value"] is None:
        reason = "no run has a score" if example is None else example["reason"]
        return not_available(reason)
    task = (content["score"] or {}).get("task") or "its own task"
    return f"{with_unit(example['value'], 'FLOP')} for one example of {task}"
