"""What a price tag is built from: plain frozen records, filled by the service from the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pricetag.accounting.quantity.quantity import Source
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.window import WindowEnergy


@dataclass(frozen=True, slots=True)
class Device:
    """An accelerator that was reserved for an attempt, metered or not."""

    name: str
    uuid: str | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """The energy of one component over one window (a stage, or a whole attempt).

    Attributes:
        component_id: Which.
        window: Its energy.
        energy_by_hour_j: What is charged, by UTC hour (ISO 8601, ``2026-11-21T04:00:00+00:00``);
            empty where it was not kept, and then no hourly factor can be applied.
    """

    component_id: str
    window: WindowEnergy
    energy_by_hour_j: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FlopsCount:
    """Floating-point operations of one stage (counts, not rates).

    Attributes:
        dense: Operations of the dense network; None when not countable.
        effective: Dense operations times the density of the weights.
        low_bit: Operations done in integers of 8 bits or fewer, counted apart.
        method: How they were counted (``closed_form``, ``FlopCounterMode ...``).
        uncounted: Names of operators or modules that are not counted.
    """

    dense: float | None
    effective: float | None
    low_bit: float | None
    method: str | None
    uncounted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QualityInput:
    """One quality metric that belongs on the price tag.

    Attributes:
        metric: Its name.
        value: None where it is not defined.
        split: Of the data.
        unit: None for a plain number.
        of_class: The class that an F1 or the like is of, or how it averages over classes.
        reason: Why there is no value.
    """

    metric: str
    value: float | None
    split: str | None
    unit: str | None = None
    of_class: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StageInput:
    """One stage of one attempt; ``start_s`` and ``end_s`` count from the opening of the meter.

    ``end_s`` is None when the stage never ended (its worker was lost).
    """

    key: str
    index: int
    parent_key: str | None
    kind: str
    name: str
    status: str
    start_s: float
    end_s: float | None
    measurements: tuple[Measurement, ...] = ()
    flops: FlopsCount | None = None
    quality: tuple[QualityInput, ...] = ()


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """What another tool says about the IT energy of the same attempt (PUE 1), in kWh.

    ``reason`` is why a figure is missing; ``duration_s`` how long the tool measured.
    """

    tool: str
    version: str | None
    cpu_kwh: float | None
    gpu_kwh: float | None
    ram_kwh: float | None
    energy_kwh: float | None
    reason: str | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """What the attempt ran in.

    Attributes:
        variables: The environment variables that the job saw, secrets masked; empty where they
            were not recorded.
        code: The code that each command ran, by stage: path, commit and SHA-256.
    """

    packages: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, Any] = field(default_factory=dict)
    python: str | None = None
    platform: str | None = None
    git_commit: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttemptInput:
    """One execution of the run, however it ended.

    Attributes:
        number: 1 for the first attempt.
        status: succeeded, failed, cancelled, interrupted or lost.
        reason: ``{code, message, field?}`` of an attempt that did not succeed.
        started_at: UTC, ISO 8601.
        duration_s: Wall-clock time; None when it is unknown.
        components: What the meter watched.
        measurements: Per component over the whole attempt.
        stages: Its stages, nested ones included.
        second_opinion: Another tool's figure, if any.
        devices: Accelerators reserved; when empty, the metered GPUs stand for them.
        node_name: The worker node.
        environment: Software it ran in, if reported.
        site: Where the node stands.
    """

    number: int
    status: str
    reason: Mapping[str, Any] | None
    started_at: str
    duration_s: float | None
    components: tuple[Component, ...]
    measurements: tuple[Measurement, ...]
    stages: tuple[StageInput, ...] = ()
    second_opinion: SecondOpinion | None = None
    devices: tuple[Device, ...] = ()
    node_name: str | None = None
    environment: Environment | None = None
    site: str | None = None


@dataclass(frozen=True, slots=True)
class Factor:
    """A number from outside that the price tag multiplies with, and where it is from.

    Attributes:
        value: The factor.
        unit: Its unit, for example ``g/kWh``.
        relative_std_ratio: Relative error, one sigma; 0 for a figure exact by definition.
        source: ``assumed`` when it was guessed or is a default, ``estimated`` when it is a
            published average, ``counter`` when the site metered it.
        citation: Who published it, where.
        year: The year it describes.
        basis: For example ``lifecycle, production, location-based, annual``.
        zone: The place it is valid for.
        licence: Under which it may be shown.
        source_url: Where it can be read.
        multiplicative: Whether the error is a factor (times or divided by 1 + ratio).
    """

    value: float
    unit: str
    relative_std_ratio: float
    source: Source
    citation: str
    year: int | None = None
    basis: str | None = None
    zone: str | None = None
    licence: str | None = None
    source_url: str | None = None
    multiplicative: bool = False


@dataclass(frozen=True, slots=True)
class HourlyFactor:
    """A factor that changes from hour to hour.

    Attributes:
        factor: Where it is from and its error; its value is the mean of the hours given.
        by_hour: The value of each UTC hour (ISO 8601, ``2026-11-21T04:00:00+00:00``).
    """

    factor: Factor
    by_hour: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class EmbodiedFactor:
    """Emissions of making one piece of hardware that a run has reserved.

    Attributes:
        subject: Product name of the accelerator, or ``server``.
        factor: In kg CO2e a piece; its error is a factor.
        lifetime_h: Hours from purchase to disposal.
        utilisation_ratio: Part of its lifetime in which it is reserved by somebody.
        pieces: How many of it stand for one accelerator (a server of eight: 1/8).
    """

    subject: str
    factor: Factor
    lifetime_h: float
    utilisation_ratio: float
    pieces: float = 1.0


@dataclass(frozen=True, slots=True)
class Factors:
    """The factors of one price tag.

    Attributes:
        pue: Power usage effectiveness of the site.
        carbon_intensity: In g CO2e/kWh; None when the site's zone is unknown.
        cloud_price_low: Money per accelerator-hour (preemptible), optional.
        cloud_price_high: Money per accelerator-hour (on demand), optional.
        electricity_tariff: Money per kWh at the site's meter, optional.
        currency: ISO 4217 code of all three; required when one of them is given.
        carbon_intensity_reason: Why the carbon intensity is missing.
        cloud_price_reason: Why the two prices are missing.
        electricity_reason: Why the tariff is missing.
        internal_price_reason: Why the price of the site's own hardware is missing.
        carbon_hours: Carbon intensity by the hour (location-based, g CO2e/kWh); an hour that it
            has none for takes ``carbon_intensity``, and is flagged.
        carbon_market: Market-based carbon intensity (g CO2e/kWh) of the site's contracts,
            shown beside the other, never instead of it.
        tariff_hours: Money per kWh by the hour, where the tariff depends on the time of use.
        internal_price: Money per accelerator-hour of the site's own hardware, without
            electricity.
        wue: Water usage effectiveness of the site, litres per kWh of IT energy.
        water_intensity: Water of electricity generation, litres per kWh.
        embodied: Of the accelerators (and servers) that the run has reserved.
        calibrations: By component id, what the meter's figure is to be multiplied with; its
            error takes the place of the meter's gain error.
        peaks: By product name of an accelerator, the most FLOP/s that it can do.
        site: Name of the site.
        as_of: The factors are as the book stood then (ISO 8601); None: when it was issued.
    """

    pue: Factor
    carbon_intensity: Factor | None
    cloud_price_low: Factor | None = None
    cloud_price_high: Factor | None = None
    electricity_tariff: Factor | None = None
    currency: str | None = None
    carbon_intensity_reason: str = "no grid zone is configured"
    cloud_price_reason: str = "no price of a device-hour is known for this hardware"
    electricity_reason: str = "no electricity tariff is configured"
    internal_price_reason: str = "the site has no price of its own for this hardware"
    carbon_hours: HourlyFactor | None = None
    carbon_market: Factor | None = None
    tariff_hours: HourlyFactor | None = None
    internal_price: Factor | None = None
    wue: Factor | None = None
    water_intensity: Factor | None = None
    embodied: tuple[EmbodiedFactor, ...] = ()
    calibrations: Mapping[str, Factor] = field(default_factory=dict)
    peaks: Mapping[str, Factor] = field(default_factory=dict)
    site: str | None = None
    as_of: str | None = None


@dataclass(frozen=True, slots=True)
class PriceTagInputs:
    """Everything a price tag is built from.

    Attributes:
        run_id: The run's id.
        name: The run's name.
        version: 1 for the first price tag of the run.
        attempts: All attempts, in order.
        factors: What the site's energy is multiplied with.
        accounting_version: Version of the arithmetic.
        seed: Seed of the Monte Carlo intervals.
    """

    run_id: str
    name: str
    version: int
    attempts: tuple[AttemptInput, ...]
    factors: Factors
    accounting_version: str
    seed: int = 0


def roots(stages: Sequence[StageInput]) -> list[StageInput]:
    """Stages that lie in no other stage."""
    keys = {stage.key for stage in stages}
    return [stage for stage in stages if stage.parent_key not in keys]
