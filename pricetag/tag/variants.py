"""The measured variants of a model, and the break-even of each.

A variant is the model as one ``measure`` stage found it; with early exits there is one more for
each threshold and batch size. It was made by the stages between the run's first measured variant
and its own, in every attempt, without evaluation and measurement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pricetag.accounting.document.records import PriceTag, QualityTag, StageTag
from pricetag.accounting.work.break_even import NEVER, UNIT
from pricetag.tag.figure import Figure, Shown, scaled
from pricetag.tag.names import shown_name
from pricetag.tag.payback import Window, break_even, total_kwh
from pricetag.tag.scores import SCORES

# Metrics that may fill a figure, best first; a star matches any ending.
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
LATENCY_CALLS: Names = ("latency_calls_batch_1",)
LATENCY_TOKENS: Names = ("latency_tokens",)
LATENCY_THREADS: Names = ("latency_threads",)
ON_ACCELERATOR: Names = ("latency_on_accelerator",)
CONDITIONS = (LATENCY_CALLS, LATENCY_TOKENS, LATENCY_THREADS, ON_ACCELERATOR)
"""Figures about how the latency was measured: in the notes of the tables, not their columns."""
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

AT = ("threshold", "batch_size")
"""Metrics of a measurement at a threshold of early exits that are shown in its label."""

_UNITS = {"_ms": "ms", "_per_s": "1/s", "_s": "s", "bytes": "bytes"}


@dataclass(frozen=True)
class Variant:
    """One measured model.

    Attributes:
        label: Name of the variant, after the stage that made it.
        stage: Key of the stage that measured it.
        attempt: Number of the attempt in which it was measured.
        made_by: Keys of the stages that made it from the run's first variant, in order.
        metrics: Measured figures by name.
        scores: Quality by split (empty where none is named) and name.
        inferences: Number of metered inferences; None if there were none.
        metered: The stage of these inferences.
    """

    label: str
    stage: str
    attempt: int
    made_by: tuple[str, ...]
    metrics: Mapping[str, QualityTag]
    scores: Mapping[tuple[str, str], QualityTag]
    inferences: float | None = None
    metered: StageTag | None = field(default=None, repr=False)

    def metric(self, names: Names) -> QualityTag | None:
        """The best of the named metrics that was measured."""
        for name in names:
            for metric_name in sorted(self.metrics):
                if metric_name == name or (
                    name.endswith("*") and metric_name.startswith(name[:-1])
                ):
                    return self.metrics[metric_name]
        return None

    def shown(self) -> set[str]:
        """Names of the metrics that tables and notes of the variants show."""
        picked = (self.metric(names) for names in (*FIGURES, *CONDITIONS))
        return {m.metric for m in picked if m is not None} | {n for _, n in self.scores}


def variants(tag: PriceTag) -> list[Variant]:
    """The results of a run's ``measure`` stages, each from its last attempt, in order."""
    latest: dict[str, Variant] = {}
    for attempt in sorted({stage.attempt for stage in tag.stages}):
        for variant in _of_attempt(tag, attempt):
            # A stage that a later attempt reused reports nothing there.
            if variant.metrics or variant.scores:
                latest[variant.stage] = variant
    return list(latest.values())


def _of_attempt(tag: PriceTag, attempt: int) -> Iterable[Variant]:
    from pricetag.recipes import REGISTRY  # takes half a second, which most commands do not need

    stages = [stage for stage in tag.stages if stage.attempt == attempt]
    stages.sort(key=lambda stage: stage.index)
    label, measured = "as submitted", False
    made_by: tuple[str, ...] = ()
    for stage in stages:
        if stage.parent is not None:
            continue
        entry = REGISTRY.get(stage.kind)
        if entry is not None and entry.traits.measures_model:
            measured = True
            inner = [part for part in stages if part.parent == stage.key]
            own = [part for part in inner if _threshold(part) is None]
            variant = _variant(stage, own, label, made_by)
            yield variant
            yield from (_at_threshold(variant, part) for part in inner if part not in own)
        elif entry is None or entry.traits.makes_model:
            label = f"after {shown_name(stage)}"
            made_by = (*made_by, stage.key) if measured else ()


def _threshold(part: StageTag) -> QualityTag | None:
    """The threshold of early exits of a part of a measurement, if any."""
    return next((item for item in part.quality if item.metric == "threshold"), None)


def _at_threshold(variant: Variant, part: StageTag) -> Variant:
    """A measured model with early exits, at a threshold other than its own."""
    at = _variant(part, [], variant.label, variant.made_by)
    threshold, batch = (at.metrics[name].value for name in AT)
    sizes = (variant.metric(names) for names in (PARAMETERS, NON_ZERO, SIZE))
    same = {size.metric: size for size in sizes if size is not None}
    label = f"{variant.label}, threshold {threshold:g}, batch {batch:g}"
    measured = {name: item for name, item in at.metrics.items() if name not in AT}
    return replace(at, label=label, metrics={**same, **measured})


def _variant(
    stage: StageTag, inner: Sequence[StageTag], label: str, made_by: tuple[str, ...]
) -> Variant:
    metrics: dict[str, QualityTag] = {}
    scores: dict[tuple[str, str], QualityTag] = {}
    metered, inferences = None, None
    for part in (*inner, stage):
        for item in part.quality:
            if item.metric in SCORES:
                scores[(item.split or "", item.metric)] = item
            elif item.metric == "inferences" and item.value:
                metered, inferences = part, float(item.value)
            metrics[item.metric] = item
    for _, name in scores:
        metrics.pop(name, None)
    return Variant(
        label=label,
        stage=stage.key,
        attempt=stage.attempt,
        made_by=made_by,
        metrics=metrics,
        scores=scores,
        inferences=inferences,
        metered=metered,
    )


def metric_unit(metric: QualityTag) -> str:
    """The unit of a metric; if none is stated, the one that its name implies."""
    if metric.unit:
        return metric.unit
    return next((unit for ending, unit in _UNITS.items() if metric.metric.endswith(ending)), "")


def main_score(candidates: Sequence[Variant]) -> tuple[str, str] | None:
    """Split and name of the score that most variants have; among ties, the best-known."""
    counts = Counter(key for variant in candidates for key in variant.scores)
    ranked = sorted(counts, key=lambda key: (-counts[key], SCORES.index(key[1]), key[0]))
    return ranked[0] if ranked else None


def inference_kwh(variant: Variant, count: int = 1000) -> Figure:
    """Energy of ``count`` inferences, in kWh."""
    if variant.metered is None or not variant.inferences:
        return Figure.unknown("no inference was metered", "kWh")
    return scaled(variant.metered.energy.it_energy_kwh, count / variant.inferences, "kWh")


def making_kwh(tag: PriceTag, variant: Variant) -> Figure:
    """Energy of the stages that made a variant from the run's first, over all attempts."""
    return total_kwh(_makers(tag, variant))


def break_even_inferences(tag: PriceTag, first: Variant, variant: Variant) -> Figure:
    """The number of inferences after which a variant has saved the energy of making it.

    Args:
        tag: The run's price tag.
        first: The run's first variant.
        variant: A later one.

    Returns:
        Unknown, with ``NEVER`` as its reason, where an inference has not become cheaper;
        ``is_never`` distinguishes that from what could not be metered.

    Source: E_making / (E_inference_first - E_inference_variant).
    """
    if variant is first or not variant.made_by:
        return Figure.unknown("no stage derived it from the first variant", UNIT)
    before, after = _inference(first), _inference(variant)
    if before is None or after is None:
        return Figure.unknown("no inference was metered", UNIT)
    return break_even([Window(stage) for stage in _makers(tag, variant)], before, after)


def _inference(variant: Variant) -> Window | None:
    if variant.metered is None or not variant.inferences:
        return None
    return Window(variant.metered, 1 / variant.inferences)


def is_never(break_even: Shown) -> bool:
    """Whether a break-even is never reached."""
    return break_even.value is None and break_even.reason == NEVER


def _makers(tag: PriceTag, variant: Variant) -> list[StageTag]:
    """The making stages of all attempts; a failed one stays on the bill, a reused one cost."""
    return [
        stage for stage in tag.stages if stage.key in variant.made_by and stage.status != "reused"
    ]
