"""Where the lab's energy went, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from app.schemas.common import Quantity, Wire

EnergyBy = Literal["node", "component", "project", "hour"]


class EnergyFigures(Wire):
    """`total = charged + running + unallocated + undecided`; what is unknown counts as 0 there."""

    total_kwh: Quantity = Field(description="What the components used, as far as it is known.")
    charged_kwh: Quantity = Field(description="What runs that have ended were charged of it.")
    running_kwh: Quantity = Field(
        description="What runs that are going are charged so far; provisional until they end."
    )
    unallocated_kwh: Quantity = Field(
        description="The rest, which is the node's: idling, other users of the machine. "
        "Negative where runs were charged more than was used; provisional while runs are going."
    )
    undecided_kwh: Quantity = Field(
        description="What is of runs that are going or of the node: the runs told nothing yet."
    )
    overallocated_kwh: float = Field(
        description="By how much charges exceed totals, over the hours in which they do."
    )
    flags: list[str] = Field(examples=[["runs_open"]])


class EnergyItem(EnergyFigures):
    """One node, component, project or hour."""

    node: str | None
    component: str | None = Field(examples=["gpu:GPU-6f0c"])
    kind: str | None = Field(examples=["gpu"])
    name: str | None = Field(description="Product name.")
    project: str | None = Field(
        description="null beside the figures of no project; `(private projects)`: those that you "
        "may not see, all in one."
    )
    hour: datetime | None


class EnergyAccount(Wire):
    """What the lab's nodes used in whole hours of UTC."""

    model_config = ConfigDict(populate_by_name=True)

    start: datetime = Field(alias="from")
    stop: datetime = Field(alias="to", description="Exclusive.")
    by: EnergyBy
    node: str | None = Field(description="Of this node alone; null: of all.")
    total: EnergyFigures
    items: list[EnergyItem]
