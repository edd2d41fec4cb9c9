from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Identity,
    Index,
    Text,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSTZRANGE
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasId, now

# Searches see what was written at once: what is not in the index proper yet stays small.
SMALL_PENDING_LIST = {"gin_pending_list_limit": "128"}

NEVER: ColumnElement[Any] = literal_column("'infinity'::timestamptz")


def finished_or_never(finished_at: Any) -> ColumnElement[Any]:
    """When a run finished; `infinity` while it has not."""
    return func.coalesce(finished_at, NEVER)


def lifetime(created_at: Any, finished_at: Any) -> ColumnElement[Any]:
    """From when a run was posted until it finished; either may come first, as clocks differ."""
    finished = finished_or_never(finished_at)
    first, last = func.least(created_at, finished), func.greatest(created_at, finished)
    return func.tstzrange(first, last, literal_column("'[]'"), type_=TSTZRANGE)


def stage_kinds(kind: Any) -> ColumnElement[Any]:
    """The stage kinds of a run."""
    return func.string_to_array(kind, literal_column("'+'"), type_=ARRAY(Text))


def search_text(name: Any, tags: Any) -> ColumnElement[str]:
    """The searched text: name and tags, in lower case."""
    return func.lower(func.array_to_string(func.array_append(tags, name), literal_column("E'\\n'")))


def search_grams(name: Any, tags: Any) -> ColumnElement[Any]:
    """Every three characters in a row of the searched text, and its ends."""
    return func.pricetag_search_grams(name, tags)


def gram_query(word: str) -> ColumnElement[Any]:
    """What the grams of a text that contains the word match."""
    return func.pricetag_gram_query(word)


class Run(HasId, Base):
    """One job of a researcher: a recipe with its place in the queue and its status.

    ``queued -> running -> succeeded | failed | cancelled``; after a lost or interrupted attempt
    the run is queued again as long as attempts remain. A run that was measured elsewhere begins as
    running, has one attempt and is never queued.
    """

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint(
            "status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="status"
        ),
        CheckConstraint(
            "origin in ('queue', 'local', 'slurm', 'codecarbon', 'import')", name="origin"
        ),
        # Every order of a list, and every filter that is the beginning of one.
        Index("ix_runs_created_at_id", "created_at", "id"),
        Index("ix_runs_name_id", "name", "id"),
        Index("ix_runs_finished_at_id", finished_or_never(literal_column("finished_at")), "id"),
        Index("ix_runs_project_id_created_at_id", "project_id", "created_at", "id"),
        Index("ix_runs_experiment_id_created_at_id", "experiment_id", "created_at", "id"),
        Index("ix_runs_created_by_created_at_id", "created_by", "created_at", "id"),
        Index("ix_runs_kind_created_at_id", "kind", "created_at", "id"),
        Index("ix_runs_status_created_at_id", "status", "created_at", "id"),
        Index("ix_runs_origin_created_at_id", "origin", "created_at", "id"),
        # Runs lie in the table nearly in the order of time: a few bytes for each range of pages.
        Index(
            "ix_runs_lifetime",
            lifetime(literal_column("created_at"), literal_column("finished_at")),
            postgresql_using="brin",
            postgresql_with={"pages_per_range": "32", "autosummarize": "on"},
        ),
        # Filters that select few runs, also together; of a pair, each pair is stored once.
        Index("ix_runs_project_id_created_by", "project_id", "created_by"),
        Index("ix_runs_project_id_status", "project_id", "status"),
        Index("ix_runs_tags", "tags", postgresql_using="gin"),
        Index(
            "ix_runs_kinds",
            stage_kinds(literal_column("kind")),
            postgresql_using="gin",
            postgresql_with=SMALL_PENDING_LIST,
        ),
        Index(
            "ix_runs_search",
            search_grams(literal_column("name"), literal_column("tags")),
            postgresql_using="gin",
            postgresql_with=SMALL_PENDING_LIST,
        ),
    )

    created_at: Mapped[datetime] = mapped_column(default=now)
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"))
    experiment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("experiments.id"))
    name: Mapped[str]
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    # Who measured it: a worker ('queue'), or what sent it here.
    origin: Mapped[str] = mapped_column(default="queue", server_default=text("'queue'"))
    measured_by: Mapped[str | None]  # program with its version, of runs that no worker measured
    kind: Mapped[str]  # 'command' or the stage kinds joined by '+': 'train+quantize+measure'
    recipe: Mapped[dict[str, Any]]
    gpus: Mapped[int] = mapped_column(default=0)
    power_limit_w: Mapped[float | None]  # of each accelerator while the run is executed
    pool: Mapped[str] = mapped_column(default="default")
    priority: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime | None]
    max_attempts: Mapped[int] = mapped_column(default=3)
    status: Mapped[str] = mapped_column(default="queued")
    status_reason: Mapped[dict[str, Any] | None]  # {code, message, field?}
    progress: Mapped[dict[str, Any] | None]  # {stage, kind, done, total, unit, power_w, ...}
    cancel_requested_at: Mapped[datetime | None]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    token_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tokens.id"))  # of the request
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class RunLabel(Base):
    """A name or tag that a run has, or had: each about once, kept by triggers of ``runs``.

    Names of a lab repeat, so that a search of all names in their order reads few rows.
    """

    __tablename__ = "run_labels"
    __table_args__ = (
        CheckConstraint("kind in ('name', 'tag')", name="kind"),
        Index("ix_run_labels_kind_label", "kind", "label"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str]
    label: Mapped[str]


class RunEvent(Base):
    """One event of a run's stream; readers resume from its id."""

    __tablename__ = "run_events"
    __table_args__ = (Index("ix_run_events_run_id_id", "run_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    kind: Mapped[str]  # status | stage | progress | power
    payload: Mapped[dict[str, Any]]
