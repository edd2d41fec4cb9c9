"""Alembic's environment: our tables by autogenerate, the queue engine's left alone."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine, pool, text

from app.db import resolve_database_url
from app.settings import get_settings
from models import Base

LOCK_TIMEOUT = "10s"  # a migration that waits longer would block the running service


def include_name(name: str | None, type_: str, parent_names: Any) -> bool:
    """Procrastinate's own migrations look after its tables."""
    return not (type_ == "table" and name is not None and name.startswith("procrastinate_"))


def run_with(connection: Connection) -> None:
    """Runs the migrations, each in a transaction of its own."""
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=include_name,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_migrations() -> None:
    if context.is_offline_mode():
        raise RuntimeError("migrations run against a database; offline SQL is not supported")
    caller_connection = context.config.attributes.get("connection")
    if caller_connection is not None:
        run_with(caller_connection)
        return
    url = context.config.attributes.get("url") or resolve_database_url(get_settings())
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        run_with(connection)
    engine.dispose()


run_migrations()
