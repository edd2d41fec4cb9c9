"""The database of a backup: dumped from one snapshot, loaded in one transaction.

The programs are those of the embedded PostgreSQL, which also dump an older server's database.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg
from sqlalchemy import URL, make_url

from app import embedded_postgres
from app.backup.errors import BackupError
from app.backup.objects import CHUNK_BYTES
from app.db import libpq_url
from app.hidden_environment import visible_part

COUNTED = ("runs", "attempts", "price_tags", "readings", "reading_blocks", "audit_entries")
"""Tables whose rows are counted in a backup, and again after it was loaded."""

UNCHANGED = COUNTED[:3]
"""Tables that no migration adds rows to."""

OLDEST_TARGET = 17
"""Least version of PostgreSQL that accepts what the programs write."""

CLOSED_WITHIN_S = 5.0
"""Time in s that connections of programs that have ended may take to close."""

SHOWN_LINES = 5

_EMPTIED = """
DROP SCHEMA public CASCADE;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""

Sized = Callable[[int], None]
"""Receives the number of bytes that were written so far."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The database as it was at one moment; an open transaction.

    Attributes:
        connection: Its connection.
        name: Name under which other connections see the same.
        taken_at: When it was taken, ISO 8601, UTC.
        postgres: Major version of the server.
        revision: Migration of the database.
    """

    connection: psycopg.Connection[Any]
    name: str
    taken_at: str
    postgres: int
    revision: str

    def counts(self) -> dict[str, int]:
        """Numbers of rows by table; a table of a later version is not counted."""
        present = self.connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
        tables = {row[0] for row in present}
        return {
            table: _number(self.connection, f"SELECT count(*) FROM {table}")
            for table in COUNTED
            if table in tables
        }

    def artifacts(self) -> Iterator[tuple[str, int, str, bool]]:
        """Path, size in bytes and SHA-256 of each registered artifact, and whether it is stored.

        Stored: in the artifact store, and not in a folder. Removed ones are not listed.
        """
        has_store = self.connection.execute(
            "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('public.artifacts')"
            " AND attname = 'stored_at' AND NOT attisdropped"
        ).fetchone()
        query = (
            "SELECT path, size_bytes, sha256, stored_at IS NOT NULL FROM artifacts"
            " WHERE removed_at IS NULL ORDER BY id"
            if has_store
            else "SELECT path, size_bytes, sha256, false FROM artifacts ORDER BY id"
        )
        with self.connection.cursor(name="artifacts") as cursor:
            cursor.itersize = 10_000
            yield from cursor.execute(query.encode())


@contextmanager
def snapshot(url: str) -> Iterator[Snapshot]:
    """The database at this moment, until the block ends; nobody waits for it.

    Raises:
        BackupError: If the database has no tables.
    """
    with psycopg.connect(libpq_url(url), application_name="pricetag backup") as connection:
        connection.execute("SET statement_timeout = 0")
        connection.execute("SET idle_in_transaction_session_timeout = 0")
        connection.commit()
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        revision = _revision(connection)
        if revision is None:
            raise BackupError("the database has no tables yet: there is nothing to back up")
        (name, taken_at) = connection.execute(
            "SELECT pg_export_snapshot(),"
            " to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        ).fetchone() or ("", "")
        yield Snapshot(connection, name, taken_at, _major(connection), revision)


def _revision(connection: psycopg.Connection[Any]) -> str | None:
    exists = connection.execute("SELECT to_regclass('public.alembic_version')").fetchone()
    if exists is None or exists[0] is None:
        return None
    row = connection.execute("SELECT version_num FROM public.alembic_version").fetchone()
    return None if row is None else str(row[0])


def _major(connection: psycopg.Connection[Any]) -> int:
    return connection.info.server_version // 10_000


def _number(connection: psycopg.Connection[Any], query: str) -> int:
    (number,) = connection.execute(query.encode()).fetchone() or (0,)
    return int(number)


def dump(url: str, taken: Snapshot, path: Path, sized: Sized) -> None:
    """Writes the database, as a snapshot shows it, to a file.

    Raises:
        BackupError: If it cannot be dumped.
    """
    arguments = (
        *("--format=custom", "--compress=gzip:3", "--no-owner", "--no-privileges"),
        *(f"--snapshot={taken.name}", "--lock-wait-timeout=60s", f"--file={path}"),
    )
    with _program("pg_dump", arguments, url) as running:
        while running.process.poll() is None:
            time.sleep(0.1)
            sized(path.stat().st_size if path.exists() else 0)
    with path.open("rb") as written:
        os.fsync(written.fileno())


def load(
    url: str,
    path: Path,
    counts: Mapping[str, int],
    *,
    mark: str,
    is_replacing: bool,
    sized: Sized,
) -> None:
    """Loads a dump into a database, in one transaction: all of the dump, or nothing.

    Args:
        url: The database.
        path: The dump.
        counts: Numbers of rows that it must have in the end.
        mark: Hash of the dump, by which an interrupted restore is recognized (``is_loaded``).
        is_replacing: Whether what the database has is dropped, in the same transaction.
        sized: Receives the size of the loaded SQL.

    Raises:
        BackupError: If it cannot be loaded; the database is as it was.
    """
    with _program(
        "psql", ("-X", "-q", "-v", "ON_ERROR_STOP=1"), url, stdin=subprocess.PIPE
    ) as running:
        psql = running.process
        assert psql.stdin is not None
        try:
            # Without the last line, PostgreSQL undoes everything when this process is killed.
            psql.stdin.write(b"BEGIN;\n" + (_EMPTIED.encode() if is_replacing else b""))
            _pump(path, psql.stdin, sized)
            ending = f"COMMENT ON TABLE public.alembic_version IS '{_marked(mark)}';\nCOMMIT;\n"
            psql.stdin.write((_checks(counts) + ending).encode())
            psql.stdin.close()
        except BrokenPipeError:
            pass  # psql has ended with an error, which is reported with its exit status
        except BaseException:
            psql.kill()
            raise


def is_loaded(url: str, mark: str, counts: Mapping[str, int]) -> bool:
    """Whether a restore of the same dump was interrupted after the database was loaded.

    A database that was used since, so that it has other runs, counts as another one.

    Args:
        url: The database.
        mark: Hash of the dump.
        counts: Numbers of rows in the backup.
    """
    with psycopg.connect(libpq_url(url), application_name="pricetag restore") as connection:
        connection.execute("SET statement_timeout = 0")
        if _revision(connection) is None:
            return False
        row = connection.execute(
            "SELECT obj_description('public.alembic_version'::regclass, 'pg_class')"
        ).fetchone()
        if row is None or row[0] != _marked(mark):
            return False
        return all(
            _number(connection, f"SELECT count(*) FROM public.{table}") == counts[table]
            for table in UNCHANGED
            if table in counts
        )


def finish(url: str) -> None:
    """Removes the mark of an unfinished restore."""
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        connection.execute("COMMENT ON TABLE public.alembic_version IS NULL")


def _marked(mark: str) -> str:
    return f"unfinished restore of {mark}"


def _pump(path: Path, sink: IO[bytes], sized: Sized) -> None:
    arguments = ("--no-owner", "--no-privileges", "--file=-", str(path))
    with _program("pg_restore", arguments, None, stdout=subprocess.PIPE) as running:
        source = running.process.stdout
        assert source is not None
        passed_bytes = 0
        with source:
            while chunk := source.read(CHUNK_BYTES):
                sink.write(chunk)
                passed_bytes += len(chunk)
                sized(passed_bytes)


def _checks(counts: Mapping[str, int]) -> str:
    """SQL that fails where a table has another number of rows."""
    return "".join(
        f"DO $count$ BEGIN IF (SELECT count(*) FROM public.{table}) <> {int(count)} THEN "
        f"RAISE EXCEPTION 'table {table} does not have the {int(count)} rows of the backup'; "
        "END IF; END $count$;\n"
        for table, count in counts.items()
        if table in COUNTED
    )


@dataclass(frozen=True, slots=True)
class _Running:
    process: subprocess.Popen[bytes]


@contextmanager
def _program(
    name: str,
    arguments: Sequence[str],
    url: str | None,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[_Running]:
    """A program of PostgreSQL; it must end well with the block.

    The password is in its environment, which other users cannot read, and not in its arguments.
    """
    environment = {**visible_part(os.environ), "LC_ALL": "C"}
    if url is not None:
        parsed = make_url(libpq_url(url))
        if parsed.password is not None:
            environment["PGPASSWORD"] = str(parsed.password)
        arguments = (*arguments, f"--dbname={_without_password(parsed)}")
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [str(embedded_postgres.program(name)), *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=errors,
            env=environment,
        )
        try:
            yield _Running(process)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            if process.stdin is not None:
                with suppress(OSError):  # what is left in the buffer of a program that has ended
                    process.stdin.close()
        code = process.wait()
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
    if code != 0:
        lines = [line for line in lines if "NOTICE:" not in line] or ["without a message"]
        raise BackupError(f"{name} ended with {code}: {lines[0]}", lines[1:SHOWN_LINES])


def _without_password(url: URL) -> str:
    bare = URL.create(
        url.drivername,
        url.username,
        host=url.host,
        port=url.port,
        database=url.database,
        query=url.query,
    )
    return bare.render_as_string(hide_password=False)


def analyze(url: str) -> None:
    """Collects the statistics by which PostgreSQL plans its queries; a dump has none."""
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        connection.execute("SET statement_timeout = 0")
        connection.execute("ANALYZE")


@contextmanager
def guarded(url: str, key: int, *, may_have_tables: bool) -> Iterator[None]:
    """Makes sure that a database may be loaded, and that no server upgrades it in the block.

    Args:
        url: The database.
        key: The lock that a migration takes.
        may_have_tables: Whether tables in it are accepted.

    Raises:
        BackupError: If it has tables, is in use, or has an older PostgreSQL.
    """
    with psycopg.connect(
        libpq_url(url), autocommit=True, application_name="pricetag restore"
    ) as connection:
        if _major(connection) < OLDEST_TARGET:
            raise BackupError(
                f"the target is PostgreSQL {_major(connection)}; restoring needs "
                f"{OLDEST_TARGET} or newer"
            )
        if not (connection.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone() or [0])[0]:
            raise BackupError("the database is being migrated: try again when that has ended")
        if not may_have_tables and _has_tables(connection):
            raise BackupError(
                "the target database is not empty: choose another one (PRICETAG_DATA_DIR or "
                "PRICETAG_DATABASE_URL), or replace what it has with --replace"
            )
        if users := _lasting_users(connection):
            raise BackupError(
                f"the target database is in use ({', '.join(users)}): stop the server and the "
                "workers first"
            )
        yield


def _has_tables(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'public')"
    ).fetchone()
    return row is not None and bool(row[0])


def _lasting_users(connection: psycopg.Connection[Any]) -> list[str]:
    """Names of the programs that stay connected.

    PostgreSQL lists a connection that was closed for a moment longer.
    """
    deadline_s = time.monotonic() + CLOSED_WITHIN_S
    while (users := _users(connection)) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return users


def _users(connection: psycopg.Connection[Any]) -> list[str]:
    """Names of the programs that are connected, apart from this one."""
    rows = connection.execute(
        "SELECT DISTINCT coalesce(nullif(application_name, ''), 'a program without a name')"
        " FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    return sorted(str(row[0]) for row in rows)
