"""Build the price tag of a run from what was metered and the factors of its site.

Totals are over all attempts, however they ended. What was not metered is missing, with a
reason, and never 0; coverage and flags say how much that is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pricetag.accounting.bill import Biller, Span, share
from pricetag.accounting.charges import Charge, factor_quantity
from pricetag.accounting.checks import require_number, require_pue
from pricetag.accounting.comparison import compare
from pricetag.accounting.inputs import (
    AttemptInput,
    ComponentInfo,
    Device,
    Environment,
    Factor,
    Factors,
    FlopsCount,
    Measurement,
    PriceTagInputs,
    QualityInput,
    SecondOpinion,
    StageInput,
)
from pricetag.accounting.money import device_count, run_cost
from pricetag.accounting.operations import run_flops, stage_flops
from pricetag.accounting.outside import outside_stages
from pricetag.accounting.provenance import (
    environment_changed,
    hardware,
    most_devices,
    provenance,
)
from pricetag.accounting.quantity import Quantity
from pricetag.accounting.tag import (
    SCHEMA,
    AttemptTag,
    ComponentTag,
    CostTag,
    EnergyTag,
    FlopsTag,
    PriceTag,
    QualityTag,
    StageTag,
)

__all__ = [
    "SCHEMA",
    "AttemptInput",
    "AttemptTag",
    "ComponentInfo",
    "ComponentTag",
    "CostTag",
    "Device",
    "EnergyTag",
    "Environment",
    "Factor",
    "Factors",
    "FlopsCount",
    "FlopsTag",
    "Measurement",
    "PriceTag",
    "PriceTagInputs",
    "QualityInput",
    "QualityTag",
    "SecondOpinion",
    "StageInput",
    "StageTag",
    "UnknownComponent",
    "build_price_tag",
    "content_sha256",
]


class UnknownComponent(ValueError):  # noqa: N818 - it names what is unknown
    """A measurement is of a component that its attempt does not declare."""


def build_price_tag(inputs: PriceTagInputs) -> PriceTag:
    """Build the price tag of a run from its measurements and the site's factors.

    Args:
        inputs: All attempts with their measurements, and the factors.

    Returns:
        The price tag; the same inputs give the same one, intervals included.

    Raises:
        InvalidFactor: If a factor is out of its range or a price has no currency.
        UnknownComponent: If a measurement is of an undeclared component.
    """
    _check(inputs.factors)
    biller = Biller(inputs.factors, inputs.seed)
    spans = [
        _span(attempt, attempt.measurements, attempt.duration_s) for attempt in inputs.attempts
    ]
    charges = [charge for span in spans for charge in span.charges]
    total = biller.energy(spans)
    stages = _stages(inputs.attempts, biller, total.it_energy_kwh)
    return PriceTag(
        run_id=inputs.run_id,
        name=inputs.name,
        version=inputs.version,
        hardware=hardware(inputs.attempts),
        device_count=most_devices(inputs.attempts),
        energy=total,
        pue=factor_quantity(inputs.factors.pue, at_least=1.0),
        carbon_intensity_g_per_kwh=_carbon_intensity(inputs.factors),
        flops=run_flops(inputs.attempts),
        cost=run_cost(biller, inputs.factors, inputs.attempts, charges),
        quality=_last_quality(stages),
        stages=stages,
        attempts=_attempts(inputs.attempts, spans, biller, total.it_energy_kwh),
        outside_stages=outside_stages(biller, list(zip(inputs.attempts, spans, strict=True))),
        second_opinion=compare(biller, inputs.attempts, spans),
        provenance=provenance(inputs),
        flags=_flags(inputs, total),
    )


def content_sha256(content: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON form (sorted keys, no spaces, no NaN) of a document."""
    canonical = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def _check(factors: Factors) -> None:
    require_pue("pue", factors.pue.value)
    named = {
        "pue": factors.pue,
        "carbon_intensity": factors.carbon_intensity,
        "cloud_price_low": factors.cloud_price_low,
        "cloud_price_high": factors.cloud_price_high,
        "electricity_tariff": factors.electricity_tariff,
    }
    for name, factor in named.items():
        if factor is not None:
            require_number(name, factor.value)
            require_number(f"{name}.relative_std_ratio", factor.relative_std_ratio)


def _span(
    attempt: AttemptInput, measurements: Sequence[Measurement], duration_s: float | None
) -> Span:
    windows = {measurement.component_id: measurement.window for measurement in measurements}
    declared = {component.id for component in attempt.components}
    if strangers := sorted(windows.keys() - declared):
        known = ", ".join(sorted(declared)) or "none"
        raise UnknownComponent(
            f"attempt {attempt.number} declares no {', '.join(strangers)}; it has: {known}"
        )
    charges = []
    for component in attempt.components:
        window = windows.get(component.id)
        lasted_s = 0.0 if window is None else window.duration_s
        expected_s = lasted_s if duration_s is None else max(duration_s, lasted_s)
        charges.append(Charge(component, window, expected_s, attempt.node_name))
    return Span(duration_s, tuple(charges))


def _stages(
    attempts: Sequence[AttemptInput], biller: Biller, total: Quantity
) -> tuple[StageTag, ...]:
    return tuple(
        _stage(attempt, stage, biller, total) for attempt in attempts for stage in attempt.stages
    )


def _stage(attempt: AttemptInput, stage: StageInput, biller: Biller, total: Quantity) -> StageTag:
    lasted_s = None if stage.end_s is None else stage.end_s - stage.start_s
    energy = biller.energy([_span(attempt, stage.measurements, lasted_s)])
    return StageTag(
        key=stage.key,
        index=stage.index,
        parent=stage.parent_key,
        kind=stage.kind,
        name=stage.name,
        status=stage.status,
        attempt=attempt.number,
        energy=energy,
        flops=stage_flops(stage, attempt.stages),
        quality=_quality(attempt, stage),
        share_ratio=share(energy.it_energy_kwh, total),
    )


def _quality(attempt: AttemptInput, stage: StageInput) -> tuple[QualityTag, ...]:
    """Each metric as the stage reported it last: a script may do so at every step."""
    latest = {
        (q.metric, q.split): QualityTag(
            q.metric, q.value, q.split, stage.key, q.unit, attempt.number
        )
        for q in stage.quality
    }
    return tuple(latest.values())


def _attempts(
    attempts: Sequence[AttemptInput], spans: Sequence[Span], biller: Biller, total: Quantity
) -> tuple[AttemptTag, ...]:
    return tuple(
        _attempt(attempt, span, biller, total)
        for attempt, span in zip(attempts, spans, strict=True)
    )


def _attempt(attempt: AttemptInput, span: Span, biller: Biller, total: Quantity) -> AttemptTag:
    energy = biller.energy([span])
    return AttemptTag(
        number=attempt.number,
        status=attempt.status,
        reason=attempt.reason,
        started_at=attempt.started_at,
        node=attempt.node_name,
        device_count=device_count(attempt),
        energy=energy,
        outside_stages=outside_stages(biller, [(attempt, span)]),
        share_ratio=share(energy.it_energy_kwh, total),
    )


def _carbon_intensity(factors: Factors) -> Quantity:
    if factors.carbon_intensity is None:
        return Quantity.unknown("g/kWh", factors.carbon_intensity_reason)
    return factor_quantity(factors.carbon_intensity)


def _last_quality(stages: Sequence[StageTag]) -> tuple[QualityTag, ...]:
    """Each metric as the latest attempt reported it; a later attempt repeats or resumes."""
    latest: dict[tuple[str, str, str | None], QualityTag] = {}
    for stage in stages:
        for quality in stage.quality:
            latest[(quality.stage, quality.metric, quality.split)] = quality
    return tuple(latest.values())


def _flags(inputs: PriceTagInputs, total: EnergyTag) -> tuple[str, ...]:
    flags = set(total.flags)
    if len(inputs.attempts) > 1:
        flags.add("several_attempts")
    if environment_changed(inputs.attempts):
        flags.add("environment_changed")
    if inputs.factors.pue.source == "assumed":
        flags.add("pue_assumed")
    if inputs.factors.carbon_intensity is None:
        flags.add("carbon_intensity_unknown")
    elif inputs.factors.carbon_intensity.source == "assumed":
        flags.add("carbon_intensity_assumed")
    return tuple(sorted(flags))
