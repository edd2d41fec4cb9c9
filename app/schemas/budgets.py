"""Budgets on the wire: what an admin sets, and how they stand."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from app.schemas.common import PLAIN_NUMBER, Currency, Name, Request, Wire
from pricetag.accounting.budgets.allowance import Metric, Scope
from pricetag.accounting.budgets.periods import Period, UnknownTimeZone, place_zone

Amount = Annotated[
    Decimal,
    Field(
        ge=0,
        le=Decimal("1e18"),
        allow_inf_nan=False,
        description="What may be used, in kWh, kg or the currency; 0 admits nothing.",
        examples=[250],
    ),
    PLAIN_NUMBER,
]
Threshold = Annotated[float, Field(gt=0, le=1)]
Thresholds = Annotated[
    list[Threshold],
    AfterValidator(lambda ratios: sorted(set(ratios))),
    Field(max_length=10, description="Parts of the amount at which to warn.", examples=[[0.8, 1]]),
]

NEEDED: dict[str, tuple[str, ...]] = {
    "lab": (),
    "project": ("project",),
    "experiment": ("project", "experiment"),
    "user": ("user",),
}
"""What names the scope of a budget."""


def _refused(message: str) -> PydanticCustomError:
    return PydanticCustomError("budget_scope", "{message}", {"message": message})


def _known_zone(name: str) -> str:
    try:
        return place_zone(name).key
    except UnknownTimeZone as error:
        raise PydanticCustomError("time_zone", "{message}", {"message": str(error)}) from error


TimeZone = Annotated[str, Field(max_length=100), AfterValidator(_known_zone)]


class BudgetCreate(Request):
    """So much energy, carbon or money for a scope, in each period or in all."""

    name: Name = Field(examples=["text, this quarter"])
    scope: Scope
    project: Name | None = Field(
        default=None, validate_default=True, description="Made if there is none of this name."
    )
    experiment: Name | None = Field(default=None, validate_default=True)
    user: Name | None = Field(
        default=None, validate_default=True, description="Name or ID of the user."
    )
    metric: Metric
    currency: Currency | None = Field(
        default=None, validate_default=True, description="Of a budget of cost, and of no other."
    )
    amount: Amount
    period: Period = "total"
    time_zone: TimeZone = Field(
        default="UTC",
        description="Whose midnights are the edges of its periods.",
        examples=["Europe/Berlin"],
    )
    thresholds: Thresholds = Field(default_factory=lambda: [0.8, 1.0])
    refuses: bool = Field(default=True, description="Runs whose quote would break it.")
    stops: bool = Field(default=True, description="Running jobs, when it is used up.")

    @field_validator("project", "experiment", "user")
    @classmethod
    def _of_scope(cls, value: str | None, info: ValidationInfo) -> str | None:
        scope = info.data.get("scope")
        if scope is None:  # refused by itself
            return value
        needed = info.field_name in NEEDED[scope]
        if needed and value is None:
            raise _refused(f"a budget of scope '{scope}' needs it")
        if not needed and value is not None:
            raise _refused(f"a budget of scope '{scope}' has none")
        return value

    @field_validator("currency")
    @classmethod
    def _of_cost(cls, value: str | None, info: ValidationInfo) -> str | None:
        metric = info.data.get("metric")
        if metric == "cost" and value is None:
            raise _refused("a budget of cost needs its currency, such as EUR")
        if metric not in (None, "cost") and value is not None:
            raise _refused(f"a budget of {metric} has no currency")
        return value


class BudgetChange(Request):
    """What may be changed; scope, metric, period and time zone stay what they are.

    What is left out, or null, stays as it was.
    """

    name: Name | None = None
    amount: Amount | None = None
    thresholds: Thresholds | None = None
    refuses: bool | None = None
    stops: bool | None = None

    def given(self) -> dict[str, Any]:
        """The fields to change."""
        return {name: value for name, value in self if value is not None}


class AlertRead(Wire):
    """A threshold that was crossed."""

    threshold_ratio: float
    used: float
    at: datetime


class BudgetRead(Wire):
    """A budget and how it stands in its present period, in ``unit``."""

    id: uuid.UUID
    name: str
    scope: Scope
    project: str | None
    experiment: str | None
    user: str | None = Field(description="Name of the user.")
    user_id: uuid.UUID | None
    metric: Metric
    unit: str = Field(examples=["kWh", "kg", "EUR"])
    limit: float
    spent: float = Field(description="By attempts that ended in the period, however they ended.")
    running: float = Field(description="By running attempts, up to their newest readings.")
    reserved: float = Field(description="By the quotes of open runs, beyond what those have used.")
    left: float = Field(description="The limit without the three; at least 0.")
    used_ratio: float | None = Field(description="Spent and running; null where the limit is 0.")
    by_source: dict[str, float] = Field(
        description="What was spent, by the weakest evidence it rests on.",
        examples=[{"counter": 12.5, "assumed": 3.1}],
    )
    unknown_runs: int = Field(description="Runs whose use nobody knows: in none of the figures.")
    running_attempts: int
    period: Period
    time_zone: str
    period_start: datetime | None = Field(description="null: from the beginning.")
    period_end: datetime | None = Field(description="null: without end.")
    thresholds: list[float]
    alerts: list[AlertRead] = Field(description="Thresholds crossed in this period.")
    refuses: bool
    stops: bool
    created_at: datetime
    closed_at: datetime | None


class BudgetPage(Wire):
    items: list[BudgetRead]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page.")


class BudgetAlertRead(AlertRead):
    """A threshold that was crossed, of any budget in any period."""

    budget_id: uuid.UUID
    budget: str
    metric: Metric
    unit: str
    period: Period
    period_start: datetime | None


class BudgetAlertPage(Wire):
    items: list[BudgetAlertRead]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page.")
