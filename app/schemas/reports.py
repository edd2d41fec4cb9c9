from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.common import Moment, Name, Request, RunStatus, Wire
from app.schemas.runs import RunKind

MAX_RUNS = 1000

ReportProfile = Literal["strubell2019", "site"]
ReportFormat = Literal["html", "pdf", "tex", "md", "csv", "json"]


class ReportFilter(Request):
    """Which runs; every condition given must hold."""

    project: Name | None = None
    experiment: Name | None = None
    tags: Annotated[list[Name], Field(max_length=20)] = Field(default_factory=list)
    status: Annotated[list[RunStatus], Field(max_length=5)] = Field(default_factory=list)
    kind: RunKind | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None


class ReportCreate(Request):
    """Which runs to report on, by id or by filter."""

    title: Name = Field(examples=["What the sentiment study cost"])
    profile: ReportProfile = Field(
        default="strubell2019",
        description="strubell2019: that paper's columns; site: the lab's own factors.",
    )
    runs: Annotated[list[uuid.UUID], Field(min_length=1, max_length=MAX_RUNS)] | None = Field(
        default=None, description="These runs, in this order; each must have a price tag."
    )
    filter: ReportFilter | None = Field(
        default=None, description="Instead of `runs`: all matching runs that have a price tag."
    )

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if (self.runs is None) == (self.filter is None):
            raise PydanticCustomError("one_choice", "give either runs or filter")
        return self


class ReportSummary(Wire):
    id: uuid.UUID
    title: str
    profile: str
    created_at: datetime
    content_sha256: str = Field(description="Of what all six formats are drawn from.")


class ReportRead(ReportSummary):
    """An immutable report; `context` is what all six formats are drawn from."""

    context: dict[str, Any]
    formats: dict[ReportFormat, str] = Field(description="Where each format is.")
    runs_left_out: list[uuid.UUID] = Field(
        default_factory=list,
        description="On creation by filter: matching runs that have no price tag yet.",
    )


class ReportList(Wire):
    items: list[ReportSummary]
    next_cursor: str | None
