"""The query of the page of runs, read leniently: the form keeps invalid values."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, get_args

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from app.schemas.common import Moment, RunOrigin, RunStatus, StoredName
from app.schemas.run_groups import GroupBy
from app.schemas.runs import RunKind, RunSort, SearchText
from app.services.runs.listing import RunFilter
from app.web.choices import Choices, problems_of
from app.web.forms import Filled
from app.web.views.run_columns import COLUMNS, DEFAULT_COLUMNS
from app.web.views.run_filters import ORDERS
from app.web.views.run_groups import TITLES
from pricetag.tag.status import status_text

LISTS = ("tag", "status", "origin", "column")
LIMITS = (50, 100, 200)

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def _from_day(value: object) -> object:
    """A day alone is its beginning in UTC."""
    return f"{value}T00:00Z" if isinstance(value, str) and _DAY.fullmatch(value) else value


Time = Annotated[Filled[Moment], BeforeValidator(_from_day)]
Name = Filled[StoredName]


class RunQuery(BaseModel):
    """Query of the page of runs: filters and order of the API, columns and groups.

    Attributes:
        choices: The page's labels for the values of fields with a few values.
    """

    model_config = ConfigDict(extra="ignore")
    choices: ClassVar[Choices] = {
        "sort": ORDERS,
        "by": TITLES,
        "status": {status: status_text(status) for status in get_args(RunStatus)},
        "origin": {origin: origin for origin in get_args(RunOrigin)},
        "differ": {"1": "Only columns in which rows differ"},
    }

    project: Name = None
    experiment: Name = None
    user: Name = None
    tag: Annotated[list[StoredName], Field(max_length=20)] = []
    status: Annotated[list[RunStatus], Field(max_length=5)] = []
    kind: Filled[RunKind] = None
    origin: Annotated[list[RunOrigin], Field(max_length=5)] = []
    q: Filled[SearchText] = None
    created_after: Time = None
    created_before: Time = None
    finished_after: Time = None
    finished_before: Time = None
    sort: RunSort = "-created_at"
    start_at: Time = None
    cursor: Filled[Annotated[str, Field(max_length=1000)]] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    columns: Filled[Annotated[str, Field(max_length=1000)]] = None
    column: list[str] = []
    move: Filled[Annotated[str, Field(max_length=100)]] = None
    differ: Literal["", "1"] = ""
    by: Filled[GroupBy] = None
    since: Time = None
    view: Filled[uuid.UUID] = None

    def filter(self, caller_name: str) -> RunFilter:
        """The filters, for the service.

        Args:
            caller_name: Name of the caller, for `me`.
        """
        return RunFilter(
            project=self.project,
            experiment=self.experiment,
            user=caller_name if self.user == "me" else self.user,
            tags=self.tag,
            statuses=self.status,
            kind=self.kind,
            origins=self.origin,
            search=self.q,
            created_after=self.created_after,
            created_before=self.created_before,
            finished_after=self.finished_after,
            finished_before=self.finished_before,
        )

    @property
    def shown_columns(self) -> Sequence[str]:
        """The columns in order; those that do not exist are skipped."""
        names = self.columns.split(",") if self.columns else DEFAULT_COLUMNS
        return tuple(dict.fromkeys(name for name in names if name in COLUMNS)) or DEFAULT_COLUMNS


@dataclass(frozen=True, slots=True)
class Asked:
    """A query with its errors.

    Attributes:
        values: All parameters, as they came, without empty ones.
        query: The valid part.
        problems: Errors by parameter.
    """

    values: Sequence[tuple[str, str]]
    query: RunQuery
    problems: Mapping[str, str] = field(default_factory=dict)

    def first(self, name: str) -> str | None:
        """The first value of a parameter."""
        return next((value for key, value in self.values if key == name), None)


def read(parameters: Iterable[tuple[str, str]]) -> Asked:
    """Reads a query; an invalid parameter is dropped, and listed with the reason."""
    values = [(name, value) for name, value in parameters if value]
    raw: dict[str, Any] = {}
    for name, value in values:
        if name in LISTS:
            raw.setdefault(name, []).append(value)
        else:
            raw[name] = value
    try:
        return Asked(values, RunQuery.model_validate(raw))
    except ValidationError as error:
        problems: dict[str, str] = {}
        for problem in problems_of(error.errors(), RunQuery.choices):
            name = (problem.field or "").partition(".")[0]
            hint = f" ({problem.hint})" if problem.hint else ""
            problems.setdefault(name, f"{problem.message}{hint}")
        valid = {name: value for name, value in raw.items() if name not in problems}
        return Asked(values, RunQuery.model_validate(valid), problems)


Raw = Annotated[list[str] | None, Query()]


async def declared(
    project: Raw = None,
    experiment: Raw = None,
    user: Raw = None,
    tag: Raw = None,
    status: Raw = None,
    kind: Raw = None,
    origin: Raw = None,
    q: Raw = None,
    created_after: Raw = None,
    created_before: Raw = None,
    finished_after: Raw = None,
    finished_before: Raw = None,
    sort: Raw = None,
    start_at: Raw = None,
    cursor: Raw = None,
    limit: Raw = None,
    columns: Raw = None,
    column: Raw = None,
    move: Raw = None,
    differ: Raw = None,
    by: Raw = None,
    since: Raw = None,
    view: Raw = None,
) -> None:
    """Declares the parameters of the page: any other one is rejected."""
