"""The audit log: who changed what, and when."""

from __future__ import annotations

from typing import Annotated, get_args

from fastapi import Query, Request, Response

from app.api.access import AUDIT
from app.api.deps import Caller, CurrentSession, Cursor, Limit
from app.schemas.audit import AuditAccess, AuditAction, AuditKind, AuditPage
from app.schemas.common import Moment, StoredName
from app.services import audit_log
from app.services.errors import NotFoundError
from app.web.forms import Filled
from app.web.rendering import page_router, render, section
from app.web.views.admin import audit as audit_views

router = page_router()
Text = Annotated[Filled[StoredName], Query()]
Time = Annotated[Filled[Moment], Query()]


@router.get("/admin/audit", dependencies=[AUDIT], openapi_extra=section("show_admin"))
async def show_audit(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    actor: Text = None,
    object_kind: Annotated[Filled[AuditKind], Query()] = None,
    object_id: Text = None,
    action: Annotated[Filled[AuditAction], Query()] = None,
    access: Annotated[Filled[AuditAccess], Query()] = None,
    since: Time = None,
    until: Time = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """A page of the log, newest first, with the filters of the API."""
    filters = audit_log.AuditFilter(
        object_kind=object_kind,
        object_id=object_id,
        action=action,
        actor=actor,
        access=access,
        since=since,
        until=until,
    )
    try:
        page = await audit_log.list_page(session, caller, filters, cursor=cursor, limit=limit)
        problem = None
    except NotFoundError as error:
        page, problem = AuditPage(items=[], next_cursor=None), error.message
    typed = {name: value for name, value in request.query_params.items() if value}
    return render(
        request,
        "admin/audit.html",
        status=200 if problem is None else 404,
        tab="show_audit",
        problem=problem,
        rows=audit_views.rows(page.items),
        next_cursor=page.next_cursor,
        limit=limit,
        filters={name: value for name, value in typed.items() if name not in ("cursor", "limit")},
        kinds=get_args(AuditKind),
        actions=get_args(AuditAction),
        means=get_args(AuditAccess),
    )
