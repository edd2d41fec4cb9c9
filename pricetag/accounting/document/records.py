"""The price tag as a typed document, schema ``pricetag/1``: the one description of its JSON.

API, hash, client and storage use these classes; ``PriceTag.from_dict`` reads documents of all
versions of the accounting, and ``as_dict`` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pricetag.accounting.bill.figures import CostTag, EnergyTag, FootprintTag
from pricetag.accounting.bill.inputs import EmbodiedFactor, Factor, HourlyFactor, InputFile
from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.quantity.record import INLINE, OMIT_NONE, Record, Since
from pricetag.accounting.work.figures import FlopsTag

SCHEMA = "pricetag/1"


@dataclass(frozen=True, slots=True)
class QualityTag(Record):
    """A quality metric, with the stage and the attempt that reported it."""

    metric: str
    value: float | None
    split: str | None
    stage: Annotated[str, "Key of the stage."]
    unit: str | None
    attempt: int
    of_class: Annotated[
        str | None,
        "Class that a metric such as F1 refers to, or how it averages over classes.",
        Since(4),
        OMIT_NONE,
    ] = None
    reason: Annotated[str | None, "Reason why the value is missing.", Since(4), OMIT_NONE] = None


@dataclass(frozen=True, slots=True)
class StageTag(Record):
    """One stage of one attempt."""

    key: str
    index: int
    parent: Annotated[str | None, "Key of the parent stage."]
    kind: str
    name: str
    status: str
    attempt: int
    energy: Annotated[EnergyTag, INLINE]
    flops: FlopsTag
    quality: tuple[QualityTag, ...]
    share_ratio: Annotated[Quantity, "Share of the run's IT energy."]


@dataclass(frozen=True, slots=True)
class OutsideStages(Record):
    """Energy used before, between and after the stages."""

    it_energy_kwh: Quantity


@dataclass(frozen=True, slots=True)
class AttemptTag(Record):
    """One attempt, however it ended."""

    number: int
    status: str
    reason: Annotated[
        Mapping[str, Any] | None, "`{code, message}` of an attempt that did not succeed."
    ]
    started_at: Annotated[str, "Time of the start (UTC, ISO 8601)."]
    node: str | None
    site: Annotated[str | None, Since(2)]
    device_count: Annotated[int, "Number of reserved accelerators."]
    energy: Annotated[EnergyTag, INLINE]
    footprint: Annotated[FootprintTag, INLINE]
    cost: Annotated[CostTag, Since(2)]
    outside_stages: OutsideStages
    share_ratio: Annotated[Quantity, "Share of the run's IT energy."]


@dataclass(frozen=True, slots=True)
class DeviceCount(Record):
    """Devices of one kind and name."""

    kind: str
    name: str
    count: Annotated[int, "Maximum number of these devices in one attempt."]


@dataclass(frozen=True, slots=True)
class Hardware(Record):
    """Hardware of the run."""

    devices: tuple[DeviceCount, ...]
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opinion(Record):
    """Another tool's figure beside ours; differences are (theirs - ours) / ours."""

    theirs_kwh: Quantity
    ours_kwh: Annotated[Quantity, "Energy charged for the same attempts."]
    ours_gross_kwh: Annotated[Quantity, "Energy of the whole devices.", Since(2)]
    difference_ratio: Quantity
    gross_difference_ratio: Annotated[
        Quantity, "Difference relative to the whole devices.", Since(3)
    ]


@dataclass(frozen=True, slots=True)
class ComponentOpinion(Record):
    """Another tool's figure beside ours for one kind of component."""

    kind: str
    opinion: Annotated[Opinion, INLINE]


@dataclass(frozen=True, slots=True)
class OpinionDurations(Record):
    """Measured time of either side, in seconds."""

    theirs_s: float | None
    ours_s: float | None


@dataclass(frozen=True, slots=True)
class Explanation(Record):
    """One cause of the difference from the other tool."""

    component: Annotated[str | None, "Kind of component; null for all together."]
    difference_kwh: Annotated[float | None, "Their figure minus ours, in kWh."]
    cause: str
    text: str


@dataclass(frozen=True, slots=True)
class SecondOpinionTag(Record):
    """Another tool's IT energy, and why it differs."""

    tool: str
    version: str | None
    attempts: Annotated[tuple[int, ...], "The attempts for which it has a figure.", Since(2)]
    duration: Annotated[OpinionDurations, Since(2)]
    components: tuple[ComponentOpinion, ...]
    total: Opinion
    explanation: Annotated[tuple[Explanation, ...], Since(2)]
    reason: Annotated[str | None, "Reason why a figure of the other tool is missing."]


@dataclass(frozen=True, slots=True)
class ErrorShare(Record):
    """One cause of error of a total."""

    term: str
    relative_std_ratio: Annotated[float, "One sigma, relative to the total."]
    share_of_variance: float


@dataclass(frozen=True, slots=True)
class ErrorBudget(Record):
    """The causes of error of each total, largest first; empty if it is unknown or exact."""

    it_energy: tuple[ErrorShare, ...]
    facility_energy: tuple[ErrorShare, ...]
    co2e: tuple[ErrorShare, ...]
    cost: tuple[ErrorShare, ...]


@dataclass(frozen=True, slots=True)
class AppliedFactors(Record):
    """All factors of a price tag with value, error, citation and license.

    A reason is null if its factor is known.
    """

    pue: Factor | None
    carbon_intensity: Factor | None
    cloud_price_low: Factor | None
    cloud_price_high: Factor | None
    electricity_tariff: Factor | None
    carbon_market: Annotated[Factor | None, Since(2)]
    internal_price: Annotated[Factor | None, Since(2)]
    wue: Annotated[Factor | None, Since(2)]
    water_intensity: Annotated[Factor | None, Since(2)]
    carbon_hours: Annotated[
        HourlyFactor | None, "Hourly values of the hours in which energy was used.", Since(2)
    ]
    tariff_hours: Annotated[
        HourlyFactor | None, "Hourly values of the hours in which energy was used.", Since(2)
    ]
    calibrations: Annotated[Mapping[str, Factor], "Calibration by component ID.", Since(2)]
    peaks: Annotated[Mapping[str, Factor], "Peak FLOP/s by product name.", Since(2)]
    embodied: Annotated[tuple[EmbodiedFactor, ...], Since(2)]
    currency: Annotated[str | None, Since(2)]
    carbon_intensity_reason: Annotated[str | None, Since(2)]
    cloud_price_reason: Annotated[str | None, Since(2)]
    electricity_reason: Annotated[str | None, Since(2)]
    internal_price_reason: Annotated[str | None, Since(2)]


@dataclass(frozen=True, slots=True)
class Provenance(Record):
    """Origin of the figures: version of the accounting, software, nodes, factors."""

    accounting_version: str
    git_commit: str | None
    packages: Annotated[Mapping[str, str], "Versions of packages, by name."]
    seeds: Mapping[str, Any]
    python: str | None
    platform: str | None
    variables: Annotated[
        Mapping[str, str] | None,
        "Environment variables of the job, with secrets masked.",
        Since(4),
        OMIT_NONE,
    ]
    code: Annotated[
        Mapping[str, Any] | None,
        "Code of each command, by stage: path, commit and SHA-256.",
        Since(4),
        OMIT_NONE,
    ]
    inputs: Annotated[
        tuple[InputFile, ...] | None,
        "Data and model files that the attempts read, each content once.",
        Since(4),
        OMIT_NONE,
    ]
    nodes: tuple[str, ...]
    interval_seed: Annotated[int, "Seed of the Monte Carlo intervals."]
    site: Annotated[str | None, Since(2)]
    as_of: Annotated[str | None, "Factors entered by this time (ISO 8601).", Since(2)]
    factors: AppliedFactors
    outside_stages: OutsideStages


@dataclass(frozen=True, slots=True)
class PriceTag(Record):
    """Energy, emissions, cost and quality of a run over all its attempts; never edited."""

    schema: str
    run_id: str
    name: str
    version: int
    hardware: Hardware
    device_count: Annotated[int, "Maximum number of accelerators that one attempt reserved."]
    energy: Annotated[EnergyTag, INLINE]
    footprint: Annotated[FootprintTag, INLINE]
    pue: Quantity
    carbon_intensity_g_per_kwh: Annotated[Quantity, "The applied carbon intensity."]
    carbon_hours_share_ratio: Annotated[
        Quantity, "Share of the energy with hourly carbon intensities.", Since(2)
    ]
    flops: FlopsTag
    cost: CostTag
    quality: tuple[QualityTag, ...]
    stages: tuple[StageTag, ...]
    attempts: tuple[AttemptTag, ...]
    second_opinion: SecondOpinionTag | None
    uncertainty: Annotated[ErrorBudget, Since(2)]
    provenance: Provenance

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of the metering and of the factors."""
        return self.energy.flags
