"""SQL of price tags and reports by the hash of their content."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.people.visibility import Viewer, sees_project_id, sees_report
from models import PriceTag, Report, Run


async def price_tag(session: AsyncSession, viewer: Viewer, sha256: str) -> Any:
    """Run, version and name of the price tag with a hash; None without a visible one."""
    query = (
        select(PriceTag.run_id, PriceTag.version, Run.name)
        .join(Run, Run.id == PriceTag.run_id)
        .where(PriceTag.content_sha256 == sha256, sees_project_id(viewer, Run.project_id))
        .limit(1)
    )
    return (await session.execute(query)).one_or_none()


async def report(session: AsyncSession, viewer: Viewer, sha256: str) -> Report | None:
    """The report with a hash; None without a visible one."""
    query = select(Report).where(Report.content_sha256 == sha256, sees_report(viewer, Report.id))
    return (await session.execute(query.limit(1))).scalar_one_or_none()
