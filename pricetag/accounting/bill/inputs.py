"""The inputs of a price tag: plain frozen records, filled by the service from the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

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
        component_id: Id of the component.
        window: Its energy.
        energy_by_hour_j: Charged energy by UTC hour (ISO 8601, ``2026-11-21T04:00:00+00:00``);
            empty if not stored, so that no hourly factor can be applied.
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
        low_bit: Operations on integers of 8 bits or fewer, counted separately.
        method: How they were counted (``closed_form``, ``FlopCounterMode ...``).
        uncounted: Names of operators or modules that were not counted.
    """

    dense: float | None
    effective: float | None
    low_bit: float | None
    method: str | None
    uncounted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QualityInput:
    """One quality metric of the price tag.

    Attributes:
        metric: Name of the metric.
        value: Its value; None if undefined.
        split: Data split.
        unit: Its unit; None for a plain number.
        of_class: Class that a metric such as F1 refers to, or how it averages over classes.
        reason: Reason why the value is missing.
    """

    metric: str
    value: float | None
    split: str | None
    unit: str | None = None
    of_class: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StageInput:
    """One stage of one attempt; ``start_s`` and ``end_s`` are relative to the meter's opening.

    ``end_s`` is None if the stage never ended because its worker was lost.
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
    """Another tool's IT energy for the same attempt (PUE 1), in kWh.

    ``reason`` explains a missing figure; ``duration_s`` is the tool's measured time.
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
class InputFile:
    """A data or model file that an attempt read."""

    role: Annotated[str, "Part of the recipe that names the file, e.g. `data.train` or `model`."]
    path: Annotated[str, "Path as in the recipe, below a data root."]
    size_bytes: Annotated[int | None, "Size of the file, in bytes; null if unknown."]
    sha256: Annotated[str | None, "SHA-256 of the content; null if unknown."]
    reason: Annotated[str | None, "Reason why the hash is unknown; null if it is known."]


@dataclass(frozen=True, slots=True)
class Environment:
    """Software environment of the attempt.

    Attributes:
        variables: Environment variables of the job, with secrets masked; empty if they were not
            recorded.
        code: Code of each command, by stage: path, commit and SHA-256.
        inputs: Data and model files that it read; empty for commands, and where they were not
            recorded.
        scheduler: What a scheduler states of the job on the attempt's node: see
            :mod:`pricetag.accounting.bill.scheduled`. None outside a job.
    """

    packages: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, Any] = field(default_factory=dict)
    python: str | None = None
    platform: str | None = None
    git_commit: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[InputFile, ...] = ()
    scheduler: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AttemptInput:
    """One execution of the run, however it ended.

    Attributes:
        number: 1 for the first attempt.
        status: ``succeeded``, ``failed``, ``cancelled``, ``interrupted`` or ``lost``.
        reason: ``{code, message, field?}`` of an attempt that did not succeed.
        started_at: UTC, ISO 8601.
        duration_s: Wall-clock time; None if unknown.
        components: The metered components.
        measurements: One measurement per component over the whole attempt.
        stages: Its stages, nested ones included.
        second_opinion: Another tool's figure, if any.
        devices: Reserved accelerators; if empty, the metered GPUs are used instead.
        node_name: The worker node.
        environment: Its software environment, if reported.
        site: Site of the node.
        unread_j: The most that is charged after the last reading of a lost attempt, in J, by
            component.
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
    unread_j: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Factor:
    """An external number that the price tag multiplies by, with its source.

    Attributes:
        relative_std_ratio: 0 for a figure that is exact by definition.
        source: ``assumed`` for a guess or a default, ``estimated`` for a published average,
            ``counter`` for a value metered by the site.
    """

    value: Annotated[float, "Value of the factor, in `unit`."]
    unit: Annotated[
        str, "Unit of the value, e.g. `kWh`, `kg`, `s`, `1` (a ratio) or an ISO 4217 currency."
    ]
    relative_std_ratio: Annotated[float, "Relative standard error, one sigma (0.05 is 5%)."]
    source: Annotated[
        Source,
        "Kind of evidence, from the strongest to the weakest: `counter`, `integrated`, `modelled`, "
        "`estimated` or `assumed`.",
    ]
    citation: Annotated[str, "Source to cite: publisher and document."]
    year: Annotated[int | None, "Year that the figure describes; null if unknown."] = None
    basis: Annotated[
        str | None, "What the figure includes, e.g. `lifecycle, location-based, annual mean`."
    ] = None
    zone: Annotated[
        str | None, "Grid zone: ISO 3166 code of a country or subdivision; null if none applies."
    ] = None
    licence: Annotated[str | None, "License of the figure."] = None
    source_url: Annotated[str | None, "Web address of the source."] = None
    multiplicative: Annotated[
        bool, "Whether the error is a factor: times or divided by 1 + ratio."
    ] = False


@dataclass(frozen=True, slots=True)
class HourlyFactor:
    """A factor that changes from hour to hour.

    Attributes:
        by_hour: Hours are written like ``2026-11-21T04:00:00+00:00``.
    """

    factor: Annotated[Factor, "Mean of the hourly values, with error and source."]
    by_hour: Annotated[Mapping[str, float], "Value of each UTC hour, by its beginning (ISO 8601)."]


@dataclass(frozen=True, slots=True)
class EmbodiedFactor:
    """Emissions of manufacturing one piece of reserved hardware.

    Attributes:
        factor: Emissions in kg CO2e per piece; the error is a factor.
        lifetime_h: Hours from purchase to disposal.
        utilisation_ratio: Share of the lifetime in which it is reserved.
    """

    subject: Annotated[str, "Product name of the accelerator, or `server`."]
    factor: Annotated[Factor, "The factor, with its error and source."]
    lifetime_h: Annotated[float, "Service life of the hardware (hours)."]
    utilisation_ratio: Annotated[float, "Share of the service life in use (0.7 is 70%)."]
    pieces: Annotated[
        float, "Number of pieces per accelerator (for a server of eight accelerators, 0.125)."
    ] = 1.0


@dataclass(frozen=True, slots=True)
class Factors:
    """The factors of one price tag.

    Attributes:
        pue: Power usage effectiveness of the site.
        carbon_intensity: Carbon intensity in g CO2e/kWh; None if the site's zone is unknown.
        cloud_price_low: Price per accelerator-hour (preemptible), optional.
        cloud_price_high: Price per accelerator-hour (on demand), optional.
        electricity_tariff: Price per kWh at the site's meter, optional.
        currency: ISO 4217 code of all three prices; required with any of them.
        carbon_intensity_reason: Reason why the carbon intensity is missing.
        cloud_price_reason: Reason why the two prices are missing.
        electricity_reason: Reason why the tariff is missing.
        internal_price_reason: Reason why the price of the site's own hardware is missing.
        carbon_hours: Hourly carbon intensity (location-based, g CO2e/kWh); for a missing hour,
            ``carbon_intensity`` is used and a flag is set.
        carbon_market: Market-based carbon intensity (g CO2e/kWh) of the site's contracts,
            shown beside the location-based one, which it never replaces.
        tariff_hours: Hourly price per kWh, if the tariff depends on the time of use.
        internal_price: Price per accelerator-hour of the site's own hardware, without
            electricity.
        wue: Water usage effectiveness of the site, liters per kWh of IT energy.
        water_intensity: Water intensity of electricity generation, liters per kWh.
        embodied: Embodied factors of the reserved accelerators and servers.
        calibrations: Factors for the meters' figures, by component id; the error of a
            calibration replaces the meter's gain error.
        peaks: Peak FLOP/s of accelerators, by product name.
        site: Name of the site.
        as_of: Time of the factors in the price book (ISO 8601); None: the time of issue.
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
    """All inputs of a price tag.

    Attributes:
        run_id: The run's id.
        name: The run's name.
        version: 1 for the first price tag of the run.
        attempts: All attempts, in order.
        factors: Factors of the site.
        accounting_version: Version of the arithmetic.
        seed: Seed of the Monte Carlo intervals.
        origin: Who measured the run; None for a worker of the queue.
        measured_by: Program that measured it, with its version; None for a worker, or if unknown.
    """

    run_id: str
    name: str
    version: int
    attempts: tuple[AttemptInput, ...]
    factors: Factors
    accounting_version: str
    seed: int = 0
    origin: str | None = None
    measured_by: str | None = None


def roots(stages: Sequence[StageInput]) -> list[StageInput]:
    """The top-level stages."""
    keys = {stage.key for stage in stages}
    return [stage for stage in stages if stage.parent_key not in keys]
