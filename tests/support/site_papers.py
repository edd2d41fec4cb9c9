"""A paper for tests of the pages: it collects the runs of a sweep, and has a report."""

from __future__ import annotations

from uuid import UUID

from app.db import Session
from app.repositories.people import projects
from app.schemas.papers import PaperReportCreate
from app.schemas.shares import ShareCreate
from app.services.papers import reporting
from app.services.people.tokens import secret_sha256
from app.services.principals import Principal
from app.services.sharing import links
from models import Paper, Share

PAPER = UUID("6f0c0d0e-0000-4000-8000-00000000a9e8")
"""ID of the paper."""

SHARED = "shared-for-blind-review"
"""Secret of a link to it."""


async def fill_papers(session: Session, admin_id: UUID, title: str) -> None:
    """A paper on all runs of the project `sweep`."""
    paper = Paper(
        id=PAPER,
        project_id=await projects.ensure_project(session, "sweep"),
        created_by=admin_id,
        title=title,
        rule={},
    )
    session.add(paper)
    await session.flush()
    admin = Principal(admin_id, None, "admin", "admin")
    await reporting.report(session, admin, PAPER, PaperReportCreate())
    share = await links.create(session, admin, ShareCreate(paper=PAPER, anonymous=True))
    row = await session.get_one(Share, share.id)
    row.secret_sha256 = secret_sha256(SHARED)
