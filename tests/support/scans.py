"""How PostgreSQL would carry out what the server sends, if the tables had a million runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import event

from app.db import Database

FULL_SIZE = 1_000_000
CONSTANT = frozenset({"carbon_hours", "users", "tokens", "experiments", "project_members"})
"""Tables that are as large in a lab with a hundred runs as in one with a million."""

GROWING = """
SELECT c.oid, c.relname, coalesce(p.relname, c.relname) AS whole, c.reltuples, c.relpages
FROM pg_class AS c
LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
LEFT JOIN pg_class AS p ON p.oid = i.inhparent
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
"""
RESTORE = """
SELECT pg_restore_relation_stats('schemaname', 'public', 'relname', %(name)s::text,
    'relpages', greatest(1, pg_relation_size(%(name)s::regclass) / 8192)::integer,
    'reltuples', %(tuples)s::real)
"""
INDEXES = """
SELECT x.relname, x.reltuples FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
WHERE i.indrelid = %s
"""

Statement = tuple[str, Any]


@contextmanager
def recorded(database: Database) -> Iterator[list[Statement]]:
    """The statements that the database gets within the block."""
    statements: list[Statement] = []

    def note(
        connection: object, cursor: object, statement: str, parameters: Any, *more: object
    ) -> None:
        statements.append((statement, parameters))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


def enlarge(connection: psycopg.Connection[Any], runs: int) -> dict[str, str]:
    """Tells the planner that every table which grows with the runs is that of a million.

    Args:
        connection: Commits each statement.
        runs: Number of runs that the database has.

    Returns:
        The large tables and their partitions, each with the name of the whole table.
    """
    large: dict[str, str] = {}
    factor = FULL_SIZE / runs
    rows = connection.execute(GROWING.encode()).fetchall()
    sums: dict[str, float] = {}
    for _, _, whole, tuples, _ in rows:
        sums[whole] = sums.get(whole, 0.0) + max(tuples, 0.0)
    for oid, name, whole, tuples, _ in rows:
        if whole in CONSTANT or sums[whole] < runs / 2:
            continue
        large[name] = whole
        resize = [(name, tuples), *connection.execute(INDEXES, [oid]).fetchall()]
        for relation, present in resize:
            values = {"name": relation, "tuples": max(present, 0.0) * factor}
            connection.execute(RESTORE, values)
    return large


@dataclass(frozen=True)
class WholeRead:
    """A large table that a statement would read from beginning to end."""

    table: str
    node: str
    statement: str

    def __str__(self) -> str:
        return f"{self.node} of {self.table}: {' '.join(self.statement.split())[:400]}"


def whole_reads(
    connection: psycopg.Connection[Any], statements: Sequence[Statement], large: Mapping[str, str]
) -> list[WholeRead]:
    """What the statements would read of large tables without an index, or all of one by it."""
    found = []
    cursor = psycopg.ClientCursor(connection)
    for statement, parameters in statements:
        if not statement.lstrip().upper().startswith(("SELECT", "WITH")):
            continue
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}".encode(), parameters)
        row = cursor.fetchone()
        assert row is not None
        plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
        for table, node in _scans(plan[0]["Plan"], large, limited=False):
            found.append(WholeRead(large[table], node, statement))
    return found


def _scans(
    node: Mapping[str, Any], large: Mapping[str, str], *, limited: bool
) -> Iterator[tuple[str, str]]:
    kind = str(node["Node Type"])
    table = str(node.get("Relation Name", ""))
    by_index = kind in {"Index Scan", "Index Only Scan"} and "Index Cond" not in node
    if table in large and (kind == "Seq Scan" or (by_index and not limited)):
        yield table, kind
    # What sorts, sums or hashes has read all of its input before a limit can end it.
    ends = kind in {"Sort", "Aggregate", "Hash", "HashAggregate", "WindowAgg", "Materialize"}
    below = (limited or kind == "Limit") and not ends
    for child in node.get("Plans", ()):
        yield from _scans(child, large, limited=below)
