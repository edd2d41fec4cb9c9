"""One line per run and stage for spreadsheets: plain figures, units in the headings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pricetag.accounting.bill.figures import EnergyTag
from pricetag.accounting.document.records import QualityTag, StageTag
from pricetag.accounting.work.figures import FlopsTag
from pricetag.tag import variants as measured
from pricetag.tag.figure import Shown
from pricetag.tag.measured import origin_of
from pricetag.tag.strubell import Profile, emissions, strubell_row
from pricetag.tag.variants import Variant
from pricetag.tag.view import TagView

COLUMNS = [
    "run_id",
    "run",
    "run_status",
    "attempt",
    "stage",
    "stage_kind",
    "stage_status",
    "hardware",
    "device_count",
    "duration_s",
    "power_w",
    "it_energy_kwh",
    "it_energy_low_kwh",
    "it_energy_high_kwh",
    "it_energy_source",
    "pue",
    "facility_energy_kwh",
    "facility_energy_low_kwh",
    "facility_energy_high_kwh",
    "co2e_kg",
    "co2e_low_kg",
    "co2e_high_kg",
    "co2e_lb",
    "cloud_cost_low",
    "cloud_cost_high",
    "electricity_cost",
    "currency",
    "flops_dense",
    "flops_effective",
    "flops_low_bit",
    "coverage_ratio",
    "flags",
    "co2e_market_kg",
    "embodied_co2e_kg",
    "co2e_total_kg",
    "water_l",
    "cost_total",
    "cost_basis",
    "gross_kwh",
    "charged_ratio",
    "baseline_kwh",
    "dynamic_kwh",
    "mfu_ratio",
    "flops_per_joule",
    "variant",
    "energy_per_1000_inferences_kwh",
    "energy_to_make_kwh",
    "break_even_inferences",
    "break_even_low_inferences",
    "break_even_high_inferences",
    "origin",
    "measured_by",
    "unknown",
]


def lines(tags: Sequence[TagView], profile: Profile) -> list[dict[str, Any]]:
    """A line for each whole run (without a stage), then one for each of its stages."""
    rows = []
    for tag in tags:
        rows.append(_run(tag, profile))
        variants = measured.variants(tag.document)
        for stage in tag.document.stages:
            line = _stage(tag, stage, profile)
            for variant in variants:
                if (variant.stage, variant.attempt) == (stage.key, stage.attempt):
                    _add_variant(line, tag, variants[0], variant)
            rows.append(line)
    return rows


def columns(report_lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """The headings in order: those of all reports, then those of reported metrics."""
    used_heads = dict.fromkeys(key for line in report_lines for key in line)
    return [*COLUMNS, *(key for key in used_heads if key not in COLUMNS)]


def _run(tag: TagView, profile: Profile) -> dict[str, Any]:
    document = tag.document
    cost, footprint = document.cost, document.footprint
    line = _figures(tag, document.energy, document.flops, profile)
    beside = {name: getattr(footprint, name).value for name in _BESIDE}
    if profile != "site":
        beside[_SUM] = None
        line["unknown"] += f"{'; ' * bool(line['unknown'])}{_SUM}: {_TWO_SETS}"
    return line | {
        "cloud_cost_low": cost.cloud.low,
        "cloud_cost_high": cost.cloud.high,
        "electricity_cost": cost.electricity.value,
        "currency": cost.currency,
        "cost_total": cost.total.value,
        "cost_basis": cost.basis,
        **beside,
    }


def _stage(tag: TagView, stage: StageTag, profile: Profile) -> dict[str, Any]:
    return _figures(tag, stage.energy, stage.flops, profile) | {
        "attempt": stage.attempt,
        "stage": stage.key,
        "stage_kind": stage.kind,
        "stage_status": stage.status,
        **{_metric_head(item): item.value for item in stage.quality},
    }


def _metric_head(item: QualityTag) -> str:
    name = f"metric.{item.metric}" + (f".{item.split}" if item.split else "")
    return f"{name} [{item.unit}]" if item.unit and item.unit != "1" else name


def _add_variant(line: dict[str, Any], tag: TagView, first: Variant, variant: Variant) -> None:
    paid = measured.break_even_inferences(tag.document, first, variant)
    line |= {
        "variant": variant.label,
        "energy_per_1000_inferences_kwh": measured.inference_kwh(variant).value,
        "energy_to_make_kwh": measured.making_kwh(tag.document, variant).value,
        "break_even_inferences": paid.value,
        "break_even_low_inferences": paid.low,
        "break_even_high_inferences": paid.high,
    }
    if variant is not first and paid.value is None:
        line["unknown"] += f"{'; ' * bool(line['unknown'])}break_even_inferences: {paid.reason}"


def _figures(tag: TagView, energy: EnergyTag, flops: FlopsTag, profile: Profile) -> dict[str, Any]:
    row = strubell_row(tag, profile)
    emitted = emissions(energy, profile)
    line: dict[str, Any] = dict.fromkeys(COLUMNS)
    line |= {
        "run_id": row.run_id,
        "run": row.model,
        "run_status": row.status,
        "hardware": row.hardware,
        "device_count": tag.document.device_count,
        "it_energy_source": emitted.it_energy_kwh.source,
        "pue": row.pue.value,
        "flags": " ".join(energy.flags),
        "origin": origin_of(tag),
        "measured_by": tag.document.provenance.measured_by,
    }
    figures: dict[str, Shown] = {
        **{name: getattr(energy, name) for name in ("duration_s", "power_w", "coverage_ratio")},
        **{f"flops_{kind}": getattr(flops, kind) for kind in _FLOPS},
        **{name: getattr(emitted, name) for name in _EMISSIONS},
    }
    line |= {name: figure.value for name, figure in figures.items()}
    for name in ("it_energy", "facility_energy", "co2e"):
        unit = "kg" if name == "co2e" else "kwh"
        for end in ("low", "high"):
            line[f"{name}_{end}_{unit}"] = getattr(figures[f"{name}_{unit}"], end)
    line |= {name: getattr(energy.split, name).value for name in _SPLIT}
    line |= {name: getattr(flops, name).value for name in _EFFICIENCY}
    reasons = [f"{n}: {q.reason}" for n, q in figures.items() if q.value is None]
    line["unknown"] = "; ".join(reasons)
    return line


_EMISSIONS = ("it_energy_kwh", "facility_energy_kwh", "co2e_lb", "co2e_kg")
_SUM = "co2e_total_kg"
_TWO_SETS = "the price tag's sum includes emissions by other factors than this report's"
_BESIDE = ("co2e_market_kg", "embodied_co2e_kg", _SUM, "water_l")
_SPLIT = ("gross_kwh", "charged_ratio", "baseline_kwh", "dynamic_kwh")
_EFFICIENCY = ("mfu_ratio", "flops_per_joule")
_FLOPS = ("dense", "effective", "low_bit")
