"""What the database needs on disk: by table and index, and for each run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

# Partitions count as their table.
TABLES = """
SELECT coalesce(parent.relname, c.relname) AS name,
    sum(pg_relation_size(c.oid)) AS heap_bytes,
    sum(coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0)) AS toast_bytes,
    sum(pg_indexes_size(c.oid)) AS index_bytes,
    sum(greatest(c.reltuples, 0))::bigint AS rows
FROM pg_class AS c
LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
LEFT JOIN pg_class AS parent ON parent.oid = i.inhparent
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
GROUP BY 1 ORDER BY sum(pg_total_relation_size(c.oid)) DESC
"""
INDEXES = """
SELECT t.relname AS name, x.relname AS index, pg_relation_size(x.oid) AS index_bytes
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid JOIN pg_class AS t ON t.oid = i.indrelid
WHERE t.relnamespace = 'public'::regnamespace AND pg_relation_size(x.oid) > 0
ORDER BY 3 DESC
"""


@dataclass(frozen=True)
class TableSize:
    """Bytes of a table: rows, rows kept outside the page, indexes."""

    name: str
    heap_bytes: int
    toast_bytes: int
    index_bytes: int
    rows: int

    @property
    def total_bytes(self) -> int:
        return self.heap_bytes + self.toast_bytes + self.index_bytes


def table_sizes(connection: psycopg.Connection[Any]) -> list[TableSize]:
    """The tables, largest first."""
    rows = connection.execute(TABLES.encode()).fetchall()
    return [TableSize(row[0], *(int(figure) for figure in row[1:])) for row in rows]


def report(connection: psycopg.Connection[Any], *, indexes: bool) -> str:
    """A table for the terminal."""
    counted = connection.execute("SELECT count(*) FROM runs").fetchone()
    runs = max(1, counted[0] if counted else 0)
    sizes = table_sizes(connection)
    head = f"{'table':<28}{'rows':>12}{'heap MB':>10}{'toast MB':>10}{'index MB':>10}{'B/run':>9}"
    lines = [head]
    for size in sizes:
        if size.total_bytes >= 1_000_000 or size is sizes[0]:
            lines.append(_line(size.name, size, runs))
    whole = TableSize(
        "all",
        sum(size.heap_bytes for size in sizes),
        sum(size.toast_bytes for size in sizes),
        sum(size.index_bytes for size in sizes),
        runs,
    )
    lines.append(_line(f"all, {runs:,} runs", whole, runs))
    if indexes:
        lines.append("")
        for table, index, index_bytes in connection.execute(INDEXES.encode()):
            if index_bytes >= 1_000_000:
                lines.append(f"{table:<28}{index:<44}{index_bytes / 1e6:>10.1f} MB")
    return "\n".join(lines)


def _line(name: str, size: TableSize, runs: int) -> str:
    return (
        f"{name:<28}{size.rows:>12,}{size.heap_bytes / 1e6:>10.1f}{size.toast_bytes / 1e6:>10.1f}"
        f"{size.index_bytes / 1e6:>10.1f}{size.total_bytes / runs:>9.0f}"
    )
