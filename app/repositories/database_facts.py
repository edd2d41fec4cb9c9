"""SQL that asks the database about itself."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_FACTS = text("""
    SELECT current_setting('server_version') AS version,
      pg_database_size(current_database()) AS size_bytes,
      (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS connections,
      CAST(current_setting('max_connections') AS int) AS max_connections
""")


async def facts(session: AsyncSession) -> Any:
    """A row of version, size_bytes, connections and max_connections."""
    return (await session.execute(_FACTS)).one()
