"""Documents that are issued and never edited: price tags and reports."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, validates

from models.base import Base, HasCreatedAt, HasId
from models.documents.column import Document
from pricetag.tag.headline import headline_of

TOTALS = ("duration_s", "it_energy_kwh", "facility_energy_kwh", "co2e_kg")
"""Totals of a price tag that have a column, besides its cost."""


def totals_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that repeat totals of a price tag's content, for lists and sums."""
    cost = content.get("cost") or {}
    figures = {name: content.get(name) for name in TOTALS} | {"cost": cost.get("total")}
    values = {name: (figure or {}).get("value") for name, figure in figures.items()}
    columns = {name: None if value is None else float(value) for name, value in values.items()}
    return {**columns, "currency": cost.get("currency")}


class PriceTag(HasId, HasCreatedAt, Base):
    """A version of a run's price tag. Its totals and its headline are also kept in columns."""

    __tablename__ = "price_tags"
    __table_args__ = (
        UniqueConstraint("run_id", "version"),
        Index("ix_price_tags_content_sha256", "content_sha256"),
        # Those of earlier versions, until housekeeping has given them a headline.
        Index(
            "ix_price_tags_without_headline",
            "created_at",
            postgresql_where=text("headline IS NULL"),
        ),
    )

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    version: Mapped[int]
    accounting_version: Mapped[str]
    cause: Mapped[str] = mapped_column(default="attempt-ended")  # | journal-came-late | repriced
    as_of: Mapped[datetime | None]  # uses the entries known then; null: the time of issue
    duration_s: Mapped[float | None]
    it_energy_kwh: Mapped[float | None]
    facility_energy_kwh: Mapped[float | None]
    co2e_kg: Mapped[float | None]
    cost: Mapped[float | None]
    currency: Mapped[str | None]
    content: Mapped[dict[str, Any]] = mapped_column(Document)
    headline: Mapped[dict[str, Any] | None] = mapped_column(Document, deferred=True)  # for lists
    content_sha256: Mapped[str]

    @validates("content")
    def _repeat_totals(self, _name: str, content: dict[str, Any]) -> dict[str, Any]:
        for name, value in totals_of(content).items():
            setattr(self, name, value)
        self.headline = headline_of(content)
        return content


_OF_RUN = ("run_id", "currency", "cost", "it_energy_kwh")


class RunFigure(Base):
    """Figures of a run's newest price tag, for lists in their order; kept by triggers.

    A run has its row from the beginning: version 0 without figures until it has a price tag.
    """

    __tablename__ = "run_figures"
    __table_args__ = (
        Index("ix_run_figures_it_energy_kwh_run_id", "it_energy_kwh", "run_id"),
        Index("ix_run_figures_currency_cost_run_id", "currency", "cost", "run_id"),
        Index("ix_run_figures_project_id_it_energy_kwh", "project_id", "it_energy_kwh", "run_id"),
        Index("ix_run_figures_project_id_cost", "project_id", "currency", "cost", "run_id"),
        Index("ix_run_figures_kind_it_energy_kwh", "kind", "it_energy_kwh", "run_id"),
        Index("ix_run_figures_kind_cost", "kind", "currency", "cost", "run_id"),
        Index(
            "ix_run_figures_experiment_id_it_energy_kwh",
            *("experiment_id", "it_energy_kwh", "run_id"),
        ),
        Index("ix_run_figures_experiment_id_cost", "experiment_id", "currency", "cost", "run_id"),
        Index("ix_run_figures_created_by_it_energy_kwh", "created_by", "it_energy_kwh", "run_id"),
        Index("ix_run_figures_created_by_cost", "created_by", "currency", "cost", "run_id"),
        Index("ix_run_figures_status_it_energy_kwh", "status", "it_energy_kwh", "run_id"),
        Index("ix_run_figures_status_cost", "status", "currency", "cost", "run_id"),
        # All runs of a month, to be sorted.
        Index("ix_run_figures_created_at", "created_at", postgresql_include=_OF_RUN),
        Index("ix_run_figures_finished_at", "finished_at", postgresql_include=_OF_RUN),
    )

    run_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True
    )
    project_id: Mapped[uuid.UUID]  # of the run, as are experiment, kind, user and times
    experiment_id: Mapped[uuid.UUID]
    kind: Mapped[str]
    created_by: Mapped[uuid.UUID | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    status: Mapped[str | None]  # of a run that is over; null while it is open
    version: Mapped[int]
    it_energy_kwh: Mapped[float | None]
    cost: Mapped[float | None]
    currency: Mapped[str | None]


class Report(HasId, HasCreatedAt, Base):
    __tablename__ = "reports"
    __table_args__ = (Index("ix_reports_content_sha256", "content_sha256"),)

    title: Mapped[str]
    profile: Mapped[str]
    # Content from which all six formats are rendered.
    context: Mapped[dict[str, Any]] = mapped_column(Document)
    content_sha256: Mapped[str]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    paper_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("papers.id"), index=True)


class ReportProject(Base):
    """A project with runs in a report; only users who see all its projects see the report."""

    __tablename__ = "report_projects"

    report_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True
    )
    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id"), primary_key=True, index=True
    )
