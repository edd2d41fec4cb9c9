"""The audit log: who changed what, when, from what to what."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.db import Session
from app.repositories.people import audit
from app.repositories.people.audit import AuditFilter, Position
from app.repositories.people.names import names_of
from app.schemas.audit import AuditPage, AuditRead
from app.services import cursors
from app.services.principals import Actor, DirectAccess, Principal
from models import AuditEntry

SERVICE = "service"
"""Name of the actor for changes without a token."""

_SECRET = re.compile(r"secret|password", re.I)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class SecretInAuditLogError(ValueError):
    """A secret was about to be written to the log, from which nothing can be removed."""


async def record(
    session: Session,
    by: Actor | None,
    *,
    action: str,
    object_kind: str,
    object_id: object,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Records a change, in the transaction that makes it.

    Args:
        session: Committed by the caller, together with the change.
        by: Author of the change: a principal, a command with direct database access, or None
            for the service itself.
        action: ``created``, ``changed``, ``closed``, ``imported``, ``revoked``, ...
        object_kind: ``budget``, ``token``, ``factor``, ``price``, ``site``, ``run``, ...
        object_id: Id of the object; stored as text.
        before: Values before the change, without secrets; None for a new object.
        after: Values after the change, without secrets.

    Raises:
        SecretInAuditLogError: If a field of ``before`` or ``after`` has the name of a secret.
    """
    entry = AuditEntry(
        **_who(by),
        action=action,
        object_kind=object_kind,
        object_id=str(object_id),
        before=plain(before),
        after=plain(after),
    )
    await audit.add(session, entry)


def _who(by: Actor | None) -> dict[str, Any]:
    if isinstance(by, Principal):
        return {
            "user_id": by.user_id,
            "token_id": by.token_id,
            "actor": by.name,
            "access": "token",
        }
    if isinstance(by, DirectAccess):
        return {"actor": SERVICE, "access": "direct-database", "os_user": by.os_user}
    return {"actor": SERVICE, "access": "service"}


def plain(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The values in JSON form: money and ids as text, times as ISO 8601.

    Raises:
        SecretInAuditLogError: If a field has the name of a secret.
    """
    if values is None:
        return None
    for name in values:
        if _SECRET.search(name):
            raise SecretInAuditLogError(f"{name} must not be in the audit log")
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    return value


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
    """
    principal.require("admin", "read the audit log")
    before = await _position(session, cursor)
    rows = await audit.page(session, filters, before=before, limit=limit + 1)
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
