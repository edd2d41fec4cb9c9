"""Groups of runs on the wire: how many, their means and their spread."""

from __future__ import annotations

import uuid
from typing import Literal

from pydantic import Field

from app.schemas.common import Quantity, RunStatus, Wire
from app.schemas.fields import Items

GroupBy = Literal["tag", "recipe", "seeds", "experiment"]

MOST_RUNS = 1000
MOST_GROUPS = 200


class Spread(Wire):
    """A figure over the runs of a group."""

    known: int = Field(description="Number of runs with this figure.", ge=0)
    unknown: int = Field(description="Number of runs without it; they are not included.", ge=0)
    mean: Quantity = Field(
        description="Mean over the runs with this figure. Its interval is the mean of the low ends "
        "to the mean of the high ends: runs of one lab share the errors of meters and factors, "
        "which no number of repeats averages out."
    )
    std: float | None = Field(
        description="Standard deviation between the runs (n - 1), in the unit of the mean; null "
        "with fewer than two."
    )


class GroupFigures(Wire):
    """The figures of a group."""

    duration_s: Spread = Field(description="Run time of all attempts, in seconds.")
    it_energy_kwh: Spread = Field(description="IT energy, in kWh.")
    co2e_kg: Spread = Field(description="Location-based emissions, in kg CO2e.")
    cost: Spread = Field(description="Cost; unknown where the currencies differ.")
    score: Spread = Field(
        description="Score that represents each run; unknown where metrics or splits differ."
    )
    kwh_per_score: Spread = Field(description="IT energy divided by the score, in kWh.")


class RunGroup(Wire):
    """Runs with the same tag, recipe or experiment."""

    key: str | None = Field(
        description="The tag, the experiment as `PROJECT/EXPERIMENT`, or the fingerprint of the "
        "recipe; null for runs without a tag."
    )
    name: str = Field(
        description="Name of the group: the tag or the experiment; of a recipe, the name of its "
        "newest run."
    )
    kind: str | None = Field(description="Stage kinds of its runs; null if they differ.")
    runs: int = Field(description="Number of runs.", ge=1)
    runs_by_status: dict[RunStatus, int] = Field(description="Number of runs by status.")
    run_ids: list[uuid.UUID] = Field(description="IDs of the runs, newest first.")
    metric: str | None = Field(
        description="Metric of the score if all scored runs have the same one; null otherwise."
    )
    figures: GroupFigures = Field(description="Means and spread.")


class RunGroups(Wire):
    """The newest selected runs in groups, largest group first."""

    by: GroupBy = Field(description="What the runs of a group have in common.")
    items: Items[RunGroup]
    runs: int = Field(description="Number of runs that were grouped.")
    is_whole: bool = Field(
        description="Whether these are all selected runs; if not, the newest ones."
    )
    groups_left_out: int = Field(
        description=f"Number of smaller groups beyond the first {MOST_GROUPS}."
    )
