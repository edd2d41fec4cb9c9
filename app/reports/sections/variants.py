"""Compression: every variant that a ``measure`` stage looked at, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from app.reports.shape import Section, Table, column, row, table
from pricetag.figures import percent, with_unit
from pricetag.tags import Tag, listed, value

# What a column shows: its head, and the metrics that may fill it, the best first; a star
# stands for any ending.
Heads = tuple[tuple[str, tuple[str, ...]], ...]
KEEP: Heads = (
    ("Parameters", ("parameters", "params")),
    ("Non-zero", ("non_zero_parameters", "nonzero_params")),
    ("Size", ("model_bytes", "packed_bytes", "dense_bytes", "bytes")),
    ("FLOPs per example", ("flops_per_example",)),
    ("Effective FLOPs", ("effective_flops_per_example",)),
)
USE: Heads = (
    ("Latency p50", ("latency_p50_batch_1_s", "latency_p50*")),
    ("Latency p95", ("latency_p95_batch_1_s", "latency_p95*")),
    ("Throughput", ("throughput_per_s",)),
    ("Peak memory", ("peak_memory_bytes",)),
    ("Energy per 1,000 inferences", ("energy_per_1000_inferences_kwh", "wh_per_1000_inferences")),
)
QUALITY = ("accuracy", "f1", "mcc", "spearman", "pearson")
_UNITS = {"_ms": "ms", "_per_s": "1/s", "_s": "s", "bytes": "bytes", "wh_per": "Wh"}


PER_1000 = "energy_per_1000_inferences_kwh"


class Variant(NamedTuple):
    """One measured model."""

    label: str
    metrics: dict[str, Mapping[str, Any]]


def variants(tag: Tag) -> list[Variant]:
    """What the ``measure`` stages of a run's last attempt at each found, in order."""
    stages = sorted(listed(tag, "stages"), key=lambda s: (s.get("attempt", 0), s.get("index", 0)))
    latest: dict[str, Variant] = {}
    model = "as submitted"
    for stage in stages:
        if stage.get("parent") is not None:
            continue
        if stage.get("kind") != "measure":
            if stage.get("kind") not in ("evaluate", "command"):
                model = f"after {stage.get('name') or stage.get('kind')}"
            continue
        found = _metrics(tag, stage)
        if found:
            latest[str(stage.get("key"))] = Variant(model, found)
    return list(latest.values())


def _metrics(tag: Tag, stage: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What a stage and those in it reported, and the energy of an inference where it follows."""
    inside = [
        child
        for child in listed(tag, "stages")
        if child.get("parent") == stage.get("key") and child.get("attempt") == stage.get("attempt")
    ]
    found: dict[str, Mapping[str, Any]] = {}
    for part in (*inside, stage):
        own = {str(q.get("metric")): q for q in listed(part, "quality")}
        inferences, energy_kwh = own.get("inferences"), value(part, "it_energy_kwh")
        if inferences and inferences.get("value") and energy_kwh is not None:
            each_1000_kwh = 1000.0 * energy_kwh / inferences["value"]
            found[PER_1000] = {"metric": PER_1000, "value": each_1000_kwh, "unit": "kWh"}
        found |= own
    return found


def section(tags: Sequence[Tag]) -> Section | None:
    """The tables, or None where nothing was measured."""
    found = [(str(tag.get("name")), variant) for tag in tags for variant in variants(tag)]
    if not found:
        return None
    keep = _table("variants-size", "Size and quality of every variant", found, KEEP, QUALITY)
    use = _table("variants-use", "Speed and energy of every variant", found, USE, ())
    return {
        "id": "compression",
        "heading": "What each variant costs to use",
        "paragraphs": [
            "Each row is the model as one measure stage found it, on the worker's own hardware. "
            "Ratios in brackets are to the run's first variant."
        ],
        "tables": [shown for shown in (keep, use) if len(shown["columns"]) > 1],
    }


def _table(
    id_: str,
    caption: str,
    found: Sequence[tuple[str, Variant]],
    heads: Heads,
    qualities: Sequence[str],
) -> Table:
    filled = [(head, names) for head, names in heads if any(_pick(v, names) for _, v in found)]
    quality = [name for name in qualities if any(name in v.metrics for _, v in found)]
    several = len({run for run, _ in found}) > 1
    first: dict[str, Variant] = {}
    rows = []
    for run, variant in found:
        base = first.setdefault(run, variant)
        label = f"{run}: {variant.label}" if several else variant.label
        cells = [_cell(variant, base, names) for _, names in filled]
        cells += [_quality(variant.metrics.get(name)) for name in quality]
        rows.append(row(label, *cells))
    columns = [
        column("Variant", weight=2.2),
        *(column(head, "right", 1.3) for head, _ in filled),
        *(column(_quality_head(name, found), "right", 0.9) for name in quality),
    ]
    return table(id_, caption, columns, rows)


def _pick(variant: Variant, names: Sequence[str]) -> Mapping[str, Any] | None:
    for name in names:
        for metric in sorted(variant.metrics):
            if metric == name or (name.endswith("*") and metric.startswith(name[:-1])):
                return variant.metrics[metric]
    return None


def _cell(variant: Variant, base: Variant, names: Sequence[str]) -> str:
    metric = _pick(variant, names)
    if metric is None or metric.get("value") is None:
        return "n/a (not measured)"
    value = metric["value"]
    text = with_unit(value, metric_unit(metric))
    reference = (_pick(base, names) or {}).get("value")
    if variant is base or not reference or value == reference:
        return text
    return f"{text} ({percent(value / reference)})"


def metric_unit(metric: Mapping[str, Any]) -> str:
    if metric.get("unit"):
        return str(metric["unit"])
    # A job of one's own may report a figure whose unit stands in its name alone.
    name = str(metric.get("metric"))
    return next(
        (unit for part, unit in _UNITS.items() if name.endswith(part) or name.startswith(part)), ""
    )


def _quality(metric: Mapping[str, Any] | None) -> str:
    if metric is None or metric.get("value") is None:
        return "n/a (not measured)"
    return f"{metric['value']:.4f}"


def _quality_head(name: str, found: Sequence[tuple[str, Variant]]) -> str:
    splits = {str(v.metrics[name].get("split") or "") for _, v in found if name in v.metrics}
    shown = ", ".join(sorted(filter(None, splits)))
    return f"{name} ({shown})" if shown else name
