"""Files of a paper, from its newest report."""

from __future__ import annotations

import asyncio
import uuid

from app.db import Session
from app.reports.paper_files import paper_file
from app.reports.rendered import Rendered
from app.repositories.papers import papers
from app.schemas.papers import PaperFile
from app.services.errors import ConflictError
from app.services.papers import collecting
from app.services.principals import Principal
from models import Report


class PaperNotReportedError(ConflictError):
    """The paper has no report yet, from which its files are made."""

    code = "paper-not-reported"


async def file_of(
    session: Session, principal: Principal, paper_id: uuid.UUID, name: PaperFile
) -> Rendered:
    """A file of a paper, from its newest report.

    Raises:
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
        PaperNotReportedError: If it has no report yet.
    """
    report = await newest_report(session, principal, paper_id)
    return await asyncio.to_thread(paper_file, report.context, name)


async def newest_report(session: Session, principal: Principal, paper_id: uuid.UUID) -> Report:
    """The newest report on a paper.

    Raises:
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
        PaperNotReportedError: If it has no report yet.
    """
    await collecting.require(session, principal, paper_id)
    report = await papers.newest_report(session, paper_id)
    if report is None:
        raise PaperNotReportedError(
            "The paper has no report yet. Create one with POST /v1/papers/{id}/reports, or freeze "
            "the paper."
        )
    return report
