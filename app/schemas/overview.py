"""The lab at a glance: power now, use so far, budgets, sites, runs, idle devices."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.schemas.burn_down import BudgetOutlookItem
from app.schemas.common import Quantity, Wire
from app.schemas.energy import EnergyFigures
from app.schemas.fields import ProjectName, RunId, RunName
from app.schemas.runs import RunSummary
from app.schemas.sites import FactorNow
from app.schemas.stream import DeviceState
from pricetag.accounting.budgets.decision import Metric


class DeviceRun(Wire):
    """A running run that uses a device."""

    id: RunId
    name: RunName
    project: ProjectName
    user: str | None = Field(description="Name of the author; null if unknown.")


class DevicePower(Wire):
    """Power of one device in the latest second that it reported."""

    device: DeviceState = Field(description="The device.")
    power_w: Quantity = Field(description="Mean of that second, in W.")
    share_ratio: float = Field(
        description="Share of the device that is reserved for running runs, from 0 to 1."
    )
    runs: list[DeviceRun] = Field(description="Running runs on the device that you may see.")
    hidden_runs: int = Field(description="Number of other running runs on the device.")


class PowerRead(Wire):
    """Power of every device of the lab now."""

    at: datetime | None = Field(
        description="Start of the latest second (UTC, clock of the node); null if no device "
        "reports."
    )
    power_w: Quantity = Field(description="Power of all metered devices, in W.")
    devices: list[DevicePower] = Field(description="Devices, by node and component.")


class PowerSum(Wire):
    """Power of some devices in the newest second that each has reported."""

    power_w: Quantity = Field(description="Power of all metered devices, in W.")
    charged_w: Quantity = Field(
        description="Part of the devices that running runs use, by the share that is reserved for "
        "them, in W."
    )
    unallocated_w: Quantity = Field(description="Power that is charged to no running run, in W.")
    devices: int = Field(description="Number of metered devices.")
    silent_devices: int = Field(
        description="Number of devices that have stopped reporting; they are in none of the sums."
    )


class NodePower(PowerSum):
    """The same for one node."""

    node: str = Field(description="Name of the node.")


class LabPower(PowerSum):
    """Power of the lab now."""

    at: datetime | None = Field(
        description="Start of the latest second (UTC, clock of the node); null if no device "
        "reports."
    )
    nodes: list[NodePower] = Field(description="Power of each node, by name.")


class RunsUse(Wire):
    """Use of runs in a period, in one unit."""

    metric: Metric = Field(description="Quantity: facility energy, emissions or cost.")
    used: Quantity = Field(
        description="Amount used by attempts that ended in the period, and by running ones so far."
    )
    expected: Quantity | None = Field(
        description="Expected by the end of the period, with the open runs whose use, start and "
        "end are known; null for the day."
    )
    unknown_runs: int = Field(
        description=(
            "Number of runs whose use is unknown or in another currency: if there are any, the "
            "figures are lower bounds."
        )
    )


class PeriodUse(Wire):
    """Use of the lab today, or in this month (UTC)."""

    period: Literal["today", "month"] = Field(description="The period.")
    start: datetime = Field(description="Start of the period (UTC).")
    end: datetime = Field(description="End of the period (UTC).")
    energy: EnergyFigures | None = Field(
        description="IT energy of the nodes so far; null if no hour was metered."
    )
    runs: list[RunsUse] = Field(description="Use by runs: energy, emissions, cost by currency.")


class SiteNow(Wire):
    """Factors of a site in this hour."""

    site: str = Field(description="Name of the site.")
    zone: str | None = Field(description="Grid zone; null if none was entered.")
    carbon: FactorNow = Field(description="Carbon intensity of the grid, location-based.")
    carbon_start: datetime = Field(description="Beginning of the first of `carbon_hours` (UTC).")
    carbon_hours: list[float | None] = Field(
        description="Recorded carbon intensity of the last 24 full hours, in g/kWh, oldest first; "
        "null for an hour that is not recorded."
    )
    forecast_start: datetime = Field(
        description="Beginning of the first of `forecast_hours` (UTC)."
    )
    forecast_hours: list[float | None] = Field(
        description="Latest location-based forecast of the carbon intensity of this and the next "
        "23 hours, in g/kWh; null for an hour that it does not cover."
    )
    forecast_provider: str | None = Field(description="Provider of the forecast; null for none.")
    forecast_reason: str | None = Field(description="Why there is no forecast; null if there is.")
    pue: FactorNow = Field(description="Power usage effectiveness.")
    tariff: FactorNow | None = Field(description="Price of electricity; null if unknown.")
    tariff_reason: str | None = Field(description="Why the price is unknown; null if known.")


class ExpectedEnd(Wire):
    """When a running run is expected to end."""

    at: datetime | None = Field(description="Expected end (UTC); null if unknown.")
    low: datetime | None = Field(description="Earliest end; null if unknown.")
    high: datetime | None = Field(description="Latest end; null if unknown.")
    reason: str | None = Field(description="Why the end is unknown; null if known.")


class RunNow(Wire):
    """A running run."""

    run: RunSummary = Field(description="The run.")
    power_w: Quantity = Field(description="Power at its latest progress report, in W.")
    expected_end: ExpectedEnd = Field(description="When it is expected to end.")


class FailedRun(Wire):
    """A run that failed, with its use."""

    run: RunSummary = Field(description="The run.")
    cost: Quantity = Field(description="Cost of its attempts.")


class IdleDevice(Wire):
    """An unused accelerator of a live node, or an unused live node without accelerators."""

    node: str = Field(description="Name of the node.")
    component: str = Field(
        description="ID of the component on its node; `host` for all components of a node without "
        "accelerators."
    )
    name: str = Field(description="Product name; `CPU node` for such a node.")
    site: str | None = Field(description="Site whose factors were used; null for the lab's.")
    idle_w: Quantity = Field(description="Its measured idle power, in W.")
    energy_per_day: Quantity = Field(description="Facility energy of an idle day, in kWh.")
    cost_per_day: Quantity = Field(description="Cost of that energy.")


class OverviewRead(Wire):
    """The lab at a glance."""

    at: datetime = Field(description="Time of these figures (UTC); they are up to 5 s old.")
    power: LabPower = Field(description="Power now.")
    periods: list[PeriodUse] = Field(description="Use of today and of this month.")
    budgets: list[BudgetOutlookItem] = Field(
        description="Open budgets: those used up first, then by the time at which they are reached."
    )
    sites: list[SiteNow] = Field(description="Sites, by name.")
    running: list[RunNow] = Field(description="Running runs, newest first, up to 20.")
    running_count: int = Field(description="Number of running runs that you may see.")
    failures: list[FailedRun] = Field(description="Runs that failed last, up to 5.")
    idle: list[IdleDevice] = Field(
        description=(
            "Unused accelerators of live nodes, and unused live nodes without accelerators, by "
            "node."
        )
    )
    idle_cost_per_day: Quantity = Field(
        description="Cost of an idle day of all of them; a lower bound, with a `reason`, where the "
        "cost of some is unknown."
    )
    is_new: bool = Field(description="Whether you see no run at all yet.")
