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

    metric: Annotated[str, "Name of the metric, e.g. `accuracy`."]
    value: Annotated[float | None, "Score; null with a `reason`."]
    split: Annotated[str | None, "Data split: `train`, `validation` or `test`; null without one."]
    stage: Annotated[str, "Key of the stage."]
    unit: Annotated[str | None, "Unit of the value; null without one."]
    attempt: Annotated[int, "Number of the attempt, from 1."]
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

    key: Annotated[str, "Key of the stage within its attempt."]
    index: Annotated[int, "Position in the order of execution, from 0."]
    parent: Annotated[str | None, "Key of the parent stage."]
    kind: Annotated[str, "Stage kind, e.g. `train`."]
    name: Annotated[str, "Name of the stage."]
    status: Annotated[
        str,
        "How the stage ended: `succeeded`, `failed`, `reused` (finished by an earlier attempt), "
        "`cancelled`, `interrupted` or `lost`.",
    ]
    attempt: Annotated[int, "Number of the attempt, from 1."]
    energy: Annotated[EnergyTag, INLINE]
    flops: Annotated[
        FlopsTag, "Floating-point operations; null or with a reason if they were not counted."
    ]
    quality: Annotated[
        tuple[QualityTag, ...], "Quality metrics, e.g. accuracy, by stage and split."
    ]
    share_ratio: Annotated[Quantity, "Share of the run's IT energy."]


@dataclass(frozen=True, slots=True)
class OutsideStages(Record):
    """Energy used before, between and after the stages."""

    it_energy_kwh: Annotated[Quantity, "Energy charged by the meters, before the PUE, in kWh."]


@dataclass(frozen=True, slots=True)
class AttemptTag(Record):
    """One attempt, however it ended."""

    number: Annotated[int, "Number of the attempt, from 1."]
    status: Annotated[
        str, "How the attempt ended: `succeeded`, `failed`, `cancelled`, `interrupted` or `lost`."
    ]
    reason: Annotated[
        Mapping[str, Any] | None, "`{code, message}` of an attempt that did not succeed."
    ]
    started_at: Annotated[str, "Time of the start (UTC, ISO 8601)."]
    node: Annotated[str | None, "Name of the node; null if unknown."]
    site: Annotated[str | None, "Name of the site; null if it has none.", Since(2)]
    device_count: Annotated[int, "Number of reserved accelerators."]
    energy: Annotated[EnergyTag, INLINE]
    footprint: Annotated[FootprintTag, INLINE]
    cost: Annotated[CostTag, "Cost of the attempt.", Since(2)]
    outside_stages: Annotated[OutsideStages, "Energy used outside the stages."]
    share_ratio: Annotated[Quantity, "Share of the run's IT energy."]
    scheduler: Annotated[
        Mapping[str, Any] | None,
        "What the scheduler of a cluster stated of the job on this node, and the other jobs there; "
        "absent outside a job.",
        Since(5),
        OMIT_NONE,
    ] = None


@dataclass(frozen=True, slots=True)
class DeviceCount(Record):
    """Devices of one kind and name."""

    kind: Annotated[str, "Kind of component: `gpu`, `cpu` or `ram`."]
    name: Annotated[str, "Product name of the devices."]
    count: Annotated[int, "Maximum number of these devices at once."]


@dataclass(frozen=True, slots=True)
class Hardware(Record):
    """Hardware of the run."""

    devices: Annotated[tuple[DeviceCount, ...], "Devices: kind, product name and UUID or count."]
    nodes: Annotated[tuple[str, ...], "Names of the nodes on which the run was executed."]


@dataclass(frozen=True, slots=True)
class Opinion(Record):
    """Another tool's figure beside ours; differences are (theirs - ours) / ours."""

    theirs_kwh: Annotated[Quantity, "Energy that the other tool reported, in kWh."]
    ours_kwh: Annotated[Quantity, "Energy charged for the same attempts."]
    ours_gross_kwh: Annotated[Quantity, "Energy of the whole devices.", Since(2)]
    difference_ratio: Annotated[
        Quantity, "Difference relative to our figure: (theirs - ours) / ours."
    ]
    gross_difference_ratio: Annotated[
        Quantity, "Difference relative to the whole devices.", Since(3)
    ]


@dataclass(frozen=True, slots=True)
class ComponentOpinion(Record):
    """Another tool's figure beside ours for one kind of component."""

    kind: Annotated[str, "Kind of component: `gpu`, `cpu` or `ram`."]
    opinion: Annotated[Opinion, INLINE]


@dataclass(frozen=True, slots=True)
class OpinionDurations(Record):
    """Measured time of either side, in seconds."""

    theirs_s: Annotated[
        float | None, "Time that the other tool measured, in seconds; null if unknown."
    ]
    ours_s: Annotated[float | None, "Time that our meter measured, in seconds; null if unknown."]


@dataclass(frozen=True, slots=True)
class Explanation(Record):
    """One cause of the difference from the other tool."""

    component: Annotated[str | None, "Kind of component; null for all together."]
    difference_kwh: Annotated[float | None, "Their figure minus ours, in kWh."]
    cause: Annotated[str, "Stable name of the cause, e.g. `share-of-the-machine`."]
    text: Annotated[str, "The cause in words."]


@dataclass(frozen=True, slots=True)
class SecondOpinionTag(Record):
    """Another tool's IT energy, and why it differs."""

    tool: Annotated[str, "Name of the other tool."]
    version: Annotated[str | None, "Version of the other tool; null if unknown."]
    attempts: Annotated[tuple[int, ...], "The attempts for which it has a figure.", Since(2)]
    duration: Annotated[OpinionDurations, "Measured time of both sides.", Since(2)]
    components: Annotated[tuple[ComponentOpinion, ...], "Both figures by kind of component."]
    total: Annotated[Opinion, "Both figures for all components together."]
    explanation: Annotated[
        tuple[Explanation, ...],
        "Causes of the difference; their contributions add up to all of it.",
        Since(2),
    ]
    reason: Annotated[str | None, "Reason why a figure of the other tool is missing."]


@dataclass(frozen=True, slots=True)
class ErrorShare(Record):
    """One cause of error of a total."""

    term: Annotated[str, "Name of the cause, e.g. `carbon intensity`."]
    relative_std_ratio: Annotated[float, "One sigma, relative to the total."]
    share_of_variance: Annotated[
        float, "Part of the total's variance due to this cause (0.5 is half)."
    ]


@dataclass(frozen=True, slots=True)
class ErrorBudget(Record):
    """The causes of error of each total, largest first; empty if it is unknown or exact."""

    it_energy: Annotated[tuple[ErrorShare, ...], "Causes of error of the IT energy."]
    facility_energy: Annotated[tuple[ErrorShare, ...], "Causes of error of the facility energy."]
    co2e: Annotated[tuple[ErrorShare, ...], "Causes of error of the emissions."]
    cost: Annotated[tuple[ErrorShare, ...], "Causes of error of the cost."]


@dataclass(frozen=True, slots=True)
class AppliedFactors(Record):
    """All factors of a price tag with value, error, citation and license.

    A reason is null if its factor is known.
    """

    pue: Annotated[
        Factor | None,
        "Power usage effectiveness of the site: facility energy over IT energy, 1 or more.",
    ]
    carbon_intensity: Annotated[
        Factor | None, "Location-based carbon intensity, in g CO2e per kWh."
    ]
    cloud_price_low: Annotated[
        Factor | None, "Cloud price per preemptible device-hour (spot): the low end."
    ]
    cloud_price_high: Annotated[
        Factor | None, "Cloud price per device-hour on demand: the high end."
    ]
    electricity_tariff: Annotated[Factor | None, "Price of a kWh of electricity at the site."]
    carbon_market: Annotated[
        Factor | None, "Carbon intensity by the site's contracts, in g CO2e per kWh.", Since(2)
    ]
    internal_price: Annotated[Factor | None, "The site's own price per device-hour.", Since(2)]
    wue: Annotated[
        Factor | None,
        "Water usage effectiveness: water used on site, in l per kWh of IT energy.",
        Since(2),
    ]
    water_intensity: Annotated[
        Factor | None, "Water used to generate the electricity, in l per kWh.", Since(2)
    ]
    carbon_hours: Annotated[
        HourlyFactor | None, "Hourly values of the hours in which energy was used.", Since(2)
    ]
    tariff_hours: Annotated[
        HourlyFactor | None, "Hourly values of the hours in which energy was used.", Since(2)
    ]
    calibrations: Annotated[Mapping[str, Factor], "Calibration by component ID.", Since(2)]
    peaks: Annotated[Mapping[str, Factor], "Peak FLOP/s by product name.", Since(2)]
    embodied: Annotated[
        tuple[EmbodiedFactor, ...],
        "Emissions of manufacturing the reserved hardware, by kind of hardware.",
        Since(2),
    ]
    currency: Annotated[str | None, "ISO 4217 code of the currency; null if unknown.", Since(2)]
    carbon_intensity_reason: Annotated[
        str | None, "Reason why the carbon intensity is unknown.", Since(2)
    ]
    cloud_price_reason: Annotated[str | None, "Reason why the cloud price is unknown.", Since(2)]
    electricity_reason: Annotated[
        str | None, "Reason why the tariff of electricity is unknown.", Since(2)
    ]
    internal_price_reason: Annotated[
        str | None, "Reason why the site's own price is unknown.", Since(2)
    ]


@dataclass(frozen=True, slots=True)
class Provenance(Record):
    """Origin of the figures: version of the accounting, software, nodes, factors."""

    accounting_version: Annotated[
        str, "Version of the accounting rules that computed the price tag."
    ]
    git_commit: Annotated[str | None, "Git commit of Pricetag; null if unknown."]
    packages: Annotated[Mapping[str, str], "Versions of packages, by name."]
    seeds: Annotated[Mapping[str, Any], "Random seeds of the stages."]
    python: Annotated[str | None, "Python version of the job; null if unknown."]
    platform: Annotated[str | None, "Operating system of the job; null if unknown."]
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
    nodes: Annotated[tuple[str, ...], "Names of the nodes on which the run was executed."]
    interval_seed: Annotated[int, "Seed of the Monte Carlo intervals."]
    origin: Annotated[
        str | None,
        "Who measured the run: `local`, `slurm`, `codecarbon` or `import`; absent for a worker.",
        Since(5),
        OMIT_NONE,
    ]
    measured_by: Annotated[
        str | None,
        "Program that measured the run, with its version; absent for a worker, or if unknown.",
        Since(5),
        OMIT_NONE,
    ]
    site: Annotated[str | None, "Name of the site; null if it has none.", Since(2)]
    as_of: Annotated[str | None, "Factors entered by this time (ISO 8601).", Since(2)]
    factors: Annotated[AppliedFactors, "All factors that were applied, with their sources."]
    outside_stages: Annotated[OutsideStages, "Energy used outside the stages."]


@dataclass(frozen=True, slots=True)
class PriceTag(Record):
    """Energy, emissions, cost and quality of a run over all its attempts; never edited."""

    schema: Annotated[str, "Version of this format, e.g. `pricetag/1`."]
    run_id: Annotated[str, "ID of the run."]
    name: Annotated[str, "Name of the run."]
    version: Annotated[int, "Version of the price tag, from 1."]
    hardware: Annotated[Hardware, "Hardware that the run used."]
    device_count: Annotated[int, "Maximum number of accelerators that one attempt reserved."]
    energy: Annotated[EnergyTag, INLINE]
    footprint: Annotated[FootprintTag, INLINE]
    pue: Annotated[
        Quantity,
        "Power usage effectiveness of the site: facility energy over IT energy, 1 or more.",
    ]
    carbon_intensity_g_per_kwh: Annotated[Quantity, "The applied carbon intensity."]
    carbon_hours_share_ratio: Annotated[
        Quantity, "Share of the energy with hourly carbon intensities.", Since(2)
    ]
    flops: Annotated[
        FlopsTag, "Floating-point operations; null or with a reason if they were not counted."
    ]
    cost: Annotated[CostTag, "Cost of the run."]
    quality: Annotated[
        tuple[QualityTag, ...], "Quality metrics, e.g. accuracy, by stage and split."
    ]
    stages: Annotated[tuple[StageTag, ...], "Stages in the order of execution."]
    attempts: Annotated[tuple[AttemptTag, ...], "Attempts of the run, in order."]
    second_opinion: Annotated[
        SecondOpinionTag | None,
        "Figure of another tool (CodeCarbon) for the same attempts, or null.",
    ]
    uncertainty: Annotated[ErrorBudget, "Causes of error of each total.", Since(2)]
    provenance: Annotated[Provenance, "Origin of the figures: software, nodes, seeds and factors."]

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of the metering and of the factors."""
        return self.energy.flags
