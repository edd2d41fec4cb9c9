"""Upgrading a database with price tags and reports as JSON to compact columns."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest
from alembic import command
from sqlalchemy import create_engine, pool, select, text

from app import document_migration, migrate
from app.db import Database, Session, libpq_url, sqlalchemy_url
from models import PriceTag
from models.documents import codec
from pricetag.accounting.document.canonical import known_sha256
from tests.support.api import finished_run
from tests.support.golden import NAMES, content, issued

LANDED = "0007"
REPORTS = 7


@pytest.fixture
def old(fresh_database_url: str) -> str:
    """A database of revision 0007 with price tags of every version, and reports."""
    to_revision(fresh_database_url, LANDED)
    with psycopg.connect(libpq_url(fresh_database_url)) as connection:
        for number, name in enumerate(NAMES):
            add_price_tag(connection, name, number)
        for number in range(REPORTS):
            add_report(connection, number)
    return fresh_database_url


def to_revision(url: str, revision: str, *, down: bool = False) -> None:
    engine = create_engine(sqlalchemy_url(url), poolclass=pool.NullPool)
    with engine.connect() as connection:
        config = migrate.alembic_config()
        config.attributes["connection"] = connection
        (command.downgrade if down else command.upgrade)(config, revision)
        connection.commit()
    engine.dispose()


def add_price_tag(connection: psycopg.Connection[Any], name: str, number: int) -> None:
    document = issued(name)
    values = {
        "name": f"{name} {number}",
        "id": uuid.uuid4(),
        "minutes": number // 3,  # several of the same time
        "version": document["content"]["version"],
        "accounting": document["content"]["provenance"]["accounting_version"],
        "content": json.dumps(document["content"]),
        "sha256": document["content_sha256"],
    }
    connection.execute(PRICE_TAG, values)


PRICE_TAG = """
WITH project AS (
    INSERT INTO projects (id, name, description, visibility, created_at)
    VALUES (gen_random_uuid(), %(name)s, '', 'open', now()) RETURNING id
), experiment AS (
    INSERT INTO experiments (id, project_id, name, description, created_at)
    SELECT gen_random_uuid(), id, 'e', '', now() FROM project RETURNING id, project_id
), run AS (
    INSERT INTO runs (id, project_id, experiment_id, name, tags, kind, recipe, gpus, pool,
        priority, max_attempts, status, created_at)
    SELECT gen_random_uuid(), project_id, id, %(name)s, '{}', 'train', '{}', 0, 'default', 0, 3,
        'succeeded', now() FROM experiment RETURNING id
)
INSERT INTO price_tags (id, run_id, version, accounting_version, cause, content, content_sha256,
    created_at)
SELECT %(id)s, id, %(version)s, %(accounting)s, 'attempt-ended', %(content)s, %(sha256)s,
    timestamptz '2026-01-01' + %(minutes)s * interval '1 min' FROM run
"""


def add_report(connection: psycopg.Connection[Any], number: int) -> None:
    context = {"title": f"report {number}", "tags": [content(name) for name in NAMES[:2]]}
    connection.execute(
        "WITH report AS (INSERT INTO reports (id, title, profile, context, content_sha256,"
        " created_at) VALUES (gen_random_uuid(), %s, 'site', %s, 'x', now()) RETURNING id)"
        " INSERT INTO report_projects (report_id, project_id)"
        " SELECT report.id, projects.id FROM report, projects",
        [f"report {number}", json.dumps(context)],
    )


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(libpq_url(url)) as connection:
        return connection.execute(query.encode()).fetchall()


KEPT = (
    "SELECT id, run_id, version, accounting_version, cause, as_of, created_at, content_sha256,"
    " {} FROM price_tags ORDER BY id"
)


def test_every_document_and_hash_is_kept(old: str) -> None:
    before = rows(old, KEPT.format("content"))
    reports = rows(old, "SELECT id, title, content_sha256, context FROM reports ORDER BY id")
    shown = rows(old, "SELECT * FROM report_projects ORDER BY 1, 2")
    migrate.upgrade(old)
    migrate.check(old)
    after = [(*row[:-1], codec.decode(row[-1])) for row in rows(old, KEPT.format("content"))]
    assert len(after) == len(NAMES)
    assert json.dumps(after, default=str, sort_keys=True) == json.dumps(
        before, default=str, sort_keys=True
    )
    for row in after:
        assert row[-2] in known_sha256(row[-1], row[3])
    stored = rows(old, "SELECT id, title, content_sha256, context FROM reports ORDER BY id")
    assert [(*row[:-1], codec.decode(row[-1])) for row in stored] == reports
    assert rows(old, "SELECT * FROM report_projects ORDER BY 1, 2") == shown


def test_the_totals_become_columns(old: str) -> None:
    migrate.upgrade(old)
    query = (
        "SELECT duration_s, it_energy_kwh, facility_energy_kwh, co2e_kg, cost, currency, content"
        " FROM price_tags"
    )
    for *columns, stored in rows(old, query):
        tag = PriceTag(content=codec.decode(stored))
        assert columns == [
            *(tag.duration_s, tag.it_energy_kwh, tag.facility_energy_kwh, tag.co2e_kg),
            *(tag.cost, tag.currency),
        ]


def test_an_interrupted_upgrade_continues(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {row[0]: row[-1] for row in rows(old, KEPT.format("content"))}
    monkeypatch.setattr(document_migration, "ROWS_AT_ONCE", 4)
    write = document_migration._write
    written: list[int] = []

    def interrupted(*arguments: Any) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(len(arguments[2]))
        write(*arguments)

    monkeypatch.setattr(document_migration, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        migrate.upgrade(old)
    # What is there is in use: the old table has everything, and takes what is issued now.
    assert rows(old, "SELECT version_num FROM alembic_version") == [("0011",)]
    assert rows(old, "SELECT count(*) FROM price_tags_new") == [(8,)]
    with psycopg.connect(libpq_url(old)) as connection:
        add_price_tag(connection, NAMES[0], 1000)
        add_price_tag(connection, NAMES[1], -1000)  # earlier than the last that was written
    written.clear()
    written.extend((0, 0, 0))
    migrate.upgrade(old)
    migrate.check(old)
    assert sum(written) == len(NAMES) + 2 - 8 + REPORTS
    after = {row[0]: codec.decode(row[-1]) for row in rows(old, KEPT.format("content"))}
    assert len(after) == len(NAMES) + 2
    assert {key: after[key] for key in before} == before


def test_an_upgrade_that_fails_at_the_end_leaves_the_old_tables(
    old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(table: document_migration.Rewrite) -> None:
        if table.name == "reports":
            raise RuntimeError("no lock")
        change_places(table)

    change_places = document_migration.change_places
    monkeypatch.setattr(document_migration, "change_places", fails)
    with pytest.raises(RuntimeError, match="no lock"):
        migrate.upgrade(old)
    assert rows(old, "SELECT jsonb_typeof(content) FROM price_tags LIMIT 1") == [("object",)]
    monkeypatch.undo()
    migrate.upgrade(old)
    migrate.check(old)


def test_several_processes_encode_a_large_table(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(old, KEPT.format("content"))
    monkeypatch.setattr(document_migration, "ROWS_FOR_PROCESSES", 1)
    migrate.upgrade(old)
    after = rows(old, KEPT.format("content"))
    assert [codec.decode(row[-1]) for row in after] == [row[-1] for row in before]


def test_a_downgrade_restores_the_same_documents(old: str) -> None:
    before = rows(old, KEPT.format("content"))
    reports = rows(old, "SELECT id, context FROM reports ORDER BY id")
    migrate.upgrade(old)
    to_revision(old, "0011", down=True)
    assert rows(old, KEPT.format("content")) == before
    assert rows(old, "SELECT id, context FROM reports ORDER BY id") == reports


def test_an_index_whose_build_was_interrupted_is_rebuilt(old: str) -> None:
    to_revision(old, "0009")
    with psycopg.connect(libpq_url(old), autocommit=True) as connection:
        connection.execute("CREATE INDEX ix_runs_name_id ON runs (name)")
        connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_runs_name_id'::regclass"
        )
    migrate.upgrade(old)
    migrate.check(old)
    [(definition,)] = rows(old, "SELECT pg_get_indexdef('ix_runs_name_id'::regclass)")
    assert definition.endswith("(name, id)")


async def test_an_issued_price_tag_is_small_and_has_its_totals_in_columns(
    db: Database, session: Session
) -> None:
    run_id = await finished_run(session)
    tag = (await session.execute(select(PriceTag).where(PriceTag.run_id == run_id))).scalar_one()
    await session.refresh(tag)
    assert tag.it_energy_kwh == tag.content["it_energy_kwh"]["value"]
    assert tag.duration_s == tag.content["duration_s"]["value"] == 16.0
    size = text(
        "SELECT octet_length(content), pg_column_size(price_tags.*) FROM price_tags"
        " WHERE run_id = :run_id"
    )
    stored, row = (await session.execute(size, {"run_id": run_id})).one()
    assert stored < 0.13 * len(codec.to_text(tag.content))
    assert row - stored < 600  # the totals, and the headline in some 300 bytes
