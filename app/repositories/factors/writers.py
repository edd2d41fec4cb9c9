"""Serializes writers of books whose valid entries depend on the existing ones."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

LOCKS = {"prices": 7_341_001, "sites": 7_341_002, "carbon series": 7_341_003}


async def one_at_a_time(
    session: AsyncSession, book: Literal["prices", "sites", "carbon series"]
) -> None:
    """Waits until no other transaction writes to the book, and locks it until this one ends."""
    await session.execute(select(func.pg_advisory_xact_lock(LOCKS[book])))
