"""The lab's energy account on the wire."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import ConfigDict, Field

from app.schemas.common import Quantity, Wire
from app.schemas.fields import Items

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
        description="Energy of running runs or of the node; the runs have not reported it yet."
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


class EnergyAccount(Wire):
    """Energy used by the lab's nodes in full UTC hours."""

    model_config = ConfigDict(populate_by_name=True)

    start: datetime = Field(alias="from", description="Beginning of the first hour (UTC).")
    stop: datetime = Field(alias="to", description="End of the range, exclusive (UTC).")
    by: EnergyBy = Field(description="Grouping of the items.")
    node: str | None = Field(description="Name of the node; null for all nodes.")
    total: EnergyFigures = Field(description="Sum over all items.")
    items: Items[EnergyItem]
