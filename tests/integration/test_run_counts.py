"""Counts of runs by project and experiment equal the rows, whoever writes them."""

from __future__ import annotations

import asyncio
import uuid
from random import Random

import psycopg
import pytest
from sqlalchemy import text

from app import migrate
from app.db import Database, Session, libpq_url
from app.repositories.budgets import upkeep as balance_upkeep
from app.repositories.people import projects
from app.repositories.people.visibility import Viewer
from app.services.budgets import upkeep
from tests.support.plans import planned
from tests.support.revisions import downgrade

BEFORE = "0015"
EVERYBODY = Viewer(uuid.UUID(int=0), sees_all=True)

PLACES = """
INSERT INTO projects (id, name, description, visibility, created_at)
SELECT md5('p' || n)::uuid, 'p' || n, '', 'open', now() FROM generate_series(1, 3) AS n;
INSERT INTO experiments (id, project_id, name, description, created_at)
SELECT md5('e' || n)::uuid, md5('p' || (1 + n % 3))::uuid, 'e' || n, '', now()
FROM generate_series(1, 5) AS n;
"""
POST = """
INSERT INTO runs (id, project_id, experiment_id, name, tags, kind, recipe, gpus, pool, priority,
    max_attempts, status, created_at)
SELECT gen_random_uuid(), e.project_id, e.id, 'r', '{{}}', 'train', '{{}}', 0, 'default', 0, 3,
    'queued', now()
FROM experiments AS e, generate_series(1, {number}) WHERE e.name = 'e{experiment}'
"""
SOME = "SELECT id FROM runs ORDER BY md5(id::text || '{salt}') LIMIT {number}"
DELETE = f"DELETE FROM runs WHERE id IN ({SOME})"
MOVE = f"""
UPDATE runs SET experiment_id = e.id, project_id = e.project_id
FROM experiments AS e WHERE e.name = 'e{{experiment}}' AND runs.id IN ({SOME})
"""
END = f"UPDATE runs SET status = 'failed' WHERE id IN ({SOME})"


async def places(session: Session) -> None:
    for statement in PLACES.split(";")[:-1]:
        await session.execute(text(statement))


def change(random: Random) -> str:
    """Posts, deletes, moves or ends some runs."""
    statement = random.choice([POST, POST, DELETE, MOVE, END])
    experiment, number = random.randrange(1, 6), random.randrange(4)
    return statement.format(experiment=experiment, number=number, salt=random.random())


async def counted(session: Session) -> dict[str, int]:
    """The counts that lists show."""
    listed = await projects.list_projects(session, EVERYBODY, None, 200)
    counts = {row.name: row.runs for row in listed}
    listed = await projects.list_experiments(session, EVERYBODY, None, None, 200)
    return counts | {row.name: row.runs for row in listed}


async def true_counts(session: Session) -> dict[str, int]:
    query = """
        SELECT p.name, count(r.id) FROM projects AS p LEFT JOIN runs AS r ON r.project_id = p.id
        GROUP BY p.id
        UNION ALL
        SELECT e.name, count(r.id) FROM experiments AS e
        LEFT JOIN runs AS r ON r.experiment_id = e.id GROUP BY e.id
    """
    return {name: count for name, count in (await session.execute(text(query))).all()}


@pytest.mark.parametrize("seed", range(4))
async def test_counts_follow_every_change_of_runs(session: Session, seed: int) -> None:
    await places(session)
    random = Random(seed)
    for _ in range(40):
        await session.execute(text(change(random)))
        if random.random() < 0.2:
            await balance_upkeep.fold(session)
        if random.random() < 0.2:
            async with session.begin_nested() as undone:
                await session.execute(text(change(random)))
                await undone.rollback()
        assert await counted(session) == await true_counts(session)
    await balance_upkeep.fold(session)
    lines = "SELECT count(*), count(DISTINCT (scope, scope_id)), bool_and(folded) FROM run_counts"
    row = (await session.execute(text(lines))).one()
    assert (row[0], row[2]) == (row[1], True)
    assert await counted(session) == await true_counts(session)


async def test_lists_read_no_runs(db: Database, session: Session) -> None:
    with planned(db) as plans:
        await counted(session)
    assert len(plans) == 2
    tables = {node.get("Relation Name") for plan in plans for node in plan.nodes}
    assert "run_counts" in tables
    assert "runs" not in tables


async def test_counts_are_correct_during_writes_folding_and_a_rebuild(
    committed_db: Database,
) -> None:
    async with committed_db.session_scope() as session:
        await places(session)

    async def write(seed: int) -> None:
        random = Random(seed)
        for _ in range(15):
            async with committed_db.session_scope() as session:
                await session.execute(text(POST.format(number=2, experiment=random.randint(1, 5))))

    async def keep() -> None:
        for number in range(8):
            async with committed_db.session_scope() as session:
                if number == 3:
                    await session.execute(text("DELETE FROM run_counts WHERE folded"))
                await balance_upkeep.fold(session)
            await upkeep.mend(committed_db, upkeep.Part(None))

    await asyncio.gather(write(1), write(2), write(3), keep())
    async with committed_db.session_scope() as session:
        assert await counted(session) == await true_counts(session)
        assert sum((await true_counts(session)).values()) == 2 * 90
        assert await upkeep.wrong_sums(session, upkeep.Part(None)) == 0
        await session.execute(text("UPDATE run_counts SET runs = runs + 1 WHERE scope = 'project'"))
        assert await upkeep.wrong_sums(session, upkeep.Part(None)) == 3


async def test_posts_to_one_experiment_do_not_wait_for_one_another(
    committed_db: Database,
) -> None:
    async with committed_db.session_scope() as session:
        await places(session)
    async with committed_db.session_scope() as one, committed_db.session_scope() as other:
        await one.execute(text(POST.format(number=1, experiment=1)))
        async with asyncio.timeout(60):
            await other.execute(text(POST.format(number=1, experiment=1)))


async def test_an_upgrade_counts_the_runs_of_before_and_may_be_interrupted(
    fresh_database_url: str,
) -> None:
    migrate.upgrade(fresh_database_url)
    downgrade(fresh_database_url, BEFORE)
    with psycopg.connect(libpq_url(fresh_database_url)) as old:
        old.execute(PLACES.encode())
        for experiment in (1, 2, 3):
            old.execute(POST.format(number=10 * experiment, experiment=experiment).encode())
    for _ in range(3):
        migrate.upgrade(fresh_database_url)
        # As if it had been interrupted at its end, and runs were posted since.
        with psycopg.connect(libpq_url(fresh_database_url)) as interrupted:
            interrupted.execute(f"UPDATE alembic_version SET version_num = '{BEFORE}'".encode())
            interrupted.execute(POST.format(number=3, experiment=4).encode())
    migrate.upgrade(fresh_database_url)
    migrate.check(fresh_database_url)
    database = Database(fresh_database_url, pool_size=1)
    try:
        async with database.session_scope() as session:
            counts = await counted(session)
            assert counts == await true_counts(session)
            assert (counts["e3"], counts["e4"], counts["e5"]) == (30, 9, 0)
    finally:
        await database.dispose()
