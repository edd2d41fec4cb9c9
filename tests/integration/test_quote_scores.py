"""Scores of quotes in columns: equal to their documents, whoever writes these."""

from __future__ import annotations

import json
import math
from random import Random
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from app import migrate
from app.db import Database, Session, libpq_url
from app.services.quoting import scoring
from pricetag.accounting.forecast.score import NAMES
from tests.support.plans import planned
from tests.support.quote_scores import score_summary
from tests.support.revisions import downgrade

BEFORE = "0014"
RUNS = """
WITH project AS (
    INSERT INTO projects (id, name, description, visibility, created_at)
    VALUES (gen_random_uuid(), 'scored', '', 'open', now()) RETURNING id
), experiment AS (
    INSERT INTO experiments (id, project_id, name, description, created_at)
    SELECT gen_random_uuid(), id, 'e', '', now() FROM project RETURNING id, project_id
), run AS (
    INSERT INTO runs (id, project_id, experiment_id, name, tags, kind, recipe, gpus, pool,
        priority, max_attempts, status, created_at)
    SELECT md5(number::text)::uuid, project_id, id, 'r', '{{}}', 'train', '{{}}', 0, 'default', 0,
        3, 'succeeded', now() FROM experiment, generate_series(1, {count}) AS number RETURNING id
)
INSERT INTO quotes (id, run_id, method, content, created_at)
SELECT gen_random_uuid(), id, 'history', '{{}}', now() FROM run
"""
PUT = """
UPDATE quotes SET score = CAST(:score AS jsonb), scored_at = now() + :number * interval '1 s'
WHERE run_id = md5(CAST(:number AS text))::uuid
"""
NEWEST = """
SELECT score FROM quotes WHERE scored_at IS NOT NULL ORDER BY scored_at DESC, run_id DESC LIMIT {}
"""


def document(random: Random) -> dict[str, Any]:
    """A score as the service writes it."""
    quantities: dict[str, Any] = {}
    for name in NAMES:
        quoted = random.uniform(1e-3, 1e3)
        actual = quoted * math.exp(random.gauss(0, 0.4))
        error = math.log(actual / quoted)
        hit = {"quoted": quoted, "actual": actual, "factor": actual / quoted}
        hit |= {"log_error": error, "inside": abs(error) < 0.5}
        quantities[name] = hit if random.random() < 0.8 else None
    return {
        "status": random.choices(["succeeded", "failed", "cancelled"], (8, 1, 1))[0],
        "price_tag_version": 1,
        "method": random.choice(["history", "flops", "unknown"]),
        "level": random.choice(["same-recipe", "same-script", None]),
        "pool": random.choice(["default", "b"]),
        "quantities": quantities,
    }


async def put(session: Session, number: int, score: dict[str, Any]) -> None:
    await session.execute(text(PUT), {"number": number, "score": json.dumps(score)})


async def newest(session: Session, limit: int) -> list[dict[str, Any]]:
    return list((await session.execute(text(NEWEST.format(limit)))).scalars())


@pytest.mark.parametrize("limit", [1, 2, 50, 251, 10_000])
async def test_the_summary_is_that_of_the_documents_to_the_last_digit(
    session: Session, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(scoring, "NEWEST", limit)
    random = Random(limit)
    await session.execute(text(RUNS.format(count=300)))
    assert await scoring.scores(session) == score_summary([])
    for number in range(1, 300):
        await put(session, number, document(random))
    for number in range(1, 300, 7):  # scored again, with other figures
        await put(session, number, document(random))
    documents = await newest(session, limit)
    assert len(documents) == min(limit, 299)
    assert await scoring.scores(session) == score_summary(documents)


async def test_a_score_goes_with_its_quote(session: Session) -> None:
    await session.execute(text(RUNS.format(count=3)))
    for number in (1, 2, 3):
        await put(session, number, document(Random(number)))
    of_one = "FROM {} WHERE run_id = md5('1')::uuid"
    await session.execute(text(f"DELETE {of_one.format('quotes')}"))
    await session.execute(text("UPDATE quotes SET score = NULL WHERE run_id = md5('2')::uuid"))
    left = await session.execute(text("SELECT run_id = md5('3')::uuid FROM quote_scores"))
    assert left.scalars().all() == [True]


async def test_no_document_is_read_for_a_summary(db: Database, session: Session) -> None:
    with planned(db) as plans:
        await scoring.scores(session)
    [plan] = plans
    assert {node["Relation Name"] for node in plan.nodes if "Relation Name" in node} == {
        "quote_scores"
    }


async def test_scores_of_before_are_kept_by_an_upgrade_that_was_interrupted(
    fresh_database_url: str,
) -> None:
    migrate.upgrade(fresh_database_url)
    downgrade(fresh_database_url, BEFORE)
    random = Random(4)
    with psycopg.connect(libpq_url(fresh_database_url)) as old:
        old.execute(RUNS.format(count=40).encode())
        for number in range(1, 30):
            values = {"number": number, "score": json.dumps(document(random))}
            statement = PUT.replace(":score", "%(score)s").replace(":number", "%(number)s")
            old.execute(statement.encode(), values)
    migrate.upgrade(fresh_database_url)
    # As if only some had been written.
    with psycopg.connect(libpq_url(fresh_database_url)) as interrupted:
        interrupted.execute(
            "DELETE FROM quote_scores WHERE run_id > '80000000-0000-0000-0000-000000000000'"
        )
        interrupted.execute(f"UPDATE alembic_version SET version_num = '{BEFORE}'".encode())
    migrate.upgrade(fresh_database_url)
    database = Database(fresh_database_url, pool_size=1)
    try:
        async with database.session_scope() as session:
            documents = await newest(session, 10_000)
            assert len(documents) == 29
            assert await scoring.scores(session) == score_summary(documents)
    finally:
        await database.dispose()
