"""The audit log: who changed what, when, from what to what."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.db import Session
from app.repositories.people import audit
from app.schemas.audit import AuditAction, AuditKind
from app.services.principals import Actor, DirectAccess, Principal
from models import AuditEntry

SERVICE = "service"
"""Name of the actor for changes without a token."""

DATABASE = "database"
"""Name of the actor for changes in the database itself, as its triggers write it."""

_SECRET = re.compile(r"secret|password", re.I)


class SecretInAuditLogError(ValueError):
    """A secret was about to be written to the log, from which nothing can be removed."""


async def record(
    session: Session,
    by: Actor | None,
    *,
    action: AuditAction,
    object_kind: AuditKind,
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
            "access": "token" if by.session_id is None else "session",
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
