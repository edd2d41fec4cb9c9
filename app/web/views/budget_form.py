"""The form of a budget: from its fields to a request, and back with errors at their fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError

from app.schemas.budgets import BudgetRead
from app.schemas.common import FieldProblem, hint_of
from app.services.errors import PricetagError
from pricetag.field_messages import message_of

Model = TypeVar("Model", bound=BaseModel)

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
PERCENT = "must be percentages between 0 and 100, separated by commas, e.g. 80, 100"


@dataclass(frozen=True, slots=True)
class FieldError:
    """Error of a field."""

    field: str
    label: str
    message: str


@dataclass(frozen=True, slots=True)
class BudgetForm:
    """The displayed form.

    Attributes:
        values: Texts of its fields.
        errors: Errors in the order of the fields.
        is_unknown_scope: Whether the named project or experiment does not exist.
    """

    values: Mapping[str, str]
    errors: Sequence[FieldError] = field(default_factory=tuple)
    is_unknown_scope: bool = False

    def get(self, name: str) -> str:
        """The text of a field."""
        return self.values.get(name, "")

    def error(self, name: str) -> str:
        """Error of a field; empty if it has none."""
        return next((error.message for error in self.errors if error.field == name), "")


def create_body(fields: Mapping[str, str]) -> dict[str, Any]:
    """The request for a new budget."""
    named = ("name", "scope", "project", "experiment", "user", "metric", "currency", "amount")
    body: dict[str, Any] = {name: fields[name] for name in named if fields.get(name)}
    body |= {name: fields[name] for name in ("period", "time_zone") if fields.get(name)}
    of_scope = {"lab": (), "project": ("project",), "user": ("user",)}
    scope_fields = of_scope.get(str(body.get("scope")), ("project", "experiment"))
    for name in ("project", "experiment", "user"):
        if name not in scope_fields:
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
    """The request to change a budget."""
    return {
        "name": fields.get("name", ""),
        "amount": fields.get("amount", ""),
        "thresholds": thresholds(fields.get("thresholds", "")),
        "refuses": "refuses" in fields,
        "stops": "stops" in fields,
    }


def thresholds(text: str) -> list[float | str]:
    """Percentages as ratios; texts that are none stay texts, for which there is an error."""
    return [_ratio(part) for part in text.replace("%", "").split(",") if part.strip()]


def _ratio(text: str) -> float | str:
    try:
        percent = float(text)
    except ValueError:
        return text
    return percent / 100 if 0 < percent <= 100 else text


def run_ids(texts: Sequence[str]) -> tuple[frozenset[UUID], list[FieldProblem]]:
    """The runs that a change drops, and which of the texts are not IDs."""
    ids, problems = set(), []
    for text in texts:
        try:
            ids.add(UUID(text))
        except ValueError:
            message = f"'{text[:100]}' is not the ID of a run"
            problems.append(FieldProblem(field="without", message=message))
    return frozenset(ids), problems


def checked(model: type[Model], body: Mapping[str, Any]) -> tuple[Model | None, list[FieldError]]:
    """The request, or all errors of the form."""
    try:
        return model.model_validate(body), []
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        by_field = {_field(fault): fault for fault in reversed(faults)}
        errors = [_fault(name, by_field[name]) for name in LABELS if name in by_field]
        return None, errors or [_fault("name", faults[0])]


def valid(body: Mapping[str, Any], errors: Iterable[FieldError]) -> dict[str, Any]:
    """The valid fields of a request."""
    wrong = {error.field for error in errors}
    return {name: value for name, value in body.items() if name not in wrong}


def _field(fault: Mapping[str, Any]) -> str:
    return str(fault["loc"][0]) if fault["loc"] else "name"


def _fault(name: str, fault: Mapping[str, Any]) -> FieldError:
    if name == "thresholds" and len(fault["loc"]) > 1:
        return _error(name, PERCENT)
    hint = hint_of(fault)
    return _error(name, message_of(fault) + (f" ({hint})" if hint else ""))


def _error(name: str, message: str) -> FieldError:
    return FieldError(name, LABELS.get(name, name), message)


def rejected(errors: Iterable[PricetagError]) -> list[FieldError]:
    """The error that a service raised."""
    return [_error(error.field or "name", error.message) for error in errors]


def of_budget(read: BudgetRead) -> BudgetForm:
    """The form to change a budget."""
    values = {
        "name": read.name,
        "amount": f"{read.limit:.15g}",
        "thresholds": ", ".join(f"{100 * ratio:.10g}" for ratio in read.thresholds),
    }
    values |= {name: "on" for name in ("refuses", "stops") if getattr(read, name)}
    return BudgetForm(values)
