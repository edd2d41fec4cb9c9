"""Readiness of the server."""

from __future__ import annotations

from functools import cache

from alembic.script import ScriptDirectory

from app.db import Session
from app.migrate import alembic_config
from app.repositories.runs.runs import migration_revision
from app.services.errors import PricetagError


class NotMigratedError(PricetagError):
    """The database's schema does not match this version of the server."""

    code = "not-migrated"
    status = 503


@cache
def head_revision() -> str:
    """The latest migration of this version of the server."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if head is None:
        raise RuntimeError("the migrations folder has no migrations")
    return head


async def check(session: Session) -> str:
    """The migration revision of the database.

    Raises:
        NotMigratedError: If it is not the latest.
    """
    revision = await migration_revision(session)
    if revision != head_revision():
        state = f"is at migration {revision}" if revision else "has no tables yet"
        raise NotMigratedError(
            f"The database {state}; this version needs migration {head_revision()}: run "
            "`pricetag migrate`."
        )
    return revision
