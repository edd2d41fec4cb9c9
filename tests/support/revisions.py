"""Moving a database between revisions of the schema."""

from __future__ import annotations

from alembic import command
from sqlalchemy import create_engine, pool

from app import migrate
from app.db import sqlalchemy_url


def downgrade(url: str, revision: str) -> None:
    """Takes the database back to a revision."""
    engine = create_engine(sqlalchemy_url(url), poolclass=pool.NullPool)
    with engine.connect() as connection:
        config = migrate.alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
        connection.commit()
    engine.dispose()
