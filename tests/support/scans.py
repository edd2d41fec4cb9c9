"""Plans that read a large table from beginning to end, if it had the rows of a million runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.support.plans import Plan

FULL_SIZE = 1_000_000
CONSTANT = frozenset({"carbon_hours", "users", "tokens", "experiments", "project_members"})
"""Tables that are as large in a lab with a hundred runs as in one with a million."""

OF_WHAT_IS_OPEN = frozenset({"ix_attempts_open"})
"""Indexes with the rows of what is under way alone: all of one may be read.

That of open attempts is partial (``WHERE ended_at IS NULL``): it has an entry for each attempt that
runs now, of which there are never more than the devices can run, however many runs there were. The
planner takes it for as large as the table, since its statistics here are enlarged like those of
the others; and to read all open attempts is what the overview, budgets and the queue need.
"""

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
# In a small sample every id is a common value; without them the planner takes each for rare.
IDS = """
SELECT a.attname, s.null_frac, s.n_distinct
FROM pg_attribute AS a
JOIN pg_stats AS s ON s.schemaname = 'public' AND s.tablename = %(name)s AND s.attname = a.attname
WHERE a.attrelid = %(name)s::regclass AND a.attname IN ('id', 'run_id', 'attempt_id')
    AND a.atttypid = 'uuid'::regtype
"""
RARE = """
SELECT pg_clear_attribute_stats('public', %(name)s, %(column)s, false),
    pg_restore_attribute_stats('schemaname', 'public', 'relname', %(name)s::text,
        'attname', %(column)s::text, 'inherited', false, 'null_frac', %(nulls)s::real,
        'avg_width', 16, 'n_distinct', %(distinct)s::real)
"""
INDEXES = """
SELECT x.relname, x.reltuples FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
WHERE i.indrelid = %s
"""


def enlarge(connection: psycopg.Connection[Any], runs: int) -> dict[str, str]:
    """Makes the planner assume a million runs in every table that grows with the runs.

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
        _make_ids_rare(connection, name, tuples)
    return large


def _make_ids_rare(connection: psycopg.Connection[Any], table: str, tuples: float) -> None:
    for column, nulls, distinct in connection.execute(IDS, {"name": table}).fetchall():
        ratio = distinct if distinct < 0 else -min(1.0, distinct / max(tuples, 1.0))
        values = {"name": table, "column": column, "nulls": nulls, "distinct": ratio}
        connection.execute(RARE, values)


@dataclass(frozen=True)
class WholeRead:
    """A large table that a statement would read from beginning to end."""

    table: str
    node: str
    statement: str

    def __str__(self) -> str:
        return f"{self.node} of {self.table}: {' '.join(self.statement.split())[:400]}"


def whole_reads(plans: Sequence[Plan], large: Mapping[str, str]) -> list[WholeRead]:
    """What the plans read of large tables without an index, or all of one by it."""
    return [
        WholeRead(large[table], node, plan.statement)
        for plan in plans
        for table, node in _scans(plan.tree, large, limited=False)
    ]


def _scans(
    node: Mapping[str, Any], large: Mapping[str, str], *, limited: bool
) -> Iterator[tuple[str, str]]:
    kind = str(node["Node Type"])
    table = str(node.get("Relation Name", ""))
    by_index = kind in {"Index Scan", "Index Only Scan"} and "Index Cond" not in node
    by_index = by_index and node.get("Index Name") not in OF_WHAT_IS_OPEN
    if table in large and (kind == "Seq Scan" or (by_index and not limited)):
        yield table, kind
    # What sorts, sums or hashes has read all of its input before a limit can end it.
    ends = kind in {"Sort", "Aggregate", "Hash", "HashAggregate", "WindowAgg", "Materialize"}
    below = (limited or kind == "Limit") and not ends
    for child in node.get("Plans", ()):
        yield from _scans(child, large, limited=below)
