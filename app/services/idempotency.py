"""Posting a description once, however often it is sent with the same Idempotency-Key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from app.db import Session
from app.repositories import idempotency
from app.services.errors import ConflictError
from app.services.principals import Principal


class KeyReusedError(ConflictError):
    """The Idempotency-Key was used for another body."""

    code = "idempotency-key-reused"


class Posted(Protocol):
    """What an earlier request stored."""

    @property
    def body_sha256(self) -> str | None:
        """Hash of its body."""
        ...


Stored = TypeVar("Stored", bound=Posted)


def body_sha256(body: object) -> str:
    """Hash of the body, independent of format, spacing and order of keys."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


async def earlier(
    session: Session,
    principal: Principal,
    key: str | None,
    digest: str,
    noun: str,
    find: Callable[[], Awaitable[Stored | None]],
) -> Stored | None:
    """What the principal posted earlier with a key; requests with it follow one another.

    Args:
        session: Database session; another request with the key waits until it ends.
        principal: The caller.
        key: Idempotency key; None without one.
        digest: Hash of the body.
        noun: What is posted, e.g. `study`.
        find: Finds what has the key.

    Raises:
        KeyReusedError: If the key was used for another body.
    """
    if key is None:
        return None
    await idempotency.lock_key(session, principal.user_id, key)
    stored = await find()
    return None if stored is None else same_body(stored, digest, noun)


def same_body(stored: Stored | None, digest: str, noun: str) -> Stored:
    """What was stored with a key, which must have been posted with the same body.

    Raises:
        KeyReusedError: If the key was used for another body.
    """
    if stored is None or stored.body_sha256 != digest:
        raise KeyReusedError(
            f"This Idempotency-Key was used for another body; use a new key for a new {noun}.",
            field="Idempotency-Key",
        )
    return stored
