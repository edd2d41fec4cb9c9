from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.common import Moment, Name, Request, RunStatus, StoredName, Whole, Wire
from app.schemas.fields import CreatedAt, Items, NextCursor, ObjectId
from app.schemas.runs import RunKind

MAX_RUNS = 1000

ReportProfile = Literal["strubell2019", "site"]
ReportTable = Literal["glue"]
ReportFormat = Literal["html", "pdf", "tex", "md", "csv", "json"]


class RunConditions(Request):
    """Conditions of runs; all must hold."""

    experiment: StoredName | None = Field(default=None, description="Only runs of this experiment.")
    tags: Annotated[list[StoredName], Field(max_length=20)] = Field(
        default_factory=list, description="Only runs with all of these tags."
    )
    status: Annotated[list[RunStatus], Field(max_length=5)] = Field(
        default_factory=list, description="Only runs with one of these statuses."
    )
    kind: RunKind | None = Field(
        default=None,
        description="Only runs with a stage of this kind, or with exactly these, e.g. "
        "`train+measure`.",
    )
    created_after: Moment | None = Field(
        default=None, description="Only runs posted after this time (ISO 8601 with time zone)."
    )
    created_before: Moment | None = Field(
        default=None, description="Only runs posted before this time (ISO 8601 with time zone)."
    )


class ReportFilter(RunConditions):
    """Filter of runs; all conditions must hold."""

    project: StoredName | None = Field(default=None, description="Only runs of this project.")


class ReportCreate(Request):
    """Runs to report on, by ID or by filter."""

    title: Name = Field(
        examples=["What the sentiment study cost"], description="Title of the report."
    )
    profile: ReportProfile = Field(
        default="strubell2019",
        description="strubell2019: that paper's columns; site: the lab's own factors.",
    )
    table: ReportTable | None = Field(
        default=None,
        description="glue: a report on the runs with a task of GLUE, with the table of their "
        "scores; null: the report on the cost of the runs.",
    )
    runs: Annotated[list[uuid.UUID], Field(min_length=1, max_length=MAX_RUNS)] | None = Field(
        default=None, description="IDs of the runs, in this order; each must have a price tag."
    )
    versions: Annotated[
        dict[uuid.UUID, Annotated[Whole, Field(ge=1, le=2**31 - 1)]], Field(max_length=MAX_RUNS)
    ] = Field(
        default_factory=dict,
        description="Version of a run's price tag to use, by the run's ID; the newest of all "
        "other runs. A re-pricing issues a version too.",
        examples=[{"6f0c0d0e-0000-4000-8000-000000000000": 1}],
    )
    filter: ReportFilter | None = Field(
        default=None, description="Alternative to `runs`: all matching runs with a price tag."
    )

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if (self.runs is None) == (self.filter is None):
            raise PydanticCustomError("one_choice", "use either runs or filter")
        return self


class ReportSummary(Wire):
    """A report in a list."""

    id: ObjectId
    title: str = Field(description="Title of the report.")
    profile: str = Field(
        description="Factors of the report: `strubell2019` (that paper's) or `site` (the lab's "
        "own)."
    )
    created_at: CreatedAt
    content_sha256: str = Field(description="Hash of the data behind all six formats.")


class ReportRead(ReportSummary):
    """An immutable report; `context` is the data behind all six formats."""

    context: dict[str, Any] = Field(description="Data behind all formats of the report.")
    formats: dict[ReportFormat, str] = Field(description="Address of each format.")
    runs_left_out: list[uuid.UUID] = Field(
        default_factory=list,
        description="On creation by filter: matching runs without a price tag.",
    )


class ReportList(Wire):
    """A page of reports, newest first."""

    items: Items[ReportSummary]
    next_cursor: NextCursor
