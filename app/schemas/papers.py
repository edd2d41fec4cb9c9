"""Papers on the wire: collections of runs, frozen and reported as a whole."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.common import Name, Request, RunStatus, StoredName, Wire
from app.schemas.fields import (
    CreatedAt,
    ExperimentName,
    Items,
    NextCursor,
    ObjectId,
    OriginOfRun,
    ProjectName,
    RunId,
    RunName,
)
from app.schemas.published import PublishedEntries, PublishedNames, PublishedRead
from app.schemas.reports import MAX_RUNS, ReportProfile, ReportSummary, RunConditions
from pricetag.tag.paper import Purpose

RunIds = Annotated[list[uuid.UUID], Field(max_length=MAX_RUNS)]
PurposeOfRun = Annotated[
    Purpose | None,
    Field(
        description="What the runs were for; null for the purpose that a tag of the run names, if "
        "any."
    ),
]


class PaperCreate(Request):
    """A paper: a collection of runs, by ID, by a rule, or both."""

    project: StoredName = Field(
        description="Project of the paper. Its rule collects runs of this project."
    )
    title: Name = Field(
        examples=["Small encoders at half the energy"], description="Title of the paper."
    )
    authors: Name | None = Field(
        default=None, description="Authors for BibTeX, as in a bibliography; null to omit them."
    )
    runs: RunIds = Field(default_factory=list, description="IDs of runs to add.")
    rule: RunConditions | None = Field(
        default=None,
        description="Conditions of runs of the project that the paper collects until it is frozen; "
        "null to collect none.",
    )
    published: PublishedNames = Field(
        default_factory=list,
        description="Published rows of the catalog to compare with, each by its ID or by the "
        "beginning of the IDs of a publication.",
    )
    entered: PublishedEntries = Field(
        default_factory=list, description="Other published rows to compare with, entered by hand."
    )

    @model_validator(mode="after")
    def _has_runs(self) -> Self:
        if not (self.runs or self.published or self.entered) and self.rule is None:
            raise PydanticCustomError("paper_runs", "needs runs, a rule, or published rows")
        return self


class PaperChange(Request):
    """Changes of a paper; omitted fields stay as they are."""

    title: Name | None = Field(
        default=None, description="Title of the paper; null keeps it, for a paper has a title."
    )
    authors: Name | None = Field(default=None, description="Authors for BibTeX.")
    rule: RunConditions | None = Field(
        default=None, description="Conditions of the runs that the paper collects."
    )
    published: PublishedNames = Field(
        default_factory=list,
        description="Published rows of the catalog, in place of those that the paper has.",
    )
    entered: PublishedEntries = Field(
        default_factory=list,
        description="Published rows entered by hand, in place of those that the paper has.",
    )


class PaperRunsAdd(Request):
    """Runs to add to a paper."""

    runs: Annotated[list[uuid.UUID], Field(min_length=1, max_length=MAX_RUNS)] = Field(
        description="IDs of the runs. Runs that are in the paper already get the new purpose."
    )
    purpose: PurposeOfRun = None


class PaperReportCreate(Request):
    """A report on a paper."""

    profile: ReportProfile = Field(
        default="site",
        description="site: the lab's own factors; strubell2019: those of that paper.",
    )
    equivalents: bool = Field(
        default=False,
        strict=True,
        description="Whether to compare the emissions with well-known ones, such as a flight.",
    )


class PaperSummary(Wire):
    """A paper in a list."""

    id: ObjectId
    project: ProjectName
    title: str = Field(description="Title of the paper.")
    authors: str | None = Field(description="Authors for BibTeX; null if not stated.")
    created_at: CreatedAt
    frozen_at: datetime | None = Field(description="Time of freezing; null while it collects runs.")
    selection_sha256: str | None = Field(
        description="Hash of the frozen runs, versions and hashes of their price tags: SHA-256 of "
        "a line `run version hash` for each, sorted. Null while it collects runs."
    )


class PaperRunRead(Wire):
    """A run of a paper."""

    run_id: RunId
    name: RunName
    project: ProjectName
    experiment: ExperimentName
    status: RunStatus = Field(description="Status of the run.")
    purpose: Purpose | None = Field(
        description="What it was for, as stated for the paper or by a tag; null if not stated."
    )
    origin: Literal["added", "rule", "frozen"] = Field(
        description="Why it is in the paper: `added` by ID, collected by the `rule`, or `frozen`."
    )
    version: int | None = Field(
        description="Version of the price tag that counts: the newest, or the frozen one; null "
        "without any, so that the run is not counted."
    )
    price_tag_sha256: str | None = Field(description="Hash of that price tag.")
    run_origin: OriginOfRun
    measured_by: str | None = Field(
        description="Program that measured it, as its sender states it; null for the workers of "
        "this server, and if it is unknown."
    )


class PaperRule(Wire):
    """Conditions of the runs that a paper collects; all must hold."""

    experiment: str | None = Field(description="Only runs of this experiment; null for any.")
    tags: list[str] = Field(description="Only runs with all of these tags.")
    status: list[RunStatus] = Field(description="Only runs with one of these; empty for any.")
    kind: str | None = Field(
        description="Only runs with a stage of this kind, or with exactly these; null for any."
    )
    created_after: datetime | None = Field(description="Only runs posted after this time.")
    created_before: datetime | None = Field(description="Only runs posted before this time.")


class PaperRead(PaperSummary):
    """A paper with its runs and reports."""

    rule: PaperRule | None = Field(
        description="Conditions of the runs that it collects; null to collect none."
    )
    is_own: bool = Field(description="Whether you may change it.")
    runs: list[PaperRunRead] = Field(description="Its runs, oldest first.")
    published: list[PublishedRead] = Field(
        description="Published rows of other work that its reports show beside its runs; they are "
        "in no sum."
    )
    reports: list[ReportSummary] = Field(description="Reports on the paper, newest first.")


class PaperList(Wire):
    """A page of papers, newest first."""

    items: Items[PaperSummary]
    next_cursor: NextCursor


PaperFile = Literal[
    "badge.svg",
    "paper.bib",
    "model-card.md",
    "co2_eq_emissions.yaml",
    "neurips.md",
    "eu-ai-act.md",
    "tables.tex",
    "latex.zip",
    "runs.csv",
    "paper.json",
]
