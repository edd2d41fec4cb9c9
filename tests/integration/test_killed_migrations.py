"""An upgrade that is killed again and again ends with the figures that it began with."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import psycopg

from app import migrate
from app.db import Database, libpq_url
from app.repositories.energy.rollups import Range
from app.services.energy import rollups
from models.documents import codec
from tests.integration.test_balances_migration import KEPT as SPENT
from tests.integration.test_balances_migration import filled, rows, wrong_sums
from tests.integration.test_compact_documents import add_price_tag, add_report
from tests.integration.test_run_figures import different
from tests.support.energy import accounts, assert_equal
from tests.support.golden import NAMES

# Each child continues with the upgrade and kills itself at a statement, a later one each time.
UPGRADE = """
import os, signal, sys
from sqlalchemy import Engine, event
from app import migrate

def upgrade(last):
    left = [last]
    def count(*_):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    event.listen(Engine, "before_cursor_execute", count)
    migrate.upgrade(sys.argv[1])

killed = 0
while True:
    child = os.fork()
    if child == 0:
        upgrade(6 * (killed + 1))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        break
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    killed += 1
print(killed)
"""

HOURS = """
INSERT INTO energy_hours (id, node_name, component, name, kind, method, gain_std_ratio, hour,
    attempt_id, energy_j, covered_s, flags)
SELECT gen_random_uuid(), 'n', 'gpu:1', 'H200', 'gpu', 'counter', 0.05,
    date_trunc('hour', started_at, 'UTC') + k * interval '1 hour', id, random() * 4e5, 3000, '[]'
FROM attempts, generate_series(0, 2) AS k;
INSERT INTO energy_hours (id, node_name, component, name, kind, method, gain_std_ratio, hour,
    energy_j, covered_s, flags)
SELECT DISTINCT ON (hour) gen_random_uuid(), 'n', 'gpu:1', 'H200', 'gpu', 'counter', 0.05, hour,
    random() * 1e6, 3600, '[]'::jsonb
FROM energy_hours;
"""
KEPT = (*SPENT, "SELECT * FROM energy_hours ORDER BY id")
DOCUMENTS = "SELECT id, content FROM price_tags UNION ALL SELECT id, context FROM reports"
SPAN = Range(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 3, tzinfo=UTC))


def documents(url: str) -> dict[Any, str]:
    """Every stored document, as JSON in one order of keys."""
    decoded = {
        id_: codec.decode(stored) if isinstance(stored, bytes) else stored
        for id_, stored in rows(url, DOCUMENTS)
    }
    return {id_: json.dumps(one, sort_keys=True) for id_, one in decoded.items()}


async def test_an_upgrade_that_is_killed_at_many_statements_keeps_every_figure(
    fresh_database_url: str,
) -> None:
    url = fresh_database_url
    filled(url)
    with psycopg.connect(libpq_url(url)) as connection:
        for number, name in enumerate(NAMES):
            add_price_tag(connection, name, number)
        add_report(connection, 0)
        connection.execute(HOURS.encode())
    before = [rows(url, query) for query in KEPT]
    documents_before = documents(url)

    upgraded = subprocess.run(
        [sys.executable, "-c", UPGRADE, url], capture_output=True, text=True, check=False
    )
    assert upgraded.returncode == 0, upgraded.stderr
    assert int(upgraded.stdout) >= 8

    migrate.check(url)
    assert [rows(url, query) for query in KEPT] == before
    assert documents(url) == documents_before
    assert await asyncio.to_thread(wrong_sums, url) == 0
    database = Database(url, pool_size=1)
    async with database.session_scope() as session:
        assert await different(session) == 0
        figures = await accounts(session, SPAN, every_hour=False)
        await assert_equal(session, SPAN)
        while await rollups.fold_pending(session):
            pass
        assert await accounts(session, SPAN, every_hour=False) == figures
    await database.dispose()
