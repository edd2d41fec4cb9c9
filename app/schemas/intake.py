"""Runs that no queue started, and their journals on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from app.schemas.common import RunOrigin, Wire
from app.schemas.fields import RunId, StatusOfRun
from pricetag.one_line import one_line

ExternalOrigin = Literal["local", "slurm", "codecarbon", "import"]
"""Every origin but the queue."""

assert {*get_args(ExternalOrigin), "queue"} == {*get_args(RunOrigin)}

MAX_TAG = 100
MAX_TAGS = 50
MAX_ARGUMENTS = 1024
MAX_ARGUMENT = 32_768

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""A machine whose clock was never set is in 1970 or 1980."""


def _clean(text: str) -> str:
    """A name as it is stored: one line that can be seen."""
    cleaned = one_line(text).strip()
    if not cleaned:
        raise ValueError("must not be empty")
    return cleaned


def _tag(text: str) -> str:
    return one_line(text, MAX_TAG).strip()


CleanName = Annotated[str, AfterValidator(_clean)]
Tag = Annotated[str, AfterValidator(_tag)]


class ExternalRun(BaseModel):
    """A run that no queue started, with its only attempt, as its own record describes it.

    The IDs are made by the client: sent again, they name the same run.

    Attributes:
        run_id: ID of the run.
        attempt_id: ID of its attempt.
        origin: Who measured it.
        measured_by: Program that measured it, with its version, such as ``codecarbon 3.3.2``.
        name: Its name; like all names, put on one line.
        project: Name of its project, created if it does not exist.
        experiment: Name of its experiment, created likewise.
        tags: Its tags; empty and repeated ones are dropped.
        command: Program and arguments; empty if they are unknown.
        started_at: When it began.
        node_name: Name of the machine.
        site: Name of the site whose factors price it; None for the lab's own.
        devices: Its accelerators: ``{kind, name, uuid}``.
    """

    run_id: UUID
    attempt_id: UUID
    origin: ExternalOrigin
    measured_by: Annotated[str | None, AfterValidator(lambda text: text and one_line(text))] = None
    name: CleanName
    project: CleanName
    experiment: CleanName
    tags: Annotated[list[Tag], Field(max_length=MAX_TAGS)] = []
    command: Annotated[
        list[Annotated[str, Field(max_length=MAX_ARGUMENT)]], Field(max_length=MAX_ARGUMENTS)
    ] = []
    started_at: AwareDatetime
    node_name: CleanName
    site: CleanName | None = None
    devices: list[Any] = []


class JournalRun(BaseModel):
    """The run as the ``start`` record of its journal describes it."""

    model_config = ConfigDict(extra="ignore")

    origin: Literal["local", "slurm", "import"]
    measured_by: str | None = None
    name: str
    project: str
    experiment: str
    tags: list[str] = []
    command: list[str] = []


class JournalStart(BaseModel):
    """What the ``start`` record of a journal states beside the meters."""

    model_config = ConfigDict(extra="ignore")

    format: int = 1
    run_id: UUID
    attempt_id: UUID
    node_name: str
    run: JournalRun
    factors: dict[str, Any] = {}


class JournalPartRead(Wire):
    """A part of a journal, as it arrived."""

    begin_byte: int = Field(ge=0, description="Place of the part in the journal's file.")
    size_bytes: int = Field(ge=0, description="Its size.")
    sha256: str = Field(
        examples=["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
        description="SHA-256 of its bytes.",
    )


class JournalRead(Wire):
    """How far a journal has arrived, and its run."""

    run_id: RunId
    attempt_id: UUID = Field(description="ID of the attempt whose journal this is.")
    project: str = Field(description="Project of the run.")
    status: StatusOfRun
    size_bytes: int = Field(
        ge=0, description="Number of bytes that have arrived; the next part begins there."
    )
    records: int = Field(ge=0, description="Number of lines that have arrived.")
    chain_sha256: str = Field(
        examples=["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
        description="Hash of these lines: that of no lines is the SHA-256 of nothing; that of one "
        "line more is the SHA-256 of the hash so far (32 bytes) and the line without its end.",
    )
    rejected: int = Field(
        ge=0, description="Number of lines that were not applied; `GET /v1/runs/{id}` says why."
    )
    price_tag_version: int | None = Field(
        description="Newest version of the run's price tag; null until the journal has its end."
    )
    it_energy_kwh: float | None = Field(
        description="IT energy on that price tag; null if it is unknown."
    )
    parts: list[JournalPartRead] | None = Field(
        default=None, description="The parts in which it arrived, if asked for; null otherwise."
    )
    warnings: list[str] = Field(
        default=[], description="Remarks on how the run was taken over, of the part in the request."
    )
