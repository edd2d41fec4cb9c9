"""The burn-down of a budget: what was used, what open runs will use, and when it is used up."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

from pydantic import Field

from app.schemas.budgets import BudgetRead
from app.schemas.common import Request, Unit, Wire
from app.schemas.fields import RunId, StatusOfRun
from app.schemas.quotes import RunQuoteRead
from app.schemas.runs import RunCreate
from pricetag.accounting.quantity.quantity import Source


class BurnPoint(Wire):
    """Amount spent by a time."""

    at: datetime = Field(description="End of a UTC day, or the present time (UTC).")
    spent: float = Field(
        description=(
            "Amount used by attempts that had ended in the period by then; at the present time, "
            "also by running attempts so far."
        )
    )
    left: float = Field(description="The limit minus the spent amount, at least 0.")


class BurnFanPoint(Wire):
    """Expected use by a time."""

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
        description=(
            "Number of other open runs under the budget, whose use, start or end is unknown: if "
            "there are any, the figures are lower bounds."
        )
    )


class BurnCrossing(Wire):
    """When open runs reach the limit."""

    at: datetime | None = Field(description="Expected time (UTC); null if it is not reached.")
    low: datetime | None = Field(description="Earliest time; null if it is not reached.")
    high: datetime | None = Field(description="Latest time; null if it may not be reached at all.")
    reason: str | None = Field(description="Why a time is null; null if all are known.")


class BurnOpenRun(Wire):
    """Expected further use of one open run."""

    run_id: RunId
    name: str | None = Field(description="Name of the run; null where it is far back in a queue.")
    status: StatusOfRun
    value: float | None = Field(
        description="Expected use, in `unit`; null if its use, start or end is unknown."
    )
    low: float | None = Field(description="Lower end of the range; null if unknown.")
    high: float | None = Field(description="Upper end of the range; null if unknown.")
    starts_at: datetime | None = Field(
        description="Expected start (UTC); the present time for a running run; null if unknown."
    )
    ends_at: datetime | None = Field(description="Expected end (UTC); null if unknown.")


class BurnPart(Wire):
    """Part of the spent amount that belongs to one user or project."""

    name: str | None = Field(
        description="Name of the user or project; null if unknown; `(private projects)` for all "
        "projects that you may not see, `(all others)` for the smallest of more than 50."
    )
    spent: float = Field(description="Used by attempts that ended in the period, in `unit`.")
    source: Source | None = Field(
        description="Weakest evidence behind this part; null if none of its attempts states it."
    )
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
    open_runs: list[BurnOpenRun] = Field(
        description="Up to 50 open runs under the budget that you may see, those with the largest "
        "expected use first."
    )
    hidden_runs: int = Field(
        description="Number of open runs under the budget that you may not see; `expected` and "
        "`crossing` include them."
    )
    by: Literal["user", "project"] = Field(
        description="Grouping of `parts`: by user or by project."
    )
    parts: list[BurnPart] = Field(
        description="Who spent how much, largest first; `(all others)` comes last."
    )
    by_source: dict[str, float] = Field(description="Spent amount by weakest evidence.")
    unknown_runs: int = Field(
        description="Number of runs with unknown use, not included in the amounts."
    )


class WhatIfRuns(Request):
    """Runs to skip."""

    without: list[uuid.UUID] = Field(
        default_factory=list, max_length=200, description="IDs of open runs to skip."
    )


class WhatIfCreate(WhatIfRuns):
    """A hypothetical change of the open runs; nothing is changed or reserved."""

    run: RunCreate | None = Field(
        default=None, description="A run to add, as it would be posted; null for none."
    )


class WhatIfRead(Wire):
    """The burn-down of a budget without some runs, or with one more."""

    burn_down: BurnDownRead = Field(
        description="The burn-down; its `spent`, `running`, `reserved` and `left` are the current "
        "amounts."
    )
    before: BurnExpectation = Field(description="Expected use without the change.")
    before_crossing: BurnCrossing = Field(
        description="When the limit is reached without the change."
    )
    quote: RunQuoteRead | None = Field(description="Quote of the run; null without one.")
    is_charged: bool | None = Field(
        description="Whether the run would be charged to this budget; null without one."
    )
    admission: Literal["admitted", "too-much", "exhausted"] | None = Field(
        description="Whether the budget would admit the run now: `too-much` if its quote exceeds "
        "the amount left, `exhausted` if nothing is left; null for a run that is not charged to "
        "it."
    )


class BudgetOutlookItem(Wire):
    """An open budget, and when it is used up."""

    budget: BudgetRead = Field(description="The budget with its present state.")
    expected: BurnExpectation = Field(description="Use once the open runs have ended.")
    crossing: BurnCrossing = Field(description="When the open runs reach the limit.")


class BudgetOutlook(Wire):
    """The open budgets in the order in which they are used up."""

    at: datetime = Field(description="Time of these figures (UTC).")
    items: list[BudgetOutlookItem] = Field(
        description=(
            "Up to 200 budgets: used-up ones first, then by the time at which they reach the "
            "limit; those not expected to reach it come last, by the share that is used."
        )
    )
