"""Reports: created once, rendered on request."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Path, Response

from app.api.access import CREATE_REPORT, READ, SEE_REPORT
from app.api.body import validated
from app.api.branches import Branch
from app.api.deps import Body, Caller, CurrentSession, Cursor, Limit, ServerResources
from app.api.openapi import request_body
from app.api.v1.examples import REPORT
from app.api.v1.responses import BODY, problems
from app.schemas.reports import ReportCreate, ReportFormat, ReportList, ReportRead
from app.services import reports

router = Branch(prefix="/reports", tags=["reports"])

ReportId = Annotated[uuid.UUID, Path(description="ID of the report.")]

MEDIA_TYPES: dict[ReportFormat, str] = {
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "tex": "application/x-tex",
    "md": "text/markdown; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}

# A report contains text from users: it must not run scripts or load anything.
HTML_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"


@router.post(
    "",
    status_code=201,
    dependencies=[CREATE_REPORT],
    summary="Create a report",
    responses=problems(403, *BODY),
    openapi_extra=request_body(
        ReportCreate, {"strubell": REPORT}, "Title, profile, and either `runs` or `filter`."
    ),
)
async def create_report(
    session: CurrentSession, caller: Caller, body: Body, response: Response
) -> ReportRead:
    """Creates an immutable report from a price tag of each selected run: the latest version, or
    the one in `versions`. The report states the version. Requires the role member.
    """
    report = await reports.create(session, caller, validated(ReportCreate, body))
    response.headers["Location"] = f"/v1/reports/{report.id}"
    return report


@router.get(
    "",
    dependencies=[READ],
    summary="List reports",
    responses=problems(),
)
async def list_reports(
    session: CurrentSession, caller: Caller, cursor: Cursor = None, limit: Limit = 50
) -> ReportList:
    """Lists reports, newest first."""
    return await reports.list_page(session, caller, cursor, limit)


@router.get(
    "/{report_id}.{fmt}",
    dependencies=[SEE_REPORT],
    summary="Download a report",
    response_class=Response,
    responses={
        **problems(404),
        200: {
            "description": "The report; every format has the same content.",
            "content": {
                kind: {"schema": {"type": "object"} if kind == MEDIA_TYPES["json"] else {}}
                for kind in MEDIA_TYPES.values()
            },
        },
    },
)
async def render_report(
    resources: ServerResources,
    caller: Caller,
    report_id: ReportId,
    fmt: Annotated[
        ReportFormat, Path(description="Format of the report: html, pdf, tex, md, csv or json.")
    ],
) -> Response:
    """HTML and PDF for reading, LaTeX and Markdown for papers, CSV and JSON for analysis."""
    async with resources.database.session_scope() as session:
        report = await reports.read(session, caller, report_id)
    rendered = await reports.render_report(report, fmt, resources.charts)
    headers = {
        "ETag": f'"{report.content_sha256}.{fmt}"',
        "Content-Disposition": f'inline; filename="{rendered.filename}"',
        "X-Content-Type-Options": "nosniff",
    }
    if fmt == "html":
        headers["Content-Security-Policy"] = HTML_POLICY
    return Response(rendered.content, media_type=rendered.media_type, headers=headers)


@router.get(
    "/{report_id}",
    dependencies=[SEE_REPORT],
    summary="Show a report",
    responses=problems(404),
)
async def get_report(session: CurrentSession, caller: Caller, report_id: ReportId) -> ReportRead:
    """The report with the data behind all its formats."""
    return await reports.read(session, caller, report_id)
