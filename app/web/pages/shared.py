"""What a share link shows, to people who are not signed in."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request, Response

from app.api.access import OPEN
from app.api.deps import ServerResources
from app.api.v1.reports import HTML_POLICY
from app.schemas.reports import ReportFormat
from app.services import reports
from app.services.sharing import links
from app.services.sharing.links import Shared
from app.web.rendering import page_router, render
from app.web.views.shared import shared_view

router = page_router()
Secret = Annotated[str, Path(max_length=100)]


async def _shared(resources: ServerResources, secret: str) -> Shared:
    async with resources.database.session_scope() as session:
        return await links.open_link(session, secret)


@router.get("/s/{secret}", dependencies=[OPEN])
async def show_shared(request: Request, resources: ServerResources, secret: Secret) -> Response:
    """The totals of what is shared, and its files."""
    shared = await _shared(resources, secret)
    return render(request, "shared.html", view=shared_view(shared), secret=secret)


@router.get("/s/{secret}/report.{fmt}", dependencies=[OPEN])
async def open_shared_report(
    resources: ServerResources, secret: Secret, fmt: ReportFormat
) -> Response:
    """The report in one format."""
    shared = await _shared(resources, secret)
    rendered = await reports.render_report(shared.report, fmt, resources.charts)
    headers = {"Content-Disposition": f'inline; filename="{rendered.filename}"'}
    if fmt == "html":
        headers["Content-Security-Policy"] = HTML_POLICY
    return Response(rendered.content, media_type=rendered.media_type, headers=headers)


@router.get("/s/{secret}/archive.zip", dependencies=[OPEN])
async def open_shared_archive(resources: ServerResources, secret: Secret) -> Response:
    """The archive of a frozen paper."""
    async with resources.database.session_scope() as session:
        shared = await links.open_link(session, secret)
        price_tags = await links.price_tags_of(session, shared)
    rendered = await links.archive(shared, price_tags, resources.charts)
    headers = {"Content-Disposition": f'attachment; filename="{rendered.filename}"'}
    return Response(rendered.content, media_type=rendered.media_type, headers=headers)
