"""The audit log, read-only."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Query

from app.api.access import AUDIT
from app.api.branches import Branch
from app.api.deps import Caller, CurrentSession, Cursor, Limit
from app.api.v1.responses import problems
from app.repositories.people.audit import AuditFilter
from app.schemas.audit import AuditAccess, AuditAction, AuditKind, AuditPage
from app.schemas.common import Moment, StoredName
from app.services.people import audit_log

router = Branch(prefix="/audit", tags=["audit"])


@router.get(
    "",
    dependencies=[AUDIT],
    summary="List the audit log",
    responses=problems(403, 404),
)
async def list_audit(
    session: CurrentSession,
    caller: Caller,
    object_kind: Annotated[
        AuditKind | None, Query(description="Kind of the changed object, e.g. `budget`.")
    ] = None,
    object_id: Annotated[StoredName | None, Query(description="ID of the changed object.")] = None,
    action: Annotated[AuditAction | None, Query(description="Action, e.g. `created`.")] = None,
    actor: Annotated[
        StoredName | None, Query(description="Name of the user, `service` or `database`.")
    ] = None,
    token_id: Annotated[uuid.UUID | None, Query(description="ID of the token.")] = None,
    user_id: Annotated[uuid.UUID | None, Query(description="ID of the user.")] = None,
    access: Annotated[
        AuditAccess | None, Query(description="Kind of access, e.g. `direct-database`.")
    ] = None,
    since: Annotated[
        Moment | None, Query(description="Only entries at or after this time.")
    ] = None,
    until: Annotated[Moment | None, Query(description="Only entries before this time.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AuditPage:
    """Lists changes of tokens, budgets, sites, factors and prices, newest first. Entries are
    never edited or deleted. An actor, user, token or object that does not exist is a 404.
    Requires the role admin.
    """
    filters = AuditFilter(
        object_kind=object_kind,
        object_id=object_id,
        action=action,
        actor=actor,
        token_id=token_id,
        user_id=user_id,
        access=access,
        since=since,
        until=until,
    )
    return await audit_log.list_page(session, caller, filters, cursor=cursor, limit=limit)
