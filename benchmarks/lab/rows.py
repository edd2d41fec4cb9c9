"""Every table with rows of a run or an attempt, whatever the schema is, read as text."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

RUNS = "runs"
QUEUE = "procrastinate_jobs"

COLUMNS = """
SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum),
    array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attidentity = ''
        AND a.attgenerated = ''
        AND coalesce(pg_get_expr(d.adbin, d.adrelid), '') NOT LIKE 'nextval%'),
    (SELECT array_agg(k.attname::text ORDER BY array_position(i.indkey::int2[], k.attnum))
     FROM pg_index AS i JOIN pg_attribute AS k ON k.attrelid = i.indrelid
        AND k.attnum = ANY(i.indkey::int2[])
     WHERE i.indrelid = c.oid AND i.indisprimary),
    array_agg(a.attname::text) FILTER (WHERE a.atttypid = 'uuid'::regtype)
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    AND NOT c.relispartition
GROUP BY c.oid, c.relname ORDER BY c.relname
"""


@dataclass(frozen=True)
class Repeated:
    """A table with rows of every run.

    Attributes:
        columns: What COPY fills; numbers that the table gives itself are not among them.
        key: Column that names the run or the attempt.
        order: Columns of the primary key.
        own_ids: Places among ``columns`` of ids that no other table gives it.
    """

    name: str
    columns: tuple[str, ...]
    key: str
    order: tuple[str, ...]
    own_ids: tuple[int, ...]

    @property
    def copy_in(self) -> sql.Composed:
        """The statement that fills it."""
        return sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(self.name), sql.SQL(", ").join(map(sql.Identifier, self.columns))
        )

    def copy_out(self, run_ids: Sequence[uuid.UUID]) -> sql.Composed:
        """The statement that gives its rows of some runs, each after the run's id."""
        wanted = sql.SQL("ANY({})").format(sql.Literal(list(run_ids)))
        columns = sql.SQL(", ").join(
            sql.SQL("t.{}").format(sql.Identifier(c)) for c in self.columns
        )
        order = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(c)) for c in self.order)
        run, join = _run_of(self.key)
        return sql.SQL(
            "COPY (SELECT {run}, {columns} FROM {table} AS t {join} WHERE {run} = {wanted}"
            " ORDER BY {run}, {order}) TO STDOUT"
        ).format(
            run=run,
            columns=columns,
            table=sql.Identifier(self.name),
            join=join,
            wanted=wanted,
            order=order,
        )


def _run_of(key: str) -> tuple[sql.SQL, sql.SQL]:
    if key == "attempt_id":
        return sql.SQL("a.run_id"), sql.SQL("JOIN attempts AS a ON a.id = t.attempt_id")
    if key == "args":
        return sql.SQL("(t.args ->> 'run_id')::uuid"), sql.SQL("")
    return (sql.SQL("t.id") if key == "id" else sql.SQL("t.run_id")), sql.SQL("")


async def repeated_tables(connection: psycopg.AsyncConnection[Any]) -> list[Repeated]:
    """The tables that have rows of a run or an attempt."""
    repeated = []
    for name, every, columns, order, uuids in await (await connection.execute(COLUMNS)).fetchall():
        key = _key_of(name, every)
        if key is None:
            continue
        foreign = {"run_id", "attempt_id"} if name != RUNS else {"id"}
        own = (set(order or ()) & set(uuids or ())) - foreign
        places = tuple(place for place, column in enumerate(columns) if column in own)
        repeated.append(Repeated(name, tuple(columns), key, tuple(order or columns[:1]), places))
    return repeated


def _key_of(table: str, columns: Sequence[str]) -> str | None:
    if table == RUNS:
        return "id"
    if table == QUEUE:
        return "args"
    if "attempt_id" in columns:
        return "attempt_id"
    return "run_id" if "run_id" in columns else None


async def read_rows(
    connection: psycopg.AsyncConnection[Any], table: Repeated, run_ids: Sequence[uuid.UUID]
) -> Mapping[uuid.UUID, list[str]]:
    """The lines of COPY by run."""
    lines: dict[uuid.UUID, list[str]] = defaultdict(list)
    buffer = bytearray()
    async with connection.cursor().copy(table.copy_out(run_ids)) as copy:
        async for chunk in copy:
            buffer += chunk
    for line in filter(None, buffer.decode().split("\n")):
        run_id, _, row = line.partition("\t")
        lines[uuid.UUID(run_id)].append(row)
    return lines


def own_ids(table: Repeated, lines: Sequence[str]) -> Iterator[str]:
    """The ids of the rows themselves."""
    for line in lines:
        cells = line.split("\t")
        yield from (cells[place] for place in table.own_ids)
