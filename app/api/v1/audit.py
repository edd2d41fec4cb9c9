"""The audit log: read, and nothing else."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Query

from app.api.access import AUDIT
from app.api.deps import Caller, CurrentSession, Cursor, Limit
from app.api.v1.responses import problems
from app.repositories.audit import AuditFilter
from app.schemas.audit import AuditPage
from app.schemas.common import Moment, Name
from app.services import audit

router = APIRouter(prefix="/audit", tags=["audit"])


@router.get(
    "",
    operation_id="listAudit",
    dependencies=[AUDIT],
    summary="Who changed what",
    responses=problems(403),
)
async def list_audit(
    session: CurrentSession,
    caller: Caller,
    object_kind: Annotated[Name | None, Query(description="Such as `budget`.")] = None,
    object_id: Annotated[Name | None, Query(description="Id of what was changed.")] = None,
    action: Annotated[Name | None, Query(description="Such as `created`.")] = None,
    actor: Annotated[Name | None, Query(description="Name of the user, or `service`.")] = None,
    token_id: Annotated[uuid.UUID | None, Query(description="Id of the token.")] = None,
    user_id: Annotated[uuid.UUID | None, Query(description="ID of the user.")] = None,
    access: Annotated[Name | None, Query(description="Such as `direct-database`.")] = None,
    since: Annotated[Moment | None, Query(description="From this time on.")] = None,
    until: Annotated[Moment | None, Query(description="Before this time.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AuditPage:
    """Changes of tokens, budgets, sites, factors and prices, the newest first. Entries are
    never edited and never deleted. Needs the role admin.
    """
    chosen = AuditFilter(
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
    return await audit.list_page(session, caller, chosen, cursor=cursor, limit=limit)
