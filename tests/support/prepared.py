"""A data folder that a server starts from at once: its database is migrated, its token made.

It is prepared once for all test processes of a session; each service has a copy.
"""

from __future__ import annotations

import asyncio
import fcntl
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from app import embedded_postgres, migrate
from app.db import Database
from app.schemas.tokens import TokenCreate
from app.services.people import tokens


@dataclass(frozen=True, slots=True)
class Prepared:
    """The folder to copy from, and the secret of its administrator."""

    data_dir: Path
    secret: str

    def copy_to(self, data_dir: Path) -> None:
        """Gives an empty data folder the database. Files keep their owner, PostgreSQL's user."""
        subprocess.run(["cp", "-a", str(self.data_dir / "postgres"), str(data_dir)], check=True)


def prepared(folder: Path, server_options: Mapping[str, str]) -> Prepared:
    """A shared folder of the session, made by the first test process that asks for it.

    Args:
        folder: Where it is kept.
        server_options: PostgreSQL settings of every copy.
    """
    folder.mkdir(exist_ok=True)
    secret = folder / "secret"
    with (folder / "prepared.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not secret.exists():
            secret.write_text(_prepare(folder / "data", server_options))
    return Prepared(folder / "data", secret.read_text())


def _prepare(data_dir: Path, server_options: Mapping[str, str]) -> str:
    url = embedded_postgres.ensure(data_dir, server_options=server_options)
    try:
        migrate.upgrade(url)
        with psycopg.connect(url, autocommit=True) as admin:
            for name, value in server_options.items():
                admin.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
        return asyncio.run(_administrator(url))
    finally:
        embedded_postgres.release(data_dir)


async def _administrator(url: str) -> str:
    database = Database(url)
    try:
        async with database.session_scope() as session:
            return (await tokens.create(session, TokenCreate(name="test", role="admin"))).secret
    finally:
        await database.dispose()
