"""Budgets on the wire: their settings and their current state."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictBool, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from app.schemas.common import PLAIN_NUMBER, Currency, Name, Real, Request, StoredName, Unit, Wire
from app.schemas.fields import CreatedAt, EventTime, Items, ObjectId
from pricetag.accounting.budgets.decision import Metric, Scope
from pricetag.accounting.budgets.periods import Period, UnknownTimeZone, place_zone

Amount = Annotated[
    Decimal,
    Field(
        ge=0,
        le=Decimal("1e18"),
        allow_inf_nan=False,
        description="Limit in kWh, kg or the currency; 0 admits no runs.",
        examples=[250],
    ),
    PLAIN_NUMBER,
]
Threshold = Annotated[Real, Field(gt=0, le=1)]
Thresholds = Annotated[
    list[Threshold],
    AfterValidator(lambda ratios: sorted(set(ratios))),
    Field(
        max_length=10, description="Fractions of the amount at which to warn.", examples=[[0.8, 1]]
    ),
]

NEEDED: dict[str, tuple[str, ...]] = {
    "lab": (),
    "project": ("project",),
    "experiment": ("project", "experiment"),
    "user": ("user",),
}
"""Fields that name the scope of a budget."""


def _invalid(message: str) -> PydanticCustomError:
    return PydanticCustomError("budget_scope", "{message}", {"message": message})


def _known_zone(name: str) -> str:
    try:
        return place_zone(name).key
    except UnknownTimeZone as error:
        raise PydanticCustomError("time_zone", "{message}", {"message": str(error)}) from error


TimeZone = Annotated[str, Field(max_length=100), AfterValidator(_known_zone)]


class BudgetCreate(Request):
    """A limit on energy, emissions or cost for a scope, per period or in total."""

    name: Name = Field(examples=["text, this quarter"], description="Name of the budget.")
    scope: Scope = Field(
        description="What the budget covers: the `lab`, a `project`, an `experiment` or a `user`."
    )
    project: Name | None = Field(
        default=None,
        validate_default=True,
        description="Name of the project, for the scopes `project` and `experiment`.",
    )
    experiment: Name | None = Field(
        default=None,
        validate_default=True,
        description="Name of the experiment, for the scope `experiment`.",
    )
    user: StoredName | None = Field(
        default=None, validate_default=True, description="Name or ID of the user."
    )
    create_missing: StrictBool = Field(
        default=False,
        description="Whether to create a project or experiment that does not exist; you then own "
        "the project. Otherwise an unknown name is an error, with similar names.",
    )
    metric: Metric = Field(
        description="Quantity that the budget limits: energy in kWh, emissions in kg CO2e, or cost."
    )
    currency: Currency | None = Field(
        default=None,
        validate_default=True,
        description="Currency of a cost budget; other budgets have none.",
    )
    amount: Amount
    period: Period = Field(
        default="total",
        description="Period after which the full amount is available again; `total`: never.",
    )
    time_zone: TimeZone = Field(
        default="UTC",
        description="IANA time zone whose midnights separate the periods.",
        examples=["Europe/Berlin"],
    )
    thresholds: Thresholds = Field(default_factory=lambda: [0.8, 1.0])
    refuses: StrictBool = Field(
        default=True, description="Whether to reject runs whose quote exceeds the amount left."
    )
    stops: StrictBool = Field(
        default=True, description="Whether to stop running jobs when the budget is used up."
    )

    @field_validator("project", "experiment", "user")
    @classmethod
    def _of_scope(cls, value: str | None, info: ValidationInfo) -> str | None:
        scope = info.data.get("scope")
        if scope is None:  # rejected on its own
            return value
        needed = info.field_name in NEEDED[scope]
        if needed and value is None:
            raise _invalid(f"is required for a budget of scope '{scope}'")
        if not needed and value is not None:
            raise _invalid(f"is not allowed for a budget of scope '{scope}'")
        return value

    @field_validator("currency")
    @classmethod
    def _of_cost(cls, value: str | None, info: ValidationInfo) -> str | None:
        metric = info.data.get("metric")
        if metric == "cost" and value is None:
            raise _invalid("a cost budget needs a currency, e.g. EUR")
        if metric not in (None, "cost") and value is not None:
            raise _invalid(f"a budget of {metric} has no currency")
        return value


class BudgetChange(Request):
    """The fields to change; scope, metric, period and time zone are fixed.

    Omitted or null fields keep their values.
    """

    name: Name | None = Field(default=None, description="New name of the budget.")
    amount: Amount | None = Field(default=None, description="New limit, in the budget's unit.")
    thresholds: Thresholds | None = Field(
        default=None, description="Fractions of the amount at which to warn."
    )
    refuses: StrictBool | None = Field(
        default=None, description="Whether to reject runs whose quote exceeds the amount left."
    )
    stops: StrictBool | None = Field(
        default=None, description="Whether to stop running jobs when the budget is used up."
    )

    def given(self) -> dict[str, Any]:
        """The fields to change."""
        return {name: value for name, value in self if value is not None}


class AlertRead(Wire):
    """A threshold that was crossed."""

    threshold_ratio: float = Field(
        description="Crossed threshold, as a fraction of the budget's amount (0.8 is 80%)."
    )
    used: float = Field(
        description="Amount used when the threshold was crossed, in the budget's unit."
    )
    at: EventTime


class BudgetRead(Wire):
    """A budget with its state in the current period, in ``unit``."""

    id: ObjectId
    name: str = Field(description="Name of the budget.")
    scope: Scope = Field(
        description="What the budget covers: the `lab`, a `project`, an `experiment` or a `user`."
    )
    project: str | None = Field(
        description="Name of the project; null for budgets of the lab or of a user."
    )
    experiment: str | None = Field(description="Name of the experiment; null for other scopes.")
    user: str | None = Field(description="Name of the user.")
    user_id: uuid.UUID | None = Field(description="ID of the user; null for other scopes.")
    metric: Metric = Field(
        description="Quantity that the budget limits: energy in kWh, emissions in kg CO2e, or cost."
    )
    unit: Unit = Field(examples=["kWh", "kg", "EUR"])
    limit: float = Field(description="Amount of the budget, in `unit`.")
    spent: float = Field(
        description="Amount used by attempts that ended in the period, including failed ones."
    )
    running: float = Field(
        description="Amount used by running attempts, up to their latest readings."
    )
    reserved: float = Field(
        description="Amount reserved by the quotes of open runs, beyond what they have used."
    )
    left: float = Field(description="Limit minus spent, running and reserved; at least 0.")
    used_ratio: float | None = Field(
        description="Share of the limit that is spent or running; null if the limit is 0."
    )
    by_source: dict[str, float] = Field(
        description="Spent amount by weakest evidence.",
        examples=[{"counter": 12.5, "assumed": 3.1}],
    )
    unknown_runs: int = Field(
        description="Number of runs with unknown use, not included in the amounts."
    )
    running_attempts: int = Field(description="Number of running attempts under the budget.")
    period: Period = Field(
        description="Period after which the full amount is available again; `total`: never."
    )
    time_zone: str = Field(description="IANA time zone, e.g. `Europe/Berlin`.")
    period_start: datetime | None = Field(
        description="Start of the period; null if it has no start."
    )
    period_end: datetime | None = Field(description="End of the period; null if it has no end.")
    thresholds: list[float] = Field(
        description="Fractions of the amount at which to warn (0.8 is 80%)."
    )
    alerts: list[AlertRead] = Field(description="Thresholds crossed in this period.")
    refuses: bool = Field(
        description="Whether runs whose quote exceeds the amount left are rejected."
    )
    stops: bool = Field(description="Whether running jobs are stopped when the budget is used up.")
    created_at: CreatedAt
    closed_at: datetime | None = Field(
        description="Time at which the budget was closed (UTC); null if it is open."
    )


class BudgetPage(Wire):
    """A page of budgets, by name."""

    items: Items[BudgetRead]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page.")


class BudgetAlertRead(AlertRead):
    """A threshold that was crossed, of any budget in any period."""

    budget_id: uuid.UUID = Field(description="ID of the budget.")
    budget: str = Field(description="Name of the budget.")
    metric: Metric = Field(
        description="Quantity that the budget limits: energy in kWh, emissions in kg CO2e, or cost."
    )
    unit: Unit
    period: Period = Field(
        description="Period after which the full amount is available again; `total`: never."
    )
    time_zone: str = Field(description="IANA time zone, e.g. `Europe/Berlin`.")
    period_start: datetime | None = Field(
        description="Start of the period (UTC); null if it has no start."
    )


class BudgetAlertPage(Wire):
    """A page of budget alerts, newest first."""

    items: Items[BudgetAlertRead]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page.")
