"""One line per run and stage for spreadsheets: bare figures, units in the heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pricetag.tag import variants as measured
from pricetag.tag.strubell import Profile, emissions, strubell_row
from pricetag.tag.tags import Tag, listed, quantity
from pricetag.tag.variants import Variant

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
    "unknown",
]


def lines(tags: Sequence[Tag], profile: Profile) -> list[dict[str, Any]]:
    """For each run a line for the whole of it (no stage), then one for each stage."""
    found = []
    for tag in tags:
        found.append(_run(tag, profile))
        variants = measured.variants(tag)
        for stage in listed(tag, "stages"):
            line = _stage(tag, stage, profile)
            for variant in variants:
                if (variant.stage, variant.attempt) == (stage.get("key"), stage.get("attempt")):
                    _add_variant(line, tag, variants[0], variant)
            found.append(line)
    return found


def columns(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The heads of lines, in order: the same for all reports, then those of reported figures."""
    seen = dict.fromkeys(key for line in found for key in line)
    return [*COLUMNS, *(key for key in seen if key not in COLUMNS)]


def _run(tag: Tag, profile: Profile) -> dict[str, Any]:
    cloud = quantity(tag, "cost", "cloud")
    cost = tag.get("cost")
    return _figures(tag, tag, profile) | {
        "cloud_cost_low": cloud["low"],
        "cloud_cost_high": cloud["high"],
        "electricity_cost": quantity(tag, "cost", "electricity")["value"],
        "currency": cost.get("currency") if isinstance(cost, Mapping) else None,
        "cost_total": quantity(tag, "cost", "total")["value"],
        "cost_basis": cost.get("basis") if isinstance(cost, Mapping) else None,
        **{name: quantity(tag, name)["value"] for name in _BESIDE},
    }


def _stage(tag: Tag, stage: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    return _figures(tag, stage, profile) | {
        "attempt": stage.get("attempt"),
        "stage": stage.get("key"),
        "stage_kind": stage.get("kind"),
        "stage_status": stage.get("status"),
        **{_metric_head(item): item.get("value") for item in listed(stage, "quality")},
    }


def _metric_head(item: Mapping[str, Any]) -> str:
    split, unit = item.get("split"), item.get("unit")
    name = f"metric.{item.get('metric')}" + (f".{split}" if split else "")
    return f"{name} [{unit}]" if unit and unit != "1" else name


def _add_variant(line: dict[str, Any], tag: Tag, first: Variant, variant: Variant) -> None:
    used = measured.inference_kwh(variant)
    making = measured.making_kwh(tag, variant)
    paid = measured.break_even_inferences(tag, first, variant)
    line |= {
        "variant": variant.label,
        "energy_per_1000_inferences_kwh": used["value"],
        "energy_to_make_kwh": making["value"],
        "break_even_inferences": paid["value"],
        "break_even_low_inferences": paid["low"],
        "break_even_high_inferences": paid["high"],
    }
    if variant is not first and paid["value"] is None:
        line["unknown"] += f"{'; ' * bool(line['unknown'])}break_even_inferences: {paid['reason']}"


def _figures(tag: Tag, holder: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    whole = strubell_row(tag, profile)
    emitted = emissions(holder, profile)
    line: dict[str, Any] = dict.fromkeys(COLUMNS)
    line |= {
        "run_id": whole["run_id"],
        "run": whole["model"],
        "run_status": whole["status"],
        "hardware": whole["hardware"],
        "device_count": tag.get("device_count"),
        "it_energy_source": emitted["it_energy_kwh"]["source"],
        "pue": whole["pue"]["value"],
        "flags": " ".join(map(str, holder.get("flags") or ())),
    }
    found: dict[str, dict[str, Any]] = {
        "duration_s": quantity(holder, "duration_s"),
        "power_w": quantity(holder, "power_w"),
        "coverage_ratio": quantity(holder, "coverage_ratio"),
        **{f"flops_{kind}": quantity(holder, "flops", kind) for kind in _FLOPS},
        **cast(dict[str, dict[str, Any]], emitted),
    }
    line |= {name: figure["value"] for name, figure in found.items()}
    for name in ("it_energy", "facility_energy", "co2e"):
        unit = "kg" if name == "co2e" else "kwh"
        for end in ("low", "high"):
            line[f"{name}_{end}_{unit}"] = found[f"{name}_{unit}"][end]
    line |= {name: quantity(holder, "split", name)["value"] for name in _SPLIT}
    line |= {name: quantity(holder, "flops", name)["value"] for name in _EFFICIENCY}
    reasons = [f"{n}: {q['reason']}" for n, q in found.items() if q["value"] is None]
    line["unknown"] = "; ".join(reasons)
    return line


_BESIDE = ("co2e_market_kg", "embodied_co2e_kg", "co2e_total_kg", "water_l")
_SPLIT = ("gross_kwh", "charged_ratio", "baseline_kwh", "dynamic_kwh")
_EFFICIENCY = ("mfu_ratio", "flops_per_joule")
_FLOPS = ("dense", "effective", "low_bit")
