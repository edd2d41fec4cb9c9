"""The variants of a model that a run measured, and when each has paid back its making.

A variant is the model as one ``measure`` stage found it. What made it are the stages between
the run's first measured variant and its own, in every attempt; evaluating and measuring make
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pricetag.accounting.work.break_even import NEVER, UNIT
from pricetag.tag.payback import Window, break_even, total_kwh
from pricetag.tag.strubell import scaled
from pricetag.tag.tags import Tag, listed, quantity, unknown

# Metrics that may fill a figure, the best first; a star stands for any ending.
Names = tuple[str, ...]
PARAMETERS: Names = ("parameters", "params")
NON_ZERO: Names = ("non_zero_parameters", "nonzero_params")
SIZE: Names = ("model_bytes", "packed_bytes", "dense_bytes", "bytes")
FLOPS: Names = ("flops_per_example",)
EFFECTIVE_FLOPS: Names = ("effective_flops_per_example",)
LATENCY_P50: Names = ("latency_p50_batch_1_s", "latency_p50*")
LATENCY_P95: Names = ("latency_p95_batch_1_s", "latency_p95*")
THROUGHPUT: Names = ("throughput_per_s",)
PEAK_MEMORY: Names = ("peak_memory_bytes",)
FIGURES = (
    PARAMETERS,
    NON_ZERO,
    SIZE,
    FLOPS,
    EFFECTIVE_FLOPS,
    LATENCY_P50,
    LATENCY_P95,
    THROUGHPUT,
    PEAK_MEMORY,
)
SCORES = ("accuracy", "f1", "mcc", "spearman", "pearson")

_UNITS = {"_ms": "ms", "_per_s": "1/s", "_s": "s", "bytes": "bytes"}


@dataclass(frozen=True)
class Variant:
    """One measured model.

    Attributes:
        label: What it is, by the stage that made it.
        stage: Key of the stage that measured it.
        attempt: Number of the attempt in which that was.
        made_by: Keys of the stages that made it out of the run's first variant, in order.
        metrics: What was measured, by name.
        scores: Quality by split (empty where none is told) and name.
        inferences: How many inferences were metered, None where none was.
        metered: The stage in which they were.
    """

    label: str
    stage: str
    attempt: int
    made_by: tuple[str, ...]
    metrics: Mapping[str, Mapping[str, Any]]
    scores: Mapping[tuple[str, str], Mapping[str, Any]]
    inferences: float | None = None
    metered: Mapping[str, Any] | None = field(default=None, repr=False)

    def metric(self, names: Names) -> Mapping[str, Any] | None:
        """The best metric that was measured of those named."""
        for name in names:
            for known in sorted(self.metrics):
                if known == name or (name.endswith("*") and known.startswith(name[:-1])):
                    return self.metrics[known]
        return None

    def shown(self) -> set[str]:
        """Names of the metrics that ``FIGURES`` and ``SCORES`` show."""
        picked = (self.metric(names) for names in FIGURES)
        return {str(m["metric"]) for m in picked if m is not None} | {n for _, n in self.scores}


def variants(tag: Tag) -> list[Variant]:
    """What the ``measure`` stages of a run's last attempt at each found, in order."""
    latest: dict[str, Variant] = {}
    for attempt in sorted({int(stage.get("attempt") or 0) for stage in listed(tag, "stages")}):
        for variant in _of_attempt(tag, attempt):
            # A stage that a later attempt reused reports nothing there.
            if variant.metrics or variant.scores:
                latest[variant.stage] = variant
    return list(latest.values())


def _of_attempt(tag: Tag, attempt: int) -> Iterable[Variant]:
    from pricetag.recipes import REGISTRY  # half a second that most commands need not spend

    stages = [s for s in listed(tag, "stages") if int(s.get("attempt") or 0) == attempt]
    stages.sort(key=lambda stage: stage.get("index") or 0)
    label, measured = "as submitted", False
    made_by: tuple[str, ...] = ()
    for stage in stages:
        if stage.get("parent") is not None:
            continue
        entry = REGISTRY.get(str(stage.get("kind")))
        if entry is not None and entry.traits.measures_model:
            measured = True
            yield _variant(stage, stages, label, made_by)
        elif entry is None or entry.traits.makes_model:
            label = f"after {stage.get('name') or stage.get('kind')}"
            made_by = (*made_by, str(stage.get("key"))) if measured else ()


def _variant(
    stage: Mapping[str, Any],
    stages: Sequence[Mapping[str, Any]],
    label: str,
    made_by: tuple[str, ...],
) -> Variant:
    metrics: dict[str, Mapping[str, Any]] = {}
    scores: dict[tuple[str, str], Mapping[str, Any]] = {}
    metered, inferences = None, None
    for part in (*(s for s in stages if s.get("parent") == stage.get("key")), stage):
        for item in listed(part, "quality"):
            name = str(item.get("metric"))
            if name in SCORES:
                scores[(str(item.get("split") or ""), name)] = item
            elif name == "inferences" and item.get("value"):
                metered, inferences = part, float(item["value"])
            metrics[name] = item
    for _, name in scores:
        metrics.pop(name, None)
    return Variant(
        label=label,
        stage=str(stage.get("key")),
        attempt=int(stage.get("attempt") or 0),
        made_by=made_by,
        metrics=metrics,
        scores=scores,
        inferences=inferences,
        metered=metered,
    )


def score_text(item: Mapping[str, Any] | None) -> str:
    """A score with the class it is of: ``0.8571 (equivalent)``; the reason where it has no value.

    Args:
        item: A figure of quality as a price tag holds it; None where none was reported.
    """
    if item is None:
        return ""
    if item.get("value") is None:
        return f"n/a ({item.get('reason') or 'not defined'})"
    of_class = f" ({item['of_class']})" if item.get("of_class") else ""
    return f"{item['value']:.4f}{of_class}"


def metric_unit(metric: Mapping[str, Any]) -> str:
    """The unit of a metric; where none was given, the one that its name tells."""
    if metric.get("unit"):
        return str(metric["unit"])
    name = str(metric.get("metric"))
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")


def inference_kwh(variant: Variant, count: int = 1000) -> dict[str, Any]:
    """Energy of ``count`` inferences, as a quantity in kWh."""
    if variant.metered is None or not variant.inferences:
        return unknown("no inference was metered", "kWh")
    found = quantity(variant.metered, "it_energy_kwh")
    return scaled(found, count / variant.inferences, "kWh")


def making_kwh(tag: Tag, variant: Variant) -> dict[str, Any]:
    """Energy of the stages that made a variant out of the run's first, over all attempts."""
    return total_kwh(_makers(tag, variant))


def break_even_inferences(tag: Tag, first: Variant, variant: Variant) -> dict[str, Any]:
    """After how many inferences a variant has paid back its making.

    Args:
        tag: The run's price tag.
        first: The run's first variant.
        variant: A later one.

    Returns:
        A quantity. It is unknown, with ``NEVER`` as its reason, where an inference has not
        become cheaper; ``is_never`` tells that from what could not be metered.

    Source: E_making / (E_inference_first - E_inference_variant).
    """
    if variant is first or not variant.made_by:
        return unknown("nothing was made of it", UNIT)
    for one in (first, variant):
        if one.metered is None or not one.inferences:
            return unknown("no inference was metered", UNIT)
    return break_even(
        [Window(stage) for stage in _makers(tag, variant)],
        Window(first.metered or {}, 1 / (first.inferences or 1)),
        Window(variant.metered or {}, 1 / (variant.inferences or 1)),
    )


def is_never(break_even: Mapping[str, Any]) -> bool:
    """Whether a break-even is known not to come."""
    return break_even["value"] is None and break_even.get("reason") == NEVER


def _makers(tag: Tag, variant: Variant) -> list[Mapping[str, Any]]:
    """The making stages of all attempts; a failed one stays on the bill, a reused one cost."""
    return [
        stage
        for stage in listed(tag, "stages")
        if stage.get("key") in variant.made_by and stage.get("status") != "reused"
    ]
