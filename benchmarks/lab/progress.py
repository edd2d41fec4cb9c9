"""What a fill has done, kept in the database: an interrupted fill continues where it was."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.types.json import Jsonb

PREPARE = """
CREATE SCHEMA IF NOT EXISTS lab;
CREATE TABLE IF NOT EXISTS lab.progress (step text PRIMARY KEY, note jsonb);
CREATE TABLE IF NOT EXISTS lab.kept (name text PRIMARY KEY, content bytea)
"""


class Progress:
    """The steps that are done.

    Args:
        connection: Commits each statement.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        connection.execute(PREPARE.encode())

    def note(self, step: str) -> Any:
        """What was noted with a step; None if it is not done."""
        query = "SELECT note FROM lab.progress WHERE step = %s"
        row = self._connection.execute(query, [step]).fetchone()
        return None if row is None else row[0]

    def done(self) -> set[str]:
        """The names of all steps that are done."""
        return {row[0] for row in self._connection.execute("SELECT step FROM lab.progress")}

    def mark(self, step: str, note: Any = True) -> None:
        """Notes that a step is done."""
        mark_done(self._connection, step, note)

    def keep(self, name: str, content: bytes) -> None:
        """Keeps bytes under a name."""
        query = "INSERT INTO lab.kept VALUES (%s, %s) ON CONFLICT (name) DO NOTHING"
        self._connection.execute(query, [name, content])

    def kept(self, name: str) -> bytes | None:
        """The bytes under a name; None where there are none."""
        query = "SELECT content FROM lab.kept WHERE name = %s"
        row = self._connection.execute(query, [name]).fetchone()
        return None if row is None else bytes(row[0])


def mark_done(connection: psycopg.Connection[Any], step: str, note: Any = True) -> None:
    """Notes that a step is done, in the connection's own transaction."""
    query = "INSERT INTO lab.progress VALUES (%s, %s) ON CONFLICT (step) DO NOTHING"
    connection.execute(query, [step, Jsonb(note)])
