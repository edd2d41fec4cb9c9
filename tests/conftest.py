"""Fixtures of all tests: one PostgreSQL per session, one database per process, rolled back."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, async_sessionmaker

from app import embedded_postgres, migrate
from app.db import Database, Session, libpq_url
from app.settings import get_settings
from tests.support import shared_out
from tests.support.prepared import Prepared, prepared

TESTS = Path(__file__).parent
CLUSTER = "PRICETAG_TEST_CLUSTER"
TEMPLATE = "pricetag_template"
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

hypothesis_settings.register_profile(
    "tests", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
hypothesis_settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    """The controlling process makes the folder; xdist's workers inherit its name."""
    if hasattr(config, "workerinput"):
        return
    # A developer's own settings must not leak into the tests.
    for name in [name for name in os.environ if name.startswith("PRICETAG_")]:
        if name != "PRICETAG_BIN":  # the installation that the end-to-end tests run
            del os.environ[name]
    folder = tempfile.mkdtemp(prefix="pricetag-tests-")
    os.environ[CLUSTER] = folder
    os.environ["PRICETAG_DATA_DIR"] = f"{folder}/data"


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and CLUSTER in os.environ:
        folder = Path(os.environ.pop(CLUSTER))
        embedded_postgres.stop(folder)
        embedded_postgres.release(folder)
        shutil.rmtree(folder, ignore_errors=True)


def pytest_sessionstart(session: pytest.Session) -> None:
    """xdist's workers share the rewriting of the files that all of them collect."""
    worker = getattr(session.config, "workerinput", None)
    if worker is not None and _everything(session.config):
        number = int(worker["workerid"].removeprefix("gw"))
        share = number / int(worker["workercount"])
        with _no_garbage():
            shared_out.import_from(share, TESTS.rglob("test_*.py"), TESTS.parent)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    with _no_garbage():
        return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> shared_out.Scheduling | None:
    """Shares the files out; with ``--dist loadfile`` alone."""
    return shared_out.Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items[:] = shared_out.in_order(items, TESTS)


def pytest_collection_finish() -> None:
    """Keeps imported modules out of later garbage collections.

    Training collects garbage after every fit; with torch and transformers in memory, each
    collection costs more than the training of a tiny network.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)  # by default, a twentieth of the time goes into looking
    gc.callbacks.append(_note_full_collection)


def pytest_runtest_logfinish() -> None:
    """What a test has imported stays in memory: the next full collection leaves it out, too."""
    if _full_collections:
        gc.collect()
        gc.freeze()
        _full_collections.clear()


_full_collections: list[int] = []


def _note_full_collection(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == 2:
        _full_collections.append(info["collected"])


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def cluster_dir() -> Path:
    """Data folder of the PostgreSQL that all tests of a session share."""
    folder = Path(os.environ[CLUSTER])
    embedded_postgres.ensure(folder, server_options=FAST)
    return folder


@pytest.fixture(scope="session")
def database_url(cluster_dir: Path) -> Iterator[str]:
    """A migrated database of this test process's own."""
    base = embedded_postgres.ensure(cluster_dir, server_options=FAST)
    name = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with (cluster_dir / "template.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _ensure_template(base)
        _clone(base, name)
    yield _named(base, name)
    with psycopg.connect(base, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def prepared_data() -> Prepared:
    """A data folder whose database is ready, prepared once for all services."""
    return prepared(Path(os.environ[CLUSTER]) / "prepared", FAST)


@pytest.fixture
def fresh_database_url(database_url: str) -> Iterator[str]:
    """An empty database without any table."""
    name = f"fresh_{os.getpid()}"
    with psycopg.connect(libpq_url(database_url), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    yield _named(libpq_url(database_url), name)
    with psycopg.connect(libpq_url(database_url), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def migrated_database_url(database_url: str) -> Iterator[str]:
    """A migrated database without rows, of one test alone."""
    base, name = libpq_url(database_url), f"migrated_{os.getpid()}"
    _clone(base, name)
    yield _named(base, name)
    with psycopg.connect(base, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest_asyncio.fixture(scope="session")
async def engine_database(database_url: str) -> AsyncIterator[Database]:
    """Engine on the test database; use ``db`` or ``committed_db`` instead."""
    database = Database(database_url, application_name="pricetag tests")
    yield database
    await database.dispose()


@pytest_asyncio.fixture
async def db(engine_database: Database) -> AsyncIterator[Database]:
    """A database whose every commit is undone after the test (one connection, savepoints)."""
    async with engine_database.engine.connect() as connection:
        outer = await connection.begin()
        yield _RolledBack(engine_database, connection)
        await outer.rollback()


@pytest_asyncio.fixture
async def session(db: Database) -> AsyncIterator[Session]:
    """A session of ``db``; nothing of it stays."""
    async with db.sessions() as opened:
        yield opened


@pytest_asyncio.fixture
async def committed_db(engine_database: Database, database_url: str) -> AsyncIterator[Database]:
    """A database that really commits, for tests with several connections; emptied afterwards."""
    yield engine_database
    await engine_database.engine.dispose()
    _empty(database_url)


class _RolledBack(Database):
    def __init__(self, database: Database, connection: AsyncConnection) -> None:
        self.url = database.url
        self.engine = database.engine
        self.sessions = async_sessionmaker(
            bind=connection,
            expire_on_commit=False,
            join_transaction_mode="create_savepoint",
        )


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Nothing that is imported or collected becomes garbage: looking for it only takes time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _everything(config: pytest.Config) -> bool:
    return [Path(name).resolve() for name in config.args] == [TESTS]


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def _ensure_template(base: str) -> None:
    with psycopg.connect(base, autocommit=True) as admin:
        existing = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE])
        if existing.fetchone() is None:
            admin.execute(f"CREATE DATABASE {TEMPLATE}".encode())
            migrate.upgrade(_named(base, TEMPLATE))


def _clone(base: str, name: str) -> None:
    with psycopg.connect(base, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}".encode())


def _empty(url: str) -> None:
    with psycopg.connect(libpq_url(url), autocommit=True) as admin:
        rows = admin.execute(
            "SELECT tablename FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        ).fetchall()
        names = ", ".join(str(row[0]) for row in rows)
        # The audit log cannot be emptied: here, and only here, its trigger is switched off.
        admin.execute(b"SET session_replication_role = replica")
        admin.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE".encode())
