"""The FLOPs of a run, from the counts of its stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pricetag.accounting.bill.inputs import AttemptInput, Factor, FlopsCount, StageInput, roots
from pricetag.accounting.quantity.quantity import Quantity, Source, weakest
from pricetag.accounting.work.efficiency import flops_per_joule, mfu_ratio
from pricetag.accounting.work.figures import FlopsTag

UNIT = "FLOP"
KINDS = ("dense", "effective", "low_bit")
SCRIPT = "command"
LOWER_BOUND = "a lower bound"
"""Beginning of the remark on a count that does not include all operators or stages."""

SCRIPTS_OWN = (
    "operations of a script are not counted; the script can report them with pricetag.flops(dense)"
)
FORMER_SCRIPTS_OWN = (
    "nobody counts a script's operations; "  # wording: ignore
    "it can tell them with pricetag.flops(dense)"
)
"""The wording in price tags up to accounting version 4."""


class Effort(NamedTuple):
    """Time, hardware and energy with which operations are compared.

    ``silence`` is the reason why the operations of a script are unknown.
    """

    attempts: Sequence[tuple[AttemptInput, float | None]]
    energy: Quantity
    peaks: Mapping[str, Factor]
    silence: str = SCRIPTS_OWN


def stage_flops(stage: StageInput, stages: Sequence[StageInput], effort: Effort) -> FlopsTag:
    """FLOPs of a stage: its own count, or else the sum over its children."""
    counted = _counted(stage, stages)
    reporting = [s for s in counted if s.flops is not None]
    silent = [s for s in counted if s.flops is None]
    counts = [s.flops for s in reporting if s.flops is not None]
    return _sum(counts, _names(silent), effort, _silence(stages, effort))


def run_flops(attempts: Sequence[AttemptInput], effort: Effort) -> FlopsTag:
    """FLOPs of all attempts.

    Failed attempts count. A reused stage does not, since its FLOPs were counted when it ran.
    """
    counts: list[FlopsCount] = []
    silent: list[StageInput] = []
    for attempt in attempts:
        for stage in roots(attempt.stages):
            for part in _counted(stage, attempt.stages):
                if part.flops is not None:
                    counts.append(part.flops)
                elif part.status != "reused":
                    silent.append(part)
    every = [stage for attempt in attempts for stage in attempt.stages]
    return _sum(counts, _names(silent), effort, _silence(every, effort))


def _counted(stage: StageInput, stages: Sequence[StageInput]) -> list[StageInput]:
    children = [child for child in stages if child.parent_key == stage.key]
    if stage.flops is not None or not children:
        return [stage]
    return [part for child in children for part in _counted(child, stages)]


def _names(stages: Iterable[StageInput]) -> list[str]:
    return list(dict.fromkeys(f"stage {stage.key} ({stage.kind})" for stage in stages))


def _silence(stages: Sequence[StageInput], effort: Effort) -> str | None:
    """Specific reason why nothing was counted, if there is one."""
    return effort.silence if any(stage.kind == SCRIPT for stage in stages) else None


def _sum(
    counts: Sequence[FlopsCount], silent: Sequence[str], effort: Effort, silence: str | None
) -> FlopsTag:
    missing = list(dict.fromkeys([*silent, *(name for c in counts for name in c.uncounted)]))
    dense, effective, low_bit = (
        _sum_kind(counts, kind, missing, None if counts else silence) for kind in KINDS
    )
    return FlopsTag(
        dense=dense,
        effective=effective,
        low_bit=low_bit,
        mfu_ratio=mfu_ratio(dense, effort.attempts, effort.peaks),
        flops_per_joule=flops_per_joule(dense, effort.energy),
        methods=tuple(dict.fromkeys(count.method for count in counts if count.method)),
        uncounted=tuple(missing),
    )


def _sum_kind(
    counts: Sequence[FlopsCount], kind: str, missing: Sequence[str], silence: str | None
) -> Quantity:
    uncounted = f"not counted: {', '.join(missing)}" if missing else None
    values: list[float] = []
    sources: list[Source] = []
    for count in counts:
        value: float | None = getattr(count, kind)
        if value is not None:
            values.append(value)
            sources.append(_source(count))
    if not values:
        return Quantity.unknown(UNIT, silence or uncounted or "no stage counted them")
    total = sum(values)
    remark = None if uncounted is None else f"{LOWER_BOUND}, {uncounted}"
    return Quantity(total, total, total, UNIT, weakest(*sources), remark)


def _source(count: FlopsCount) -> Source:
    """Evidence of a count: a counter of operators, or a formula as their model."""
    spelled = "".join(filter(str.isalnum, (count.method or "").lower()))
    return "counter" if spelled.startswith("flopcounter") else "modelled"
