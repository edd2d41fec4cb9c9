"""SQL of idempotency keys."""

from __future__ import annotations

import uuid

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def lock_key(session: AsyncSession, user_id: uuid.UUID, key: str) -> None:
    """Waits for a concurrent request with the same idempotency key."""
    query = text("SELECT pg_advisory_xact_lock(hashtextextended(:text, 0))")
    await session.execute(query, {"text": f"key {user_id} {key}"})
