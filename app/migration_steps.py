"""Steps of migrations that take long: in pieces, so that they can be interrupted and continue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import op
from sqlalchemy import text

_INVALID = text(
    "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid"
)


@contextmanager
def committed_at_once() -> Iterator[None]:
    """Within it every statement is its own transaction.

    A revision that is interrupted there runs again from its beginning, so its steps have to
    accept what is done already.
    """
    with op.get_context().autocommit_block():
        yield


def create_index(name: str, definition: str) -> None:
    """Builds an index while the table is written to; one that is there stays.

    Args:
        name: Of the index. One that an interrupted build has left unfinished is built again.
        definition: What follows ``ON``: ``runs (name, id)``.
    """
    connection = op.get_bind()
    if connection.execute(_INVALID, {"name": name}).scalar_one():
        op.execute(f"DROP INDEX CONCURRENTLY {name}")
    op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {definition}")


def drop_index(name: str) -> None:
    """Drops an index, if it is there, while the table is used."""
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
