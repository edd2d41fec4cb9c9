"""Files of a paper, from its newest report."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

from app.charts.drawing import Drawing
from app.db import Session
from app.reports import FORMATS
from app.reports.paper_archive import MEDIA_TYPE, paper_archive
from app.reports.paper_files import LATEX, latex_archive, paper_file
from app.reports.rendered import Rendered
from app.reports.text import slug
from app.repositories.papers import papers
from app.repositories.price_tags import reports as report_rows
from app.schemas.papers import PaperFile
from app.schemas.reports import ReportRead
from app.services import reports
from app.services.errors import ConflictError
from app.services.papers import rights
from app.services.principals import Principal
from models import Report
from pricetag.accounting.document.canonical import hashed_text


class PaperNotFrozenError(ConflictError):
    """The paper still collects runs, so that its price tags are not fixed."""

    code = "paper-not-frozen"


class PaperNotReportedError(ConflictError):
    """The paper has no report yet, from which its files are made."""

    code = "paper-not-reported"


async def file_of(
    session: Session,
    principal: Principal,
    paper_id: uuid.UUID,
    name: PaperFile,
    drawing: Drawing,
) -> Rendered:
    """A file of a paper, from its newest report.

    Raises:
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
        PaperNotReportedError: If it has no report yet.
    """
    report = await newest_report(session, principal, paper_id)
    if name == LATEX:
        figures = await reports.latex_figures(report.context, drawing)
        return await asyncio.to_thread(latex_archive, report.context, figures)
    return await asyncio.to_thread(paper_file, report.context, name)


async def newest_content(session: Session, paper_id: uuid.UUID) -> dict[str, Any] | None:
    """The content of the newest report on a paper that the caller may see; None without any."""
    report = await papers.newest_report(session, paper_id)
    return None if report is None else report.context


async def newest_report(session: Session, principal: Principal, paper_id: uuid.UUID) -> Report:
    """The newest report on a paper.

    Raises:
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
        PaperNotReportedError: If it has no report yet.
    """
    await rights.require(session, principal, paper_id)
    report = await papers.newest_report(session, paper_id)
    if report is None:
        raise PaperNotReportedError(
            "The paper has no report yet. Create one (`pricetag paper report`, or POST "
            "/v1/papers/{id}/reports), or freeze the paper."
        )
    return report


async def archive_of(
    session: Session, principal: Principal, paper_id: uuid.UUID, drawing: Drawing
) -> Rendered:
    """The archive of a frozen paper: an RO-Crate that a stranger can check.

    Raises:
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
        PaperNotFrozenError: If it still collects runs.
        PaperNotReportedError: If it has no report yet.
    """
    row = await rights.require(session, principal, paper_id)
    if row.Paper.frozen_at is None:
        raise PaperNotFrozenError("The paper still collects runs. Freeze it, then download it.")
    newest = await newest_report(session, principal, paper_id)
    report = await reports.read(session, principal, newest.id)
    return await archive(report, await price_tag_texts(session, report.context), drawing)


async def price_tag_texts(session: Session, context: Mapping[str, Any]) -> dict[str, str]:
    """The text of each price tag of a report on a paper, as it was hashed, by run ID."""
    runs = context["paper"]["runs"]
    versions = {uuid.UUID(run["run_id"]): int(run["version"]) for run in runs}
    documents = await report_rows.price_tags_of(session, versions)
    return await asyncio.to_thread(_texts, runs, documents)


async def archive(report: ReportRead, price_tags: Mapping[str, str], drawing: Drawing) -> Rendered:
    """The archive with a report on a frozen paper, and its price tags.

    Args:
        report: The report.
        price_tags: The text of each price tag, by run ID.
        drawing: Draws its charts.
    """
    rendered: dict[str, bytes] = {
        fmt: (await reports.render_report(report, fmt, drawing)).content for fmt in FORMATS
    }
    figures = await reports.latex_figures(report.context, drawing)
    content = await asyncio.to_thread(paper_archive, report.context, price_tags, rendered, figures)
    return Rendered(content, MEDIA_TYPE, f"{slug(report.title)}.zip")


def _texts(
    runs: list[dict[str, Any]], documents: Mapping[uuid.UUID, Mapping[str, Any]]
) -> dict[str, str]:
    """The text of each price tag that has the hash of the paper, by run ID."""
    return {
        run["run_id"]: hashed_text(_issued(documents[uuid.UUID(run["run_id"])]), run["sha256"])
        for run in runs
    }


def _issued(document: Mapping[str, Any]) -> dict[str, Any]:
    """A price tag without what the database states beside it."""
    return {name: value for name, value in document.items() if name != "cause"}
