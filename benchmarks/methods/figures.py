"""The figures of one run: from its price tag, and from those of the runs that it starts from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.methods.catalog import TEACHER, Entry
from benchmarks.methods.plan import MEASURE
from pricetag.accounting.document.records import PriceTag, QualityTag, StageTag
from pricetag.recipes import REGISTRY
from pricetag.tag.figure import Figure, scaled
from pricetag.tag.payback import Window, break_even, total_kwh
from pricetag.tag.scores import SCORES as SCORE_NAMES
from pricetag.tag.variants import (
    EFFECTIVE_FLOPS,
    FLOPS,
    LATENCY_P50,
    NON_ZERO,
    PARAMETERS,
    SIZE,
    Names,
    Variant,
    inference_kwh,
    variants,
)

SCORES = {"sst2": "accuracy", "cola": "mcc"}
"""The score of each data set."""

OF_THE_MODEL: dict[str, Names] = {
    "parameters": PARAMETERS,
    "non_zero_parameters": NON_ZERO,
    "encoder_sparsity": ("encoder_sparsity",),
    "bytes": SIZE,
    "packed_bytes": ("packed_bytes",),
    "flops": FLOPS,
    "effective_flops": EFFECTIVE_FLOPS,
    "latency_s": LATENCY_P50,
}
_THRESHOLD = re.compile(r"threshold (?P<threshold>[\d.]+), batch 1$")
COUNTED = "counted"
TIMED = "timed"


@dataclass(frozen=True)
class Link:
    """A run of a chain, with its price tag."""

    entry: Entry
    tag: PriceTag


def figures_of(chain: Sequence[Link], teacher: PriceTag | None, data: str) -> dict[str, Figure]:
    """The figures of the last run of a chain.

    Args:
        chain: The runs that its model comes from, the first one first, and itself.
        teacher: Price tag of the plain fine-tuned model with the same seed, to compare with.
        data: Data set, which decides the score.
    """
    own, teachers = _making(chain)
    whole = [*teachers, *own]
    figures = {
        "making_kwh": _energy(own),
        "making_with_teacher_kwh": _energy(whole),
        "co2e_kg": _carbon(chain, whole),
        "training_flops": _operations(whole),
    }
    measured = _measured(chain[-1].tag)
    if measured is None:
        return figures
    figures["score"] = _metric(measured.scores.get(("validation", SCORES[data])), COUNTED)
    figures["mcc"] = _metric(measured.scores.get(("validation", "mcc")), COUNTED)
    for name, names in OF_THE_MODEL.items():
        source = TIMED if name == "latency_s" else COUNTED
        figures[name] = _metric(measured.metric(names), source)
    figures["inference_kwh"] = inference_kwh(measured)
    figures["break_even"] = _break_even(own, measured, teacher)
    figures |= _others(chain[-1].tag, figures["score"], SCORES[data])
    return figures | _at_thresholds(chain[-1].tag)


def _making(chain: Sequence[Link]) -> tuple[list[StageTag], list[StageTag]]:
    """The stages that made the model: the method's own, and those that trained its teacher."""
    own: list[StageTag] = []
    teachers: list[StageTag] = []
    for number, (entry, tag) in enumerate((link.entry, link.tag) for link in chain):
        is_teacher = entry.name == TEACHER and number < len(chain) - 1
        for stage in tag.stages:
            if stage.parent is None and stage.status != "reused" and _makes(stage):
                (teachers if is_teacher or stage.name == TEACHER else own).append(stage)
    return own, teachers


def _makes(stage: StageTag) -> bool:
    entry = REGISTRY.get(stage.kind)
    return entry is not None and entry.traits.makes_model


def _energy(stages: Sequence[StageTag]) -> Figure:
    return total_kwh(stages) if stages else Figure.unknown("no stage made it", "kWh")


def _carbon(chain: Sequence[Link], stages: Sequence[StageTag]) -> Figure:
    """The stages' part of each run's CO2e, by energy; the run's relative interval stays."""
    total = Figure.exact(0.0, "kg", None)
    for tag in (link.tag for link in chain):
        energy_kwh = tag.energy.it_energy_kwh.value
        part_kwh = total_kwh([s for s in tag.stages if s in stages]).value
        co2e = tag.energy.co2e_kg
        if not energy_kwh or part_kwh is None or co2e.value is None:
            return Figure.unknown(str(co2e.reason or "energy of a stage is unknown"), "kg")
        total = _sum(total, scaled(co2e, part_kwh / energy_kwh, "kg"))
    return total


def _sum(one: Figure, other: Figure) -> Figure:
    def add(a: float | None, b: float | None) -> float | None:
        return None if a is None or b is None else a + b

    return replace(
        one,
        value=add(one.value, other.value),
        low=add(one.low, other.low),
        high=add(one.high, other.high),
        source=other.source or one.source,
    )


def _operations(stages: Sequence[StageTag]) -> Figure:
    counts = [stage.flops.dense for stage in stages]
    values = [count.value for count in counts if count is not None and count.value is not None]
    if len(values) < len(counts):
        return Figure.unknown("a stage that made it did not count its operations", "FLOP")
    return Figure.exact(float(sum(values)), "FLOP", COUNTED)


def _measured(tag: PriceTag) -> Variant | None:
    named = {stage.key: stage.name for stage in tag.stages}
    return next((v for v in reversed(variants(tag)) if named.get(v.stage) == MEASURE), None)


def _metric(metric: QualityTag | None, source: str) -> Figure:
    if metric is None:
        return Figure.unknown("not measured")
    if metric.value is None:
        return Figure.unknown(metric.reason or "not defined")
    return Figure(metric.value, None, None, metric.unit or "", source)


def _at_thresholds(tag: PriceTag) -> dict[str, Figure]:
    """Energy of an inference at batch 1 for each metered threshold of early exits."""
    labeled = ((_THRESHOLD.search(variant.label), variant) for variant in variants(tag))
    return {
        f"inference_kwh_at_{match['threshold']}": inference_kwh(variant)
        for match, variant in labeled
        if match is not None
    }


def _break_even(own: Sequence[StageTag], measured: Variant, teacher: PriceTag | None) -> Figure:
    before = None if teacher is None else _measured(teacher)
    if before is None or not own:
        return Figure.unknown("there is nothing to compare with")
    windows = [_inference(variant) for variant in (before, measured)]
    first, second = windows
    if first is None or second is None:
        return Figure.unknown("no inference was metered")
    return break_even([Window(stage) for stage in own], first, second)


def _inference(variant: Variant) -> Window | None:
    if variant.metered is None or not variant.inferences:
        return None
    return Window(variant.metered, 1 / variant.inferences)


def _others(tag: PriceTag, score: Figure, name: str) -> dict[str, Figure]:
    """The score on the training sentences with its gap, and what the stages reported."""
    others = {
        f"metric.{item.metric}": _metric(item, COUNTED)
        for item in tag.quality
        if item.metric != "inferences" and item.metric not in SCORE_NAMES
    }
    on_train = [item for item in tag.quality if item.split == "train" and item.metric == name]
    if on_train:
        others["train_score"] = train = _metric(on_train[-1], COUNTED)
        if train.value is not None and score.value is not None:
            others["gap"] = Figure(train.value - score.value, None, None, "", COUNTED)
    return others
