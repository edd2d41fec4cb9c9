"""Tables whose JSON documents are stored compactly from a revision on: written again in pieces."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import psycopg
from alembic import op

from models.documents.codec import decode_text, stored_again

log = logging.getLogger("pricetag.migrate")

ROWS_AT_ONCE = 200
ROWS_FOR_PROCESSES = 5_000
"""From here on, several processes encode: a million price tags take an hour of processor time."""
LOG_EVERY_S = 10.0

Encode = Callable[[Iterable[str]], Iterable[bytes]]


@dataclass(frozen=True)
class Rewrite:
    """A table that is written again, with one column of JSON as a stored document.

    Attributes:
        name: Of the table; the new one is called ``NAME_new`` until it takes its place.
        create: Makes the new table.
        copied: Columns that stay as they are.
        document: The column of JSON.
        derived: New columns, from the JSON.
        constraints: Names of constraints of the new table, without ``_new``.
        detach: What refers to the old table is let go.
        attach: The same refers to the new table.
    """

    name: str
    create: str
    copied: Sequence[str]
    document: str
    constraints: Sequence[str]
    derived: dict[str, str]
    detach: str = ""
    attach: str = ""

    @property
    def columns(self) -> str:
        return ", ".join((*self.copied, *self.derived, self.document))

    @property
    def select(self) -> str:
        derived = ", ".join(f"{sql} AS {name}" for name, sql in self.derived.items())
        names = ", ".join(self.copied)
        return f"SELECT {names}{', ' if derived else ''}{derived}, {self.document}::text"


def _driver() -> psycopg.Connection[Any]:
    driver = op.get_bind().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def fill(table: Rewrite) -> None:
    """Writes the rows that the new table does not have yet, oldest first."""
    driver = _driver()
    driver.execute(table.create.encode())
    count = f"SELECT count(*) FROM {table.name}"
    total = _one(driver, count)[0]
    done = _one(driver, f"{count}_new")[0]
    last = _one(
        driver,
        f"SELECT created_at, id FROM {table.name}_new ORDER BY created_at DESC, id DESC LIMIT 1",
    )
    batch = (
        f"{table.select} FROM {table.name} WHERE %s::timestamptz IS NULL"
        " OR (created_at, id) > (%s, %s) ORDER BY created_at, id LIMIT %s"
    )
    shown_at = time.monotonic()
    with _encoding(total - done) as encode:
        while True:
            at, row_id = last or (None, None)
            rows = driver.execute(batch.encode(), [at, at, row_id, ROWS_AT_ONCE]).fetchall()
            if not rows:
                break
            _write(driver, table, rows, encode)
            done, last = done + len(rows), (rows[-1][1], rows[-1][0])
            if time.monotonic() - shown_at > LOG_EVERY_S:
                log.info("%s: %d of %d documents are compact", table.name, done, total)
                shown_at = time.monotonic()


def _one(driver: psycopg.Connection[Any], query: str) -> Any:
    return driver.execute(query.encode()).fetchone()


@contextmanager
def _encoding(rows: int) -> Iterator[Encode]:
    if rows < ROWS_FOR_PROCESSES:
        yield lambda texts: map(stored_again, texts)
        return
    with ProcessPoolExecutor(min(8, os.cpu_count() or 1), get_context("spawn")) as processes:
        yield lambda texts: processes.map(stored_again, texts, chunksize=10)


def _write(
    driver: psycopg.Connection[Any], table: Rewrite, rows: list[Any], encode: Encode
) -> None:
    documents = encode([row[-1] for row in rows])
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY {table.name}_new ({table.columns}) FROM STDIN".encode()) as copy,
    ):
        for row, document in zip(rows, documents, strict=True):
            copy.write_row((*row[:-1], document))


def change_places(table: Rewrite) -> None:
    """Replaces the old table with the new one, including rows written in the meantime."""
    driver = _driver()
    op.execute(f"LOCK TABLE {table.name} IN ACCESS EXCLUSIVE MODE")
    missing = f"NOT EXISTS (SELECT FROM {table.name}_new AS new WHERE new.id = old.id)"
    rows = driver.execute(
        f"{table.select} FROM {table.name} AS old WHERE {missing}".encode()
    ).fetchall()
    _write(driver, table, rows, lambda texts: map(stored_again, texts))
    if table.detach:
        op.execute(table.detach)
    op.execute(f"DROP TABLE {table.name}")
    op.execute(f"ALTER TABLE {table.name}_new RENAME TO {table.name}")
    for name in table.constraints:
        temporary = name.replace(table.name, f"{table.name}_new", 1)
        op.execute(f"ALTER TABLE {table.name} RENAME CONSTRAINT {temporary} TO {name}")
    op.execute(f"ALTER INDEX ix_{table.name}_new_created_at RENAME TO ix_{table.name}_created_at")
    if table.attach:
        op.execute(table.attach)


def write_json_again(table: Rewrite) -> None:
    """The downgrade: the documents as JSON instead of the stored form."""
    driver = _driver()
    op.execute(f"ALTER TABLE {table.name} ADD COLUMN json_text jsonb")
    query = f"SELECT id, {table.document} FROM {table.name}"
    for row_id, stored in driver.execute(query.encode()).fetchall():
        driver.execute(
            f"UPDATE {table.name} SET json_text = %s::jsonb WHERE id = %s".encode(),
            [decode_text(stored), row_id],
        )
    for name in (*table.derived, table.document):
        op.execute(f"ALTER TABLE {table.name} DROP COLUMN {name}")
    op.execute(f"ALTER TABLE {table.name} RENAME COLUMN json_text TO {table.document}")
    op.execute(f"ALTER TABLE {table.name} ALTER COLUMN {table.document} SET NOT NULL")
