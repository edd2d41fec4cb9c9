"""The connection to PostgreSQL: one engine per process, one transaction per request."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from sqlalchemy import Engine, event, make_url, text
from sqlalchemy.exc import DataError, IntegrityError, InvalidatePoolError, ProgrammingError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, PoolProxiedConnection

from app import embedded_postgres
from app.settings import Settings

logger = logging.getLogger(__name__)

Session = AsyncSession
"""The session that services receive; they never commit it."""

INVALID_DATA_ERRORS: tuple[type[Exception], ...] = (DataError, IntegrityError, ProgrammingError)
"""Errors for values that the database rejects, and would reject again."""

FRESH_S = 1.0
"""How long an unused connection is trusted, in s."""

USED_S = "pricetag used_s"

SERVER_OPTIONS = {
    "statement_timeout": "60s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "120s",
    "timezone": "UTC",
    "extra_float_digits": "1",
    "jit": "off",  # compiling a statement takes longer than any of ours
}


def sqlalchemy_url(url: str) -> str:
    """A ``postgresql://...`` URL in any spelling, in SQLAlchemy's form for psycopg 3."""
    parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def libpq_url(url: str) -> str:
    """The URL for psycopg itself, without a driver in the scheme."""
    return (
        make_url(sqlalchemy_url(url))
        .set(drivername="postgresql")
        .render_as_string(hide_password=False)
    )


def resolve_database_url(settings: Settings) -> str:
    """URL of the configured database, or else of the embedded one, which is started if needed.

    Blocks until PostgreSQL has started (under a second; several seconds on the first start).
    Call it in a thread from coroutines.
    """
    if settings.database_url is not None:
        return sqlalchemy_url(settings.database_url)
    return sqlalchemy_url(embedded_postgres.ensure(settings.data_dir))


async def keep_database_up(settings: Settings, *, interval_s: float = 1.0) -> None:
    """Restarts the embedded PostgreSQL whenever it is down; runs until canceled.

    Returns at once if a database is configured, which is not ours to operate.
    """
    if settings.database_url is not None:
        return
    while True:
        await asyncio.sleep(interval_s)
        if embedded_postgres.server_pid(settings.data_dir) is None:
            logger.warning("embedded PostgreSQL is down; restarting it")
            try:
                await asyncio.to_thread(embedded_postgres.ensure, settings.data_dir)
            except embedded_postgres.EmbeddedPostgresError:
                logger.exception("embedded PostgreSQL failed to start; trying again")


def connect_args(application_name: str) -> dict[str, Any]:
    """Arguments of every connection, which detect dead peers and limit statements."""
    options = " ".join(f"-c {name}={value}" for name, value in SERVER_OPTIONS.items())
    return {
        "application_name": application_name,
        "connect_timeout": 5,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        "options": options,
    }


def _ping_idle_connections(engine: Engine) -> None:
    """Tests a connection before it is used again, unless it was used a moment ago.

    SQLAlchemy's own pre-ping costs every request a round trip.
    """

    @event.listens_for(engine, "connect")
    @event.listens_for(engine, "checkin")
    def note_use(connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[USED_S] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ping(connection: Any, record: ConnectionPoolEntry, proxy: PoolProxiedConnection) -> None:
        if time.monotonic() - record.info.get(USED_S, -math.inf) < FRESH_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error


class Database:
    """Engine and sessions of one process.

    Args:
        url: PostgreSQL URL in any spelling.
        application_name: Shown in ``pg_stat_activity``.
        pool_size: Connections kept open; up to twice as many more under load.
    """

    def __init__(self, url: str, *, application_name: str = "pricetag", pool_size: int = 5) -> None:
        self.url = sqlalchemy_url(url)
        self.engine = create_async_engine(
            self.url,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=pool_size,
            max_overflow=2 * pool_size,
            pool_timeout=10,
            pool_recycle=1800,
            pool_use_lifo=True,  # those used last have their plans and caches warm
            connect_args=connect_args(application_name),
        )
        _ping_idle_connections(self.engine.sync_engine)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    @asynccontextmanager
    async def session_scope(self) -> AsyncIterator[Session]:
        """One unit of work: commits once at its end, rolls back on any exception."""
        async with self.sessions() as session, session.begin():
            yield session

    @asynccontextmanager
    async def snapshot_scope(self) -> AsyncIterator[Session]:
        """One unit of work that sees the database as it is at its first statement."""
        async with self.sessions() as session:
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session
            await session.commit()

    async def ping(self) -> None:
        """Raises if the database does not respond."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def dispose(self) -> None:
        await self.engine.dispose()


async def driver_connection(
    session: Session,
) -> psycopg.AsyncConnection[tuple[Any, ...]]:
    """The psycopg connection under a session, inside the session's own transaction."""
    connection: AsyncConnection = await session.connection()
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    if not isinstance(driver, psycopg.AsyncConnection):
        raise TypeError(f"expected a psycopg connection, got {type(driver).__name__}")
    return driver
