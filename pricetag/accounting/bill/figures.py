"""The figures of a stage, an attempt or a run: energy, its split, carbon, water, cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.quantity.record import OMIT_NONE, Record, Since


@dataclass(frozen=True, slots=True)
class CostTag(Record):
    """Cost of a run or of an attempt."""

    cloud: Annotated[Quantity, "Device-hours at cloud prices, from the low price to the high."]
    electricity: Annotated[Quantity, "Facility energy at the site's tariff."]
    owned_hardware: Annotated[Quantity, "Device-hours at the site's own price.", Since(2)]
    total: Annotated[Quantity, "The figure to use; `basis` states what it includes.", Since(2)]
    basis: Annotated[
        str | None,
        "Content of the total: `owned hardware and electricity`, `owned hardware without "
        "electricity`, `cloud` or `electricity alone`; null if nothing is known.",
        Since(2),
    ]
    currency: Annotated[str | None, "ISO 4217 code of all amounts."]


@dataclass(frozen=True, slots=True)
class SplitTag(Record):
    """Total energy of the devices, and the idle part of the charge."""

    gross_kwh: Annotated[Quantity, "Energy of the whole devices, including other jobs and idling."]
    charged_ratio: Annotated[Quantity, "Charged share of the gross energy."]
    baseline_kwh: Annotated[Quantity, "Part of the charge that idle devices would use as well."]
    dynamic_kwh: Annotated[Quantity, "The rest of the charge."]


@dataclass(frozen=True, slots=True)
class FootprintTag(Record):
    """Further figures of an attempt or a run: market-based and embodied carbon, water."""

    co2e_market_kg: Annotated[
        Quantity, "Market-based emissions, by the site's contracts.", Since(2)
    ]
    water_l: Annotated[Quantity, "Water, on site and for the electricity.", Since(2)]
    embodied_co2e_kg: Annotated[Quantity, "Emissions of manufacturing the hardware.", Since(2)]
    co2e_total_kg: Annotated[Quantity, "`co2e_kg` and `embodied_co2e_kg` together.", Since(2)]


@dataclass(frozen=True, slots=True)
class ComponentError(Record):
    """Error terms of a component's energy, one sigma each, relative to it."""

    gain_group: Annotated[str, "Components in one group share the error of their gain."]
    gain_std_ratio: Annotated[float, "Error of the gain."]
    edge_std_ratio: Annotated[float, "Error of the edges of its windows."]
    multiplicative: Annotated[bool, "Whether the gain error is a factor of 1 + ratio."]
    bounds_kwh: Annotated[
        float | None, "Width of the hard bounds of windows that are too short for the counter."
    ]
    division_kwh: Annotated[float, "Possible error in either direction due to unknown idle power."]
    unread_kwh: Annotated[
        float | None,
        "Possible additional energy after the last reading of lost attempts.",
        OMIT_NONE,
    ] = None


@dataclass(frozen=True, slots=True)
class ComponentTag(Record):
    """The energy of one component over a stage, an attempt or the run."""

    id: Annotated[str, "ID of the component on its node, e.g. the UUID of a GPU, `cpu` or `ram`."]
    kind: Annotated[str, "Kind of component: `gpu`, `cpu` or `ram`."]
    name: Annotated[str, "Product name of the device."]
    method: Annotated[
        str, "How the energy was obtained: `counter`, `integrated`, `modelled` or `estimated`."
    ]
    node: Annotated[str | None, "Name of the node; null if unknown."]
    it_energy_kwh: Annotated[Quantity, "Energy charged by the meters, before the PUE, in kWh."]
    power_w: Annotated[Quantity, "Mean power (W)."]
    coverage_ratio: Annotated[Quantity, "Metered share of the time."]
    share_ratio: Annotated[Quantity, "Share of the energy of that stage, attempt or run."]
    split: Annotated[SplitTag, "Charged energy, split into idle and dynamic parts.", Since(2)]
    reserved_ratio: Annotated[
        float | None,
        "Share of the component that was reserved for the run, by which idle energy is charged.",
        Since(3),
    ]
    calibration: Annotated[Quantity | None, "Factor applied to its meter's figure.", Since(2)]
    edge_s: Annotated[float | None, "Error of an edge of its last window, in seconds.", Since(2)]
    flags: Annotated[
        tuple[str, ...],
        "Flags of the metering and of the factors, e.g. `pue_assumed` or `short_window`.",
    ]
    notes: Annotated[str | None, "Details of the model or meter; null if there are none."]
    error: Annotated[
        ComponentError | None, "Error terms of the component.", Since(4), OMIT_NONE
    ] = None


@dataclass(frozen=True, slots=True)
class EnergyTag(Record):
    """The figures common to stages, attempts and runs."""

    duration_s: Annotated[Quantity, "Duration, in seconds."]
    it_energy_kwh: Annotated[Quantity, "Energy charged by the meters, before the PUE, in kWh."]
    facility_energy_kwh: Annotated[Quantity, "IT energy x PUE."]
    co2e_kg: Annotated[Quantity, "Location-based emissions."]
    power_w: Annotated[Quantity, "Mean power of all metered components, in W."]
    coverage_ratio: Annotated[Quantity, "Metered share of the time."]
    split: Annotated[SplitTag, "Charged energy, split into idle and dynamic parts.", Since(2)]
    components: Annotated[tuple[ComponentTag, ...], "Energy by component."]
    flags: Annotated[
        tuple[str, ...],
        "Flags of the metering and of the factors, e.g. `pue_assumed` or `short_window`.",
    ]
