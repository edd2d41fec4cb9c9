"""Queries of pages with a form, read leniently: the form keeps invalid values."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_origin

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, ValidationError

from app.schemas.common import FieldProblem
from app.services.errors import NotFoundError, PricetagError
from app.web.choices import Choices, problems_of
from app.web.views.forms import FormView


class PageQuery(BaseModel):
    """Base of the queries: the fields of a page's form, each with a default.

    Attributes:
        choices: The page's labels for the values of fields with a few values.
    """

    model_config = ConfigDict(extra="ignore")
    choices: ClassVar[Choices] = {}


Model = TypeVar("Model", bound=PageQuery)


@dataclass(frozen=True, slots=True)
class Asked(Generic[Model]):
    """A query with its errors.

    Attributes:
        query: The valid part; the other fields have their defaults.
        form: The form as it was filled in, with all its problems.
    """

    query: Model
    form: FormView

    @property
    def status(self) -> int:
        """HTTP status of the page."""
        return 422 if self.form.problems else 200

    def wrong(self, problems: Iterable[FieldProblem]) -> Asked[Model]:
        """The same query with further problems."""
        return Asked(self.query, replace(self.form, problems=[*self.form.problems, *problems]))

    def filled(self, texts: Mapping[str, str | None]) -> Asked[Model]:
        """The same query with other texts in its fields."""
        values = {name: text or "" for name, text in texts.items()}
        return Asked(self.query, replace(self.form, values={**self.form.values, **values}))

    def rejected(self, error: PricetagError) -> Asked[Model]:
        """The same query with the errors of a service."""
        several: Sequence[FieldProblem] = getattr(error, "errors", ())
        return self.wrong(several or [FieldProblem(field=error.field, message=error.message)])

    async def show(
        self, make: Callable[[Model], Awaitable[Mapping[str, Any]]], empty: Mapping[str, Any]
    ) -> tuple[Asked[Model], dict[str, Any]]:
        """The result of a valid query; the empty one for an invalid query.

        Args:
            make: Reads what a valid query selects.
            empty: What a page without it shows.

        Returns:
            The query, with what it names that does not exist, and what to show.
        """
        if self.form.problems:
            return self, dict(empty)
        try:
            return self, {**empty, **await make(self.query)}
        except NotFoundError as error:
            return self.rejected(error), dict(empty)


def read(model: type[Model], parameters: Iterable[tuple[str, str]]) -> Asked[Model]:
    """Reads a query: an invalid value stays in the form, with the reason.

    Args:
        model: The fields with their defaults.
        parameters: Names and texts; an empty one was not filled in.
    """
    lists = {_name(model, name) for name, field in model.model_fields.items() if _is_list(field)}
    raw: dict[str, Any] = {}
    for name, text in parameters:
        if name in lists and text:
            raw.setdefault(name, []).append(text)
        elif name not in lists and text:
            raw[name] = text
    try:
        query, problems = model.model_validate(raw), []
    except ValidationError as error:
        problems = [_of_field(each) for each in problems_of(error.errors(), model.choices)]
        wrong = {problem.field for problem in problems}
        query = model.model_validate({name: raw[name] for name in raw if name not in wrong})
    texts = {name: text if isinstance(text, str) else ", ".join(text) for name, text in raw.items()}
    return Asked(query, FormView(_defaults(model) | texts, problems, _labels(model)))


def asking(model: type[Model]) -> Callable[..., Asked[Model]]:
    """A dependency that reads the query of a page; other parameters are rejected.

    Args:
        model: The fields of the page's form.
    """

    def dependency(request: Request, **declared: Any) -> Asked[Model]:
        return read(model, request.query_params.multi_items())

    names = [_name(model, field) for field in model.model_fields]
    request = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
    raw = [
        inspect.Parameter(
            f"raw_{number}",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[list[str] | None, Query(alias=name)],
        )
        for number, name in enumerate(names)
    ]
    dependency.__signature__ = inspect.Signature([request, *raw])  # type: ignore[attr-defined]
    return dependency


def _of_field(problem: FieldProblem) -> FieldProblem:
    """The problem of an item of a list is that of the list."""
    name = (problem.field or "").partition(".")[0]
    return problem.model_copy(update={"field": name})


def _name(model: type[BaseModel], field: str) -> str:
    return model.model_fields[field].alias or field


def _is_list(field: Any) -> bool:
    return get_origin(field.annotation) is list


def _defaults(model: type[BaseModel]) -> dict[str, str]:
    """Texts of the fields that nobody filled in."""
    defaults = {_name(model, name): field.default for name, field in model.model_fields.items()}
    return {name: "" if value in (None, []) else str(value) for name, value in defaults.items()}


def _labels(model: type[BaseModel]) -> dict[str, str]:
    fields = model.model_fields.items()
    return {_name(model, name): field.title for name, field in fields if field.title}
