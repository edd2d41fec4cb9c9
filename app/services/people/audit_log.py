"""Pages of the audit log, newest first."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

from app.db import Session
from app.repositories.people import audit, similar_names, tokens, users
from app.repositories.people.audit import AuditFilter, Position
from app.repositories.people.names import names_of
from app.schemas.audit import AuditPage, AuditRead
from app.services import cursors
from app.services.errors import NotFoundError
from app.services.people.audit import DATABASE, SERVICE
from app.services.people.tokens import TokenNotFoundError
from app.services.people.users import UserNotFoundError
from app.services.principals import Principal
from app.services.similarity import did_you_mean, similar

__all__ = ["AuditFilter", "AuditedObjectNotFoundError", "list_page"]

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class AuditedObjectNotFoundError(NotFoundError):
    """No object has this ID, and no entry is about one that had it."""

    code = "object-not-found"


async def list_page(
    session: Session,
    principal: Principal,
    filters: AuditFilter,
    *,
    cursor: str | None,
    limit: int,
) -> AuditPage:
    """A page of the log, newest first.

    Raises:
        RoleRequiredError: If the caller is not an admin.
        CursorError: If the cursor does not belong to this list.
        NotFoundError: If the page is empty because the actor, user, token or object of the
            filters does not exist.
    """
    principal.require("admin", "read the audit log")
    before = await _position(session, cursor)
    rows = await audit.page(session, filters, before=before, limit=limit + 1)
    if not rows and cursor is None:
        await _require_filters(session, filters)
    shown, following = cursors.page(rows, limit, lambda row: ("audit", str(row.id)))
    items = [AuditRead.model_validate(row) for row in shown]
    mentioned = {item.id: set(_ids_in(item)) for item in items}
    names = await names_of(session, set().union(*mentioned.values()))
    for item in items:
        item.names = {str(id_): names[id_] for id_ in mentioned[item.id] if id_ in names}
    return AuditPage(items=items, next_cursor=following)


def _ids_in(entry: AuditRead) -> Iterator[uuid.UUID]:
    """IDs of the object and of others that its values name."""
    values = [*(entry.before or {}).values(), *(entry.after or {}).values()]
    for text in (*entry.object_id.split("/"), *values):
        if isinstance(text, str) and _ID.fullmatch(text):
            yield uuid.UUID(text)


async def _position(session: Session, cursor: str | None) -> Position | None:
    if cursor is None:
        return None
    list_name, text = map(str, cursors.decode(cursor, str, str))
    if list_name != "audit" or not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise cursors.invalid("cursor")
    position = await audit.position_of(session, int(text))
    if position is None:
        raise cursors.invalid("cursor")
    return position


async def _require_filters(session: Session, filters: AuditFilter) -> None:
    """Requires that whatever the filters name exists or existed, so that a typo is an error."""
    if filters.actor is not None and not await audit.has_entry(session, actor=filters.actor):
        names = {*await similar_names.of_users(session), SERVICE, DATABASE}
        if filters.actor not in names:
            raise UserNotFoundError(
                f"User '{filters.actor}' not found{did_you_mean(similar(filters.actor, names))}",
                field="actor",
            )
    if filters.user_id is not None and await users.get(session, filters.user_id) is None:
        raise UserNotFoundError(f"User {filters.user_id} not found.", field="user_id")
    if filters.token_id is not None and await tokens.get(session, filters.token_id) is None:
        raise TokenNotFoundError(f"Token {filters.token_id} not found.", field="token_id")
    if filters.object_id is not None:
        await _require_object(session, filters.object_id)


async def _require_object(session: Session, object_id: str) -> None:
    if await audit.has_entry(session, object_id=object_id):
        return
    if _ID.fullmatch(object_id) and await names_of(session, [uuid.UUID(object_id)]):
        return
    raise AuditedObjectNotFoundError(
        f"Object '{object_id}' not found: nothing has this ID. The audit log names sites by name, "
        "members by PROJECT_ID/USER_ID and everything else by ID.",
        field="object_id",
    )
