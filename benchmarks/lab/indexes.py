"""Indexes of the large tables: dropped before a fill, made again after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import psycopg

from app.db import libpq_url

KEPT_FOR = ("runs", "attempts")
"""Their primary keys hold up the foreign keys of all others."""

LISTED = """
SELECT i.indrelid::regclass::text, x.relname, pg_get_indexdef(i.indexrelid), k.conname,
    pg_get_constraintdef(k.oid)
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_class AS t ON t.oid = i.indrelid
LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
WHERE t.relnamespace = 'public'::regnamespace AND t.relname = ANY(%s)
    AND t.relkind = 'r' AND NOT t.relispartition
    AND NOT EXISTS (SELECT FROM pg_constraint AS f
        WHERE f.confrelid = i.indrelid AND f.conindid = i.indexrelid AND f.contype = 'f')
ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Index:
    """An index that is to be made again.

    Attributes:
        make: The statement that makes it.
        drop: The statement that drops it.
    """

    table: str
    name: str
    make: str
    drop: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def droppable(connection: psycopg.Connection[Any], tables: Sequence[str]) -> list[Index]:
    """The indexes of some tables on which no foreign key rests.

    Those of partitioned tables stay: they belong to their partitions as well.
    """
    listed = []
    for table, name, definition, constraint, body in connection.execute(LISTED, [list(tables)]):
        if constraint is None:
            make, drop = definition, f'DROP INDEX IF EXISTS "{name}"'
        else:
            make = f'ALTER TABLE {table} ADD CONSTRAINT "{constraint}" {body}'
            drop = f'ALTER TABLE {table} DROP CONSTRAINT IF EXISTS "{constraint}"'
        listed.append(Index(table, name, make, drop))
    return listed


def drop(connection: psycopg.Connection[Any], indexes: Sequence[Index]) -> None:
    """Drops them; those that are gone already are passed over."""
    for index in indexes:
        connection.execute(index.drop.encode())


def make_again(url: str, indexes: Sequence[Index], jobs: int) -> Iterator[str]:
    """Makes the missing ones, some at a time; gives the name of each as it is there."""
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        present = {row[0] for row in connection.execute("SELECT indexname FROM pg_indexes")}
    missing = [index for index in indexes if index.name not in present]
    # Two indexes of one table can be made at once; a constraint locks its table.
    with ThreadPoolExecutor(jobs) as threads:
        yield from threads.map(lambda index: _make(url, index), missing)


def _make(url: str, index: Index) -> str:
    options = "-c maintenance_work_mem=512MB -c max_parallel_maintenance_workers=2"
    with psycopg.connect(libpq_url(url), autocommit=True, options=options) as connection:
        connection.execute(index.make.encode())
    return index.name
