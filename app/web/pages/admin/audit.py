"""The audit log: who changed what, and when."""

from __future__ import annotations

from typing import Annotated, ClassVar, get_args

from fastapi import Depends, Request, Response
from pydantic import Field

from app.api.access import AUDIT
from app.api.deps import Caller, CurrentSession
from app.schemas.audit import AuditAccess, AuditAction, AuditKind, AuditPage
from app.schemas.common import Moment, StoredName
from app.services.errors import InvalidError, NotFoundError
from app.services.people import audit_log
from app.web.asked import Asked, asking
from app.web.choices import Choices
from app.web.forms import Filled
from app.web.parameters import ListQuery
from app.web.rendering import page_router, render, section
from app.web.views.admin import audit as audit_views

router = page_router()


def _words(values: tuple[str, ...]) -> dict[str, str]:
    return {value: value.replace("_", " ") for value in values}


KINDS, ACTIONS, MEANS = (_words(get_args(each)) for each in (AuditKind, AuditAction, AuditAccess))


class AuditQuery(ListQuery):
    """The filters of the API."""

    choices: ClassVar[Choices] = {"object_kind": KINDS, "action": ACTIONS, "access": MEANS}
    actor: Filled[StoredName] = Field(None, title="Who")
    object_kind: Filled[AuditKind] = Field(None, title="What")
    object_id: Filled[StoredName] = Field(None, title="ID")
    action: Filled[AuditAction] = Field(None, title="Action")
    access: Filled[AuditAccess] = Field(None, title="Access")
    since: Filled[Moment] = Field(None, title="From")
    until: Filled[Moment] = Field(None, title="Before")


AskedAudit = Annotated[Asked[AuditQuery], Depends(asking(AuditQuery))]


@router.get("/admin/audit", dependencies=[AUDIT], openapi_extra=section("show_admin"))
async def show_audit(
    request: Request, session: CurrentSession, caller: Caller, asked: AskedAudit
) -> Response:
    """A page of the log, newest first."""
    query, page = asked.query, AuditPage(items=[], next_cursor=None)
    filters = audit_log.AuditFilter(**query.model_dump(exclude={"cursor", "limit"}))
    try:
        page = await audit_log.list_page(
            session, caller, filters, cursor=query.cursor, limit=query.limit
        )
    except (InvalidError, NotFoundError) as error:
        asked = asked.rejected(error)
    typed = {name: value for name, value in request.query_params.items() if value}
    return render(
        request,
        "admin/audit.html",
        status=asked.status,
        tab="show_audit",
        form=asked.form,
        rows=audit_views.rows(page.items),
        next_cursor=page.next_cursor,
        limit=query.limit,
        filters={name: value for name, value in typed.items() if name not in ("cursor", "limit")},
        kinds=[("", "everything"), *KINDS.items()],
        actions=[("", "all"), *ACTIONS.items()],
        means=[("", "all"), *MEANS.items()],
    )
