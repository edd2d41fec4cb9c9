"""Build the price tag of a run from its measurements and the factors of its site.

Totals include all attempts, however they ended. Unmetered energy is missing, with a reason, and
never 0; coverage and flags show how much is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pricetag.accounting.bill.bill import Biller, Span, share
from pricetag.accounting.bill.calibration import calibrated
from pricetag.accounting.bill.charges import Charge, product
from pricetag.accounting.bill.cost import cost_of
from pricetag.accounting.bill.factor_ranges import require_factors
from pricetag.accounting.bill.figures import EnergyTag
from pricetag.accounting.bill.footprint import footprint
from pricetag.accounting.bill.inputs import (
    AttemptInput,
    Factor,
    Measurement,
    PriceTagInputs,
    StageInput,
)
from pricetag.accounting.bill.once import counted_once
from pricetag.accounting.bill.outside import outside_stages
from pricetag.accounting.bill.rates import Rate, RateMissing
from pricetag.accounting.bill.reserved import device_count
from pricetag.accounting.bill.scheduled import begin_s, most_devices, record_of, restarts
from pricetag.accounting.bill.scheduled import flags as flags_of_jobs
from pricetag.accounting.document.error_budget import uncertainty
from pricetag.accounting.document.plain_texts import version_5_words
from pricetag.accounting.document.provenance import (
    environment_changed,
    hardware,
    provenance,
)
from pricetag.accounting.document.records import (
    SCHEMA,
    AttemptTag,
    OutsideStages,
    PriceTag,
    QualityTag,
    StageTag,
)
from pricetag.accounting.document.second_opinion import compare
from pricetag.accounting.document.versions import (
    bounds_pue,
    compares_without_opinion,
    has_plain_texts,
    keeps_errors,
)
from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.readings.ledger import EDGE_TOLERANCE_S
from pricetag.accounting.work.operations import (
    FORMER_SCRIPTS_OWN,
    SCRIPTS_OWN,
    Effort,
    run_flops,
    stage_flops,
)

FULL_SHARE_RATIO = 1 - 1e-6


class UnknownComponent(ValueError):  # noqa: N818 - the name states the problem
    """A measurement belongs to a component that its attempt does not declare."""


def build_price_tag(inputs: PriceTagInputs) -> PriceTag:
    """Build the price tag of a run from its measurements and the site's factors.

    Args:
        inputs: All attempts with their measurements, and the factors.

    Returns:
        The price tag; the same inputs give the same price tag, including its intervals.

    Raises:
        InvalidFactor: If a factor is out of range, or a price has no currency.
        UnknownComponent: If a measurement belongs to an undeclared component.
    """
    require_factors(inputs.factors)
    attempts = calibrated(counted_once(inputs.attempts), inputs.factors.calibrations)
    inputs = replace(inputs, attempts=attempts)
    issued = inputs.accounting_version
    biller = Biller(
        inputs.factors,
        inputs.seed,
        keeps_errors=keeps_errors(issued),
        bounds_pue=bounds_pue(issued),
    )
    spans = [
        replace(
            _span(attempt, attempt.measurements, attempt.duration_s, inputs.factors.calibrations),
            begin_s=begin_s(attempt, inputs.attempts),
        )
        for attempt in inputs.attempts
    ]
    charges = [charge for span in spans for charge in span.charges]
    total = biller.energy(spans)
    silence = SCRIPTS_OWN if has_plain_texts(issued) else FORMER_SCRIPTS_OWN
    stages = _stages(inputs.attempts, biller, total.it_energy_kwh, silence)
    cost = cost_of(biller, inputs.attempts, charges)
    intensity, hourly = biller.carbon_intensity(charges)
    outside = outside_stages(biller, list(zip(inputs.attempts, spans, strict=True)))
    return PriceTag(
        schema=SCHEMA,
        run_id=inputs.run_id,
        name=inputs.name,
        version=inputs.version,
        hardware=hardware(inputs.attempts),
        device_count=most_devices(inputs.attempts),
        energy=replace(total, flags=_flags(inputs, total, biller, charges)),
        footprint=footprint(biller, inputs.attempts, charges, total.co2e_kg),
        pue=biller.pue(),
        carbon_intensity_g_per_kwh=intensity,
        carbon_hours_share_ratio=hourly,
        flops=run_flops(inputs.attempts, _effort(inputs, total, silence)),
        cost=cost,
        quality=_last_quality(stages),
        stages=stages,
        attempts=_attempts(inputs.attempts, spans, biller, total.it_energy_kwh),
        second_opinion=compare(
            biller,
            inputs.attempts,
            spans,
            without_opinion=compares_without_opinion(issued),
            words=version_5_words if has_plain_texts(issued) else str,
        ),
        uncertainty=uncertainty(biller, charges, total, cost),
        provenance=provenance(inputs, outside),
    )


def _effort(inputs: PriceTagInputs, total: EnergyTag, silence: str) -> Effort:
    lasted = [(attempt, attempt.duration_s) for attempt in inputs.attempts]
    return Effort(lasted, total.it_energy_kwh, inputs.factors.peaks, silence)


def _span(
    attempt: AttemptInput,
    measurements: Sequence[Measurement],
    duration_s: float | None,
    calibrations: Mapping[str, Factor],
) -> Span:
    windows = {measurement.component_id: measurement for measurement in measurements}
    declared = {component.id for component in attempt.components}
    if strangers := sorted(windows.keys() - declared):
        declared_ids = ", ".join(sorted(declared)) or "none"
        raise UnknownComponent(
            f"attempt {attempt.number} declares no {', '.join(strangers)}; it has: {declared_ids}"
        )
    charges = []
    for component in attempt.components:
        measured = windows.get(component.id)
        lasted_s = 0.0 if measured is None else measured.window.duration_s
        expected_s = lasted_s if duration_s is None else max(duration_s, lasted_s)
        charges.append(
            Charge(
                component,
                None if measured is None else measured.window,
                expected_s,
                attempt.node_name,
                {} if measured is None else measured.energy_by_hour_j,
                calibrations.get(component.id),
                _after_last_j(attempt, measured),
            )
        )
    return Span(duration_s, tuple(charges))


def _after_last_j(attempt: AttemptInput, measured: Measurement | None) -> float:
    """The most that is charged after the last reading of an attempt, for windows up to its end."""
    if measured is None or attempt.duration_s is None:
        return 0.0
    if measured.window.end_s < attempt.duration_s - EDGE_TOLERANCE_S:
        return 0.0
    return attempt.unread_j.get(measured.component_id, 0.0)


def _stages(
    attempts: Sequence[AttemptInput], biller: Biller, total: Quantity, silence: str
) -> tuple[StageTag, ...]:
    return tuple(
        _stage(attempt, stage, biller, total, silence)
        for attempt in attempts
        for stage in attempt.stages
    )


def _stage(
    attempt: AttemptInput, stage: StageInput, biller: Biller, total: Quantity, silence: str
) -> StageTag:
    lasted_s = None if stage.end_s is None else stage.end_s - stage.start_s
    span = _span(attempt, stage.measurements, lasted_s, biller.factors.calibrations)
    energy = biller.energy([span])
    effort = Effort([(attempt, lasted_s)], energy.it_energy_kwh, biller.factors.peaks, silence)
    return StageTag(
        key=stage.key,
        index=stage.index,
        parent=stage.parent_key,
        kind=stage.kind,
        name=stage.name,
        status=stage.status,
        attempt=attempt.number,
        energy=energy,
        flops=stage_flops(stage, attempt.stages, effort),
        quality=_quality(attempt, stage),
        share_ratio=share(energy.it_energy_kwh, total),
    )


def _quality(attempt: AttemptInput, stage: StageInput) -> tuple[QualityTag, ...]:
    """The last value of each metric of a stage; a script may report one at every step."""
    latest = {
        (q.metric, q.split): QualityTag(
            q.metric,
            q.value,
            q.split,
            stage.key,
            q.unit,
            attempt.number,
            q.of_class,
            q.reason,
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
        site=attempt.site,
        device_count=device_count(attempt),
        energy=energy,
        footprint=footprint(biller, [attempt], span.charges, energy.co2e_kg),
        cost=cost_of(biller, [attempt], span.charges),
        outside_stages=OutsideStages(outside_stages(biller, [(attempt, span)])),
        share_ratio=share(energy.it_energy_kwh, total),
        scheduler=record_of(attempt),
    )


def _last_quality(stages: Sequence[StageTag]) -> tuple[QualityTag, ...]:
    """The value of each metric from the latest attempt, which repeats or resumes earlier ones."""
    latest: dict[tuple[str, str, str | None], QualityTag] = {}
    for stage in stages:
        for quality in stage.quality:
            latest[(quality.stage, quality.metric, quality.split)] = quality
    return tuple(latest.values())


def _flags(
    inputs: PriceTagInputs, total: EnergyTag, biller: Biller, charges: Sequence[Charge]
) -> tuple[str, ...]:
    flags = {*total.flags, *flags_of_jobs(inputs.attempts)}
    factors = inputs.factors
    if _is_repeated(inputs.attempts):
        flags.add("several_attempts")
    if len({attempt.site for attempt in inputs.attempts}) > 1:
        flags.add("several_sites")
    if environment_changed(inputs.attempts):
        flags.add("environment_changed")
    if factors.pue.source == "assumed":
        flags.add("pue_assumed")
    if factors.carbon_intensity is None and factors.carbon_hours is None:
        flags.add("carbon_intensity_unknown")
    elif factors.carbon_intensity is not None and factors.carbon_intensity.source == "assumed":
        flags.add("carbon_intensity_assumed")
    if _lacks_hours(biller.carbon, charges):
        flags.add("carbon_hours_incomplete")
    tariff = Rate("tariff", factors.electricity_tariff, factors.tariff_hours)
    if _lacks_hours(tariff, charges):
        flags.add("tariff_hours_incomplete")
    return tuple(sorted(flags))


def _is_repeated(attempts: Sequence[AttemptInput]) -> bool:
    """Whether the run was attempted more than once; a job of several nodes is one attempt."""
    jobs = restarts(attempts)
    return len(jobs) > 1 if jobs else len(attempts) > 1


def _lacks_hours(rate: Rate | None, charges: Sequence[Charge]) -> bool:
    """Whether a part of the energy was used in hours without an hourly value."""
    if rate is None or rate.hours is None:
        return False
    try:
        priced = product(charges, [rate])
    except RateMissing:
        return True
    return priced is not None and priced.rates[0].hourly_share_ratio < FULL_SHARE_RATIO
