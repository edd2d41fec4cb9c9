"""Headlines of price tags that were issued by earlier versions."""

from __future__ import annotations

from app.db import Database
from app.repositories.price_tags import headlines

AT_ONCE = 200
"""Price tags of one transaction: half a second of work."""


async def fill_some(database: Database, limit: int = AT_ONCE) -> int:
    """Gives the newest price tags without a headline theirs, in a transaction of its own.

    Several servers may do so while the service runs; if interrupted, call it again.

    Returns:
        Number of these price tags; 0 if none is left.
    """
    async with database.session_scope() as session:
        return await headlines.fill(session, limit)
