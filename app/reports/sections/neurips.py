"""Answers to the question about compute in the NeurIPS paper checklist, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from app.reports.sections.bill import least
from app.reports.shape import Section
from pricetag.tag.figure import Figure
from pricetag.tag.figures import counted, interval_text, with_unit
from pricetag.tag.measured import QUEUE
from pricetag.tag.totals import Totals


def section(content: Mapping[str, Any], sums: Totals) -> Section:
    """Type of workers, compute of each run and in total, and compute that is not reported.

    Source:
        NeurIPS paper checklist, question 8 (experiments compute resources).
    """
    return {
        "id": "neurips",
        "heading": "NeurIPS checklist: compute resources",
        "paragraphs": [_workers(content), _each(content), _total(sums), _more(content)],
        "tables": [],
    }


def _workers(content: Mapping[str, Any]) -> str:
    hardware = dict.fromkeys(run["hardware"] for run in content["runs"] if run["hardware"])
    named = "; ".join(hardware) if hardware else "hardware that was not recorded"
    sent = sum(run["origin"] != QUEUE for run in content["runs"])
    runs = f"{sent} of {counted(len(content['runs']), 'run')}"
    stated = f" For {runs} it is what their senders state." if sent else ""
    return f"Type of compute: {named}.{stated}"


def _each(content: Mapping[str, Any]) -> str:
    """The usual run, and the range over runs."""
    parts = []
    for axis, unit in (("duration_s", "s"), ("it_energy_kwh", "kWh")):
        values = [run["figures"][axis]["value"] for run in content["runs"]]
        known_values = sorted(value for value in values if value is not None)
        if known_values:
            ends = f"{with_unit(known_values[0], unit)} to {with_unit(known_values[-1], unit)}"
            parts.append(f"{with_unit(median(known_values), unit)} (median; {ends})")
    if not parts:
        return "Compute of each run: unknown, nothing was metered."
    return (
        f"Compute of each of the {counted(len(content['runs']), 'run')}: {', '.join(parts)}. "
        "The table of every run has the compute of each one."
    )


def _total(sums: Totals) -> str:
    texts = [
        _figure("of machine time", sums.duration_s),
        _figure("accelerator-hours", sums.device_hours, bare=True),
        _figure("of IT energy", sums.it_energy_kwh),
        _figure("of CO2e", sums.co2e_kg),
    ]
    return f"Total compute: {', '.join(texts)}."


def _figure(label: str, figure: Figure, *, bare: bool = False) -> str:
    if figure.value is None:
        return f"an unknown amount {label} ({figure.reason})"
    value = with_unit(figure.value, "1" if bare else figure.unit)
    spread = "" if bare else interval_text(figure)
    return f"{least(figure)}{value} {label}" + (f" ({spread})" if spread else "")


def _more(content: Mapping[str, Any]) -> str:
    """Whether the project needed more than what is reported."""
    runs, missing = content["runs"], content["not_counted"]
    groups = ", ".join(f"{line['name']} {line['runs']}" for line in content["by_purpose"])
    text = (
        "Compute beyond the experiments in the paper: the total includes preliminary, failed and "
        f"canceled runs (runs by purpose: {groups})."
    )
    if missing:
        text += f" Not counted, for the listed reasons: {counted(len(missing), 'run')}."
    else:
        text += f" All {counted(len(runs), 'run')} of the paper are counted."
    return text + " Work outside Pricetag is not counted."
