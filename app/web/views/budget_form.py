"""The form of a budget: from its fields to a request, and back with errors at their fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from app.schemas.budgets import BudgetRead
from app.schemas.common import FieldProblem, hint_of
from pricetag.field_messages import message_of

LABELS = {
    "name": "Name",
    "scope": "Covers",
    "project": "Project",
    "experiment": "Experiment",
    "user": "User",
    "metric": "Limits",
    "currency": "Currency",
    "amount": "Amount",
    "period": "Period",
    "time_zone": "Time zone",
    "thresholds": "Warn at",
    "refuses": "Rejects",
    "stops": "Stops",
}
NEW = {
    "scope": "lab",
    "metric": "facility_energy_kwh",
    "period": "month",
    "time_zone": "UTC",
    "thresholds": "80, 100",
    "refuses": "on",
    "stops": "on",
}
CHANGEABLE = ("name", "amount", "thresholds", "refuses", "stops")
PERCENT = "must be percentages between 0 and 100, separated by commas, e.g. 80, 100"


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with a field."""

    field: str
    label: str
    message: str


@dataclass(frozen=True, slots=True)
class BudgetForm:
    """The form as it is shown.

    Attributes:
        values: Texts of its fields.
        errors: What is wrong, in the order of the fields.
        is_unknown_scope: Whether the named project or experiment does not exist.
    """

    values: Mapping[str, str]
    errors: Sequence[FieldError] = field(default_factory=tuple)
    is_unknown_scope: bool = False

    def get(self, name: str) -> str:
        """The text of a field."""
        return self.values.get(name, "")

    def error(self, name: str) -> str:
        """What is wrong with a field; empty if nothing is."""
        return next((error.message for error in self.errors if error.field == name), "")


class FormError(ValueError):
    """Fields of the form are invalid."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.label}: {error.message}" for error in errors))
        self.errors = errors


def create_body(fields: Mapping[str, str]) -> dict[str, Any]:
    """The request for a new budget.

    Raises:
        FormError: If the thresholds are not percentages.
    """
    named = ("name", "scope", "project", "experiment", "user", "metric", "currency", "amount")
    body: dict[str, Any] = {name: fields[name] for name in named if fields.get(name)}
    body |= {name: fields[name] for name in ("period", "time_zone") if fields.get(name)}
    of_scope = {"lab": (), "project": ("project",), "user": ("user",)}
    kept = of_scope.get(str(body.get("scope")), ("project", "experiment"))
    for name in ("project", "experiment", "user"):
        if name not in kept:
            body.pop(name, None)
    if body.get("metric") != "cost":
        body.pop("currency", None)
    return body | {
        "thresholds": thresholds(fields.get("thresholds", "")),
        "refuses": "refuses" in fields,
        "stops": "stops" in fields,
        "create_missing": "create_missing" in fields,
    }


def change_body(fields: Mapping[str, str]) -> dict[str, Any]:
    """The request to change a budget.

    Raises:
        FormError: If the thresholds are not percentages.
    """
    return {
        "name": fields.get("name", ""),
        "amount": fields.get("amount", ""),
        "thresholds": thresholds(fields.get("thresholds", "")),
        "refuses": "refuses" in fields,
        "stops": "stops" in fields,
    }


def thresholds(text: str) -> list[float]:
    """Percentages as ratios.

    Raises:
        FormError: If they are none.
    """
    ratios = []
    for part in text.replace("%", "").split(","):
        if not part.strip():
            continue
        try:
            percent = float(part)
        except ValueError as error:
            raise FormError([_error("thresholds", PERCENT)]) from error
        if not 0 < percent <= 100:
            raise FormError([_error("thresholds", PERCENT)])
        ratios.append(percent / 100)
    return ratios


def checked(model: type[BaseModel], body: Mapping[str, Any]) -> Any:
    """The request, or what is wrong with it.

    Raises:
        FormError: If fields are invalid.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise FormError([_fault(fault) for fault in faults]) from error


def _fault(fault: Mapping[str, Any]) -> FieldError:
    name = str(fault["loc"][0]) if fault["loc"] else "name"
    hint = hint_of(fault)
    return _error(name, message_of(fault) + (f" ({hint})" if hint else ""))


def _error(name: str, message: str) -> FieldError:
    return FieldError(name, LABELS.get(name, name), message)


def rejected(problems: Sequence[FieldProblem], field_name: str | None, message: str) -> FormError:
    """What a service found wrong.

    Args:
        problems: Its list of fields, if it has one.
        field_name: The field that it names.
        message: Its message.
    """
    if problems:
        return FormError([_error(each.field or "name", each.message) for each in problems])
    return FormError([_error(field_name or "name", message)])


def of_budget(read: BudgetRead) -> BudgetForm:
    """The form to change a budget."""
    values = {
        "name": read.name,
        "amount": f"{read.limit:.15g}",
        "thresholds": ", ".join(f"{100 * ratio:.10g}" for ratio in read.thresholds),
    }
    values |= {name: "on" for name in ("refuses", "stops") if getattr(read, name)}
    return BudgetForm(values)
