"""The lab's energy account on the wire."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import ConfigDict, Field

from app.schemas.common import Quantity, Wire
from app.schemas.fields import Items

TimeBy = Literal["use", "node", "component", "site", "project", "user"]
Grain = Literal["hour", "day", "month"]
EnergyBy = Literal["node", "component", "site", "project", "user", "hour", "day", "month"]


class EnergyFigures(Wire):
    """`total = charged + running + unallocated + undecided`, with unknown terms as 0."""

    total_kwh: Quantity = Field(description="Energy used by the components, as far as known.")
    charged_kwh: Quantity = Field(description="Part charged to finished runs.")
    running_kwh: Quantity = Field(
        description="Part used by running runs so far; provisional until they end."
    )
    unallocated_kwh: Quantity = Field(
        description="The rest, which belongs to the node: idle time, other users of the machine. "
        "Negative where runs were charged more than was used; provisional while runs are running."
    )
    undecided_kwh: Quantity = Field(
        description=(
            "Energy that belongs either to running runs, which have not reported it yet, or to "
            "the node."
        )
    )
    overallocated_kwh: float = Field(
        description="Excess of charges over totals, summed over the hours where they exceed them."
    )
    flags: list[str] = Field(
        examples=[["runs_open"]],
        description="Flags of the metering and of the factors, e.g. `pue_assumed` or "
        "`short_window`.",
    )


class EnergyItem(EnergyFigures):
    """One node, component, site, project, user, hour, day or month."""

    node: str | None = Field(default=None, description="Name of the node; null if unknown.")
    component: str | None = Field(
        default=None,
        examples=["gpu:GPU-6f0c"],
        description="ID of the component, e.g. the UUID of a GPU, `cpu` or `ram`.",
    )
    kind: str | None = Field(
        default=None, examples=["gpu"], description="Kind of component: `gpu`, `cpu` or `ram`."
    )
    name: str | None = Field(default=None, description="Product name.")
    site: str | None = Field(
        default=None, description="Name of the site; null for nodes without a site."
    )
    project: str | None = Field(
        default=None,
        description="Name of the project; null for energy of no project; `(private projects)` for "
        "all projects that you may not see.",
    )
    user: str | None = Field(
        default=None,
        description="Name of the user who posted the runs; null for energy of no run; "
        "`(private projects)` for runs of projects that you may not see.",
    )
    hour: datetime | None = Field(default=None, description="Beginning of the hour.")
    day: date | None = Field(default=None, description="Day (UTC).")
    month: str | None = Field(default=None, description="Month (UTC).", examples=["2026-03"])


class FailedFigures(Wire):
    """Energy of attempts that ended in the range, by how they ended."""

    it_energy_kwh: float = Field(
        description="IT energy of attempts that failed, were lost or interrupted, in kWh."
    )
    source: Literal["counter", "integrated", "modelled", "estimated", "assumed"] = Field(
        description="Weakest evidence behind it; `counter` if no such attempt used energy, since "
        "attempts are counted."
    )
    share_ratio: float | None = Field(
        description="Its share of the energy of all attempts that ended in the range; null if "
        "that is 0, or the energy of an attempt is unknown."
    )
    attempts: int = Field(description="Number of these attempts.")
    unknown_attempts: int = Field(
        description="Number of ended attempts of unknown energy, in none of the figures."
    )
    by_status: dict[str, float] = Field(
        description="IT energy by how the attempts ended, in kWh.",
        examples=[{"succeeded": 12.5, "failed": 0.4, "cancelled": 0.1}],
    )


class FailedItem(FailedFigures):
    """The same for one project or user."""

    name: str = Field(
        description="Name of the project or user; `(private projects)` for all projects that you "
        "may not see."
    )


class FailedWork(FailedFigures):
    """Energy that led to no result."""

    items: Items[FailedItem]


class EnergyChange(Wire):
    """A figure compared with that of the previous period."""

    difference_kwh: float | None = Field(description="Now minus before; null if one is unknown.")
    low: float | None = Field(description="Lower end of the difference; null if unknown.")
    high: float | None = Field(description="Upper end of the difference; null if unknown.")
    is_larger_than_error: bool | None = Field(
        description="Whether the change is significant, by the intervals of both periods; null if "
        "unknown."
    )


class EnergyChanges(Wire):
    """The totals compared with those of the previous period."""

    total_kwh: EnergyChange = Field(description="Change of the energy used.")
    charged_kwh: EnergyChange = Field(description="Change of the part charged to finished runs.")
    unallocated_kwh: EnergyChange = Field(description="Change of the part charged to no run.")


class EnergyAccount(Wire):
    """Energy used by the lab's nodes in full UTC hours."""

    model_config = ConfigDict(populate_by_name=True)

    start: datetime = Field(alias="from", description="Beginning of the first hour (UTC).")
    stop: datetime = Field(alias="to", description="End of the range, exclusive (UTC).")
    by: EnergyBy = Field(description="Grouping of the items.")
    node: str | None = Field(description="Name of the node; null for all nodes.")
    total: EnergyFigures = Field(description="Sum over all items.")
    items: Items[EnergyItem]
    before: EnergyAccount | None = Field(
        default=None,
        description=(
            "The account of the preceding period of the same length; null if it was not requested."
        ),
    )
    change: EnergyChanges | None = Field(
        default=None,
        description="The totals compared with those of the previous period; null without `before`.",
    )
    failed: FailedWork | None = Field(
        default=None, description="Share of failed work; null if it was not requested."
    )


class EnergyGroup(Wire):
    """Kind and name of a part of each bucket."""

    name: str = Field(
        description="Name of the use, node, component, site, project or user; `(private projects)` "
        "for projects that you may not see, `(all others)` for the smallest of more than 7."
    )
    kind: Literal[
        "use", "node", "component", "site", "project", "user", "others", "not-charged"
    ] = Field(description="Kind of object that the name refers to; `others` for several or none.")


class EnergyBucket(Wire):
    """The energy of one hour, day or month."""

    start: datetime = Field(description="Its beginning (UTC).")
    total_kwh: Quantity = Field(description="Energy used by the components, as far as known.")
    parts_kwh: list[Quantity] = Field(description="Energy of each group, in the order of `groups`.")
    flags: list[str] = Field(description="Flags of the metering.", examples=[["runs_open"]])


class EnergyOverTime(Wire):
    """The energy account bucket by bucket. Parts add up to the total as far as they are known."""

    model_config = ConfigDict(populate_by_name=True)

    start: datetime = Field(alias="from", description="Beginning of the first hour (UTC).")
    stop: datetime = Field(alias="to", description="End of the range, exclusive (UTC).")
    by: TimeBy = Field(description="Kind of the parts.")
    grain: Grain = Field(description="Length of the buckets; days and months are in UTC.")
    node: str | None = Field(description="Name of the node; null for all nodes.")
    groups: list[EnergyGroup] = Field(
        description="The groups, largest first: the 6 largest by name."
    )
    buckets: list[EnergyBucket] = Field(
        description="The buckets with any metered energy, in order of time."
    )
