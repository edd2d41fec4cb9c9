"""The burn-down of a budget: what was used, what open runs will use, and when it is used up."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

from pydantic import Field

from app.schemas.common import Unit, Wire


class BurnPoint(Wire):
    """What was spent by a time."""

    at: datetime = Field(description="End of a UTC day, or the present time (UTC).")
    spent: float = Field(description="Used by attempts that ended in the period until then.")
    left: float = Field(description="The limit minus that, at least 0.")


class BurnFanPoint(Wire):
    """What is expected to be used by a time."""

    at: datetime = Field(description="Time (UTC).")
    value: float = Field(description="Expected use, in `unit`.")
    low: float = Field(description="Use if every open run takes its least, as late as possible.")
    high: float = Field(description="Use if every open run takes its most, as early as possible.")


class BurnExpectation(Wire):
    """What will be used once all open runs with an expected end have ended."""

    value: float = Field(description="Expected use, in `unit`.")
    low: float = Field(description="Lower end of the range.")
    high: float = Field(description="Upper end of the range.")
    open_runs: int = Field(description="Number of open runs in these figures.")
    unknown_runs: int = Field(
        description="Number of other open runs under the budget, whose use, start or end is "
        "unknown: with them, the figures are lower bounds."
    )


class BurnCrossing(Wire):
    """When open runs reach the limit."""

    at: datetime | None = Field(description="Expected time (UTC); null if it is not reached.")
    low: datetime | None = Field(description="Earliest time; null if it is not reached.")
    high: datetime | None = Field(description="Latest time; null if it may not be reached at all.")
    reason: str | None = Field(description="Why a time is null; null if all are known.")


class BurnPart(Wire):
    """One user's or project's part of what was spent."""

    name: str | None = Field(
        description="Name of the user or project; null if unknown; `(private projects)` for all "
        "projects that you may not see, `(all others)` for the smallest of more than 50."
    )
    spent: float = Field(description="Used by attempts that ended in the period, in `unit`.")
    share_ratio: float | None = Field(
        description="Share of the budget's spent amount; null if that is 0."
    )


class BurnDownRead(Wire):
    """The use of a budget over time in its present period, in ``unit``."""

    budget_id: uuid.UUID = Field(description="ID of the budget.")
    name: str = Field(description="Name of the budget.")
    unit: Unit
    at: datetime = Field(description="Time of these figures (UTC).")
    period_start: datetime | None = Field(
        description="Start of the period (UTC); null if it has no start."
    )
    period_end: datetime | None = Field(
        description="End of the period (UTC); null if it has no end."
    )
    limit: float = Field(description="Amount of the budget.")
    spent: float = Field(description="Used by attempts that ended in the period.")
    running: float = Field(description="Used by running attempts so far.")
    reserved: float = Field(description="Expected by the quotes of open runs beyond their use.")
    left: float = Field(description="The limit minus these three, at least 0.")
    points: list[BurnPoint] = Field(
        description="Past use, by UTC day; of a long period, every n-th day. The last one is now."
    )
    projection: list[BurnFanPoint] = Field(
        description="Expected use by open runs; empty without open runs of known use."
    )
    expected: BurnExpectation = Field(description="Use once the open runs have ended.")
    crossing: BurnCrossing = Field(description="When the open runs reach the limit.")
    by: Literal["user", "project"] = Field(description="Whose parts `parts` lists.")
    parts: list[BurnPart] = Field(
        description="Who spent how much, largest first; `(all others)` comes last."
    )
    by_source: dict[str, float] = Field(description="Spent amount by weakest evidence.")
    unknown_runs: int = Field(
        description="Number of runs with unknown use, not included in the amounts."
    )
