"""Fields of a form, checked by the models of the API; errors return to their fields."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from app.api.body import check_storable
from app.db import Session
from app.errors import field_problems
from app.schemas.common import FieldProblem
from app.services.errors import PricetagError
from app.web.views.forms import FormView

Model = TypeVar("Model", bound=BaseModel)
Result = TypeVar("Result")

RETURNED = frozenset({409, 413, 415, 422, 502})
"""Statuses of errors that users can correct in the form; others have their own page."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_NAMED = re.compile(r"^[a-z_.]+: ")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A form that has to be corrected.

    Attributes:
        form: What was typed, with the errors.
        status: HTTP status of the page.
    """

    form: FormView
    status: int


def read_model(
    model: type[Model], fields: Mapping[str, str], *, dates: Sequence[str] = ()
) -> Model:
    """The model of the API that a form describes.

    Args:
        model: Model of a request's body.
        fields: The form; an empty field was not filled in, and ``a.b`` is the field ``b`` of
            ``a``.
        dates: Fields with a time, in which a date stands for its first instant in UTC.

    Raises:
        ValidationError: If a field is invalid.
        BodyError: If a text cannot be stored.
    """
    values: dict[str, Any] = {}
    for name, text in fields.items():
        if text:
            is_date = name in dates and _DATE.fullmatch(text)
            *path, last = name.split(".")
            place = values
            for part in path:
                place = place.setdefault(part, {})
            place[last] = f"{text}T00:00Z" if is_date else text
    check_storable(values)
    return model.model_validate_strings(values)


async def submit(
    session: Session | None, fields: Mapping[str, str], action: Callable[[], Awaitable[Result]]
) -> Result | Rejected:
    """Carries out the action of a form completely, or not at all.

    Args:
        session: Session of the request, which is rolled back if the form is rejected; None if the
            action has its own.
        fields: The form.
        action: Reads the form and carries it out.

    Raises:
        PricetagError: If the form cannot correct it.
    """
    try:
        return await action()
    except PricetagError as error:
        is_field = error.status == 404 and error.field in fields
        if error.status not in RETURNED and not is_field:
            raise
        status, problems = error.status, _problems(error)
    except (ValidationError, RequestValidationError) as error:
        status, problems = 422, field_problems(error.errors())
    if session is not None:
        await session.rollback()
    return Rejected(FormView(fields, problems), status)


def _problems(error: PricetagError) -> Sequence[FieldProblem]:
    several: Sequence[FieldProblem] = getattr(error, "errors", ())
    if several:
        return several
    message = _NAMED.sub("", error.message) if error.field else error.message
    return [FieldProblem(field=error.field, message=message)]
