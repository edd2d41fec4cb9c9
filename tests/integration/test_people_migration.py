"""Upgrading keeps every reference: tokens become users of the same ID, name and role."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import psycopg

from app import migrate
from app.db import libpq_url
from tests.support.revisions import downgrade

ADMIN, MEMBER, GONE, TWIN, OLD_TWIN = (UUID(int=number) for number in range(1, 6))
TOKENS = (
    # id, name, role, created_at, revoked_at
    (ADMIN, "first admin", "admin", "2026-01-01", None),
    (MEMBER, "ada", "member", "2026-01-02", None),
    (OLD_TWIN, "ada", "viewer", "2026-01-01", "2026-02-01"),
    (TWIN, "ada", "viewer", "2026-01-03", None),
    (GONE, "ada (2)", "member", "2026-01-04", "2026-02-01"),
)


def _fill(url: str) -> dict[str, UUID]:
    """Rows of every table that names a token, as revision 0003 has them."""
    ids = {name: uuid4() for name in ("project", "experiment", "run", "attempt", "report")}
    ids |= {name: uuid4() for name in ("budget", "factor", "price", "series", "foreign")}
    context = {"runs": [{"run_id": str(ids["run"])}, {"run_id": ""}, {"run_id": str(uuid4())}]}
    with psycopg.connect(libpq_url(url)) as old:
        for row in TOKENS:
            old.execute(
                "INSERT INTO tokens (id, name, role, created_at, revoked_at, secret_sha256)"
                " VALUES (%s, %s, %s, %s, %s, gen_random_uuid()::text)",
                row,
            )
        old.execute(FILL, ids | {"member": MEMBER, "admin": ADMIN, "context": json.dumps(context)})
    return ids


FILL_PARTS = (
    "project AS (INSERT INTO projects (id, name, description, created_at)"
    " VALUES (%(project)s, 'p', '', now()))",
    "experiment AS (INSERT INTO experiments (id, project_id, name, description, created_at)"
    " VALUES (%(experiment)s, %(project)s, 'e', '', now()))",
    "run AS (INSERT INTO runs (id, project_id, experiment_id, name, tags, kind, recipe, gpus,"
    " pool, priority, max_attempts, status, created_at, created_by) SELECT id, %(project)s,"
    " %(experiment)s, 'r', '{}', 'train', '{}', 0, 'default', 0, 3, 'succeeded', now(), author"
    " FROM (VALUES (%(run)s, %(member)s::uuid), (%(foreign)s, NULL)) AS known (id, author))",
    "attempt AS (INSERT INTO attempts (id, run_id, number, status, worker, node_name, devices,"
    " components, started_at, lease_renewed_at, ended_at, ingested_seq) VALUES (%(attempt)s,"
    " %(run)s, 1, 'succeeded', 'w', 'n', '[]', '[]', now(), now(), now(), -1))",
    "report AS (INSERT INTO reports (id, title, profile, context, content_sha256, created_by,"
    " created_at) VALUES (%(report)s, 't', 'site', %(context)s, '', %(member)s, now()))",
    "spend AS (INSERT INTO spend (attempt_id, run_id, project_id, experiment_id, token_id, at,"
    " price_tag_version, sources) VALUES (%(attempt)s, %(run)s, %(project)s, %(experiment)s,"
    " %(member)s, now(), 1, '{}'))",
    "idempotency AS (INSERT INTO idempotency_keys (token_id, key, body_sha256, run_id,"
    " created_at) VALUES (%(member)s, 'k', '', %(run)s, now()))",
    "budget AS (INSERT INTO budgets (id, name, scope, scope_id, metric, amount, period,"
    " time_zone, thresholds, refuses, stops, created_at) VALUES (%(budget)s, 'b', 'user',"
    " %(member)s, 'co2e_kg', 5, 'total', 'UTC', '[]', true, true, now()))",
    "factor AS (INSERT INTO factors (id, kind, subject, value, unit, relative_std_ratio,"
    " multiplicative, evidence, source, source_url, year, basis, licence, valid_from, created_at,"
    " entered_by) VALUES (%(factor)s, 'pue', '', 1.2, '', 0.1, false, 'estimated', 's', '', 2026,"
    " '', '', now(), now(), %(admin)s))",
    "price AS (INSERT INTO prices (id, price_id, provider, region, accelerator, unit, amount,"
    " currency, kind, source, source_url, licence, valid_from, created_at, entered_by) VALUES"
    " (%(price)s, 'x', 'p', '', 'H100', 'device_hour', 2, 'EUR', 'spot', 's', '', '', now(),"
    " now(), %(admin)s))",
    "series AS (INSERT INTO carbon_series (id, zone, basis, source, source_url, licence,"
    " relative_std_ratio, content_sha256, created_at, entered_by) VALUES (%(series)s, 'DE', 'b',"
    " 's', '', '', 0.1, '', now(), %(admin)s))",
)
FILL = (
    f"WITH {', '.join(FILL_PARTS)} INSERT INTO audit_log (at, token_id, actor, action,"
    " object_kind, object_id) VALUES (now(), %(admin)s, 'first admin', 'created', 'site', 's'),"
    " (now(), NULL, 'service', 'created', 'token', '1')"
)

REFERENCES = {
    "runs": "created_by",
    "reports": "created_by",
    "factors": "entered_by",
    "prices": "entered_by",
    "carbon_series": "entered_by",
}


def _rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(libpq_url(url)) as connection:
        return connection.execute(query.encode()).fetchall()


def _named(url: str) -> dict[str, list[Any]]:
    """Whom each row names, by table."""
    users = {
        table: sorted(
            (row[0] for row in _rows(url, f"SELECT {column} FROM {table}")),
            key=lambda id_: str(id_),
        )
        for table, column in REFERENCES.items()
    }
    users["budgets"] = [row[0] for row in _rows(url, "SELECT scope_id FROM budgets")]
    return users


def test_every_reference_is_kept_there_and_back(fresh_database_url: str) -> None:
    url = fresh_database_url
    migrate.upgrade(url, "0003")
    ids = _fill(url)
    before = _named(url)
    assert before["runs"] == [MEMBER, None]
    tokens_before = _rows(url, "SELECT id, name, role, secret_sha256, revoked_at FROM tokens")
    migrate.upgrade(url)
    migrate.check(url)

    users = {row[0]: row[1:] for row in _rows(url, "SELECT id, name, role, disabled_at FROM users")}
    revoked_at = {row[0]: row[4] for row in tokens_before}
    assert users == {
        ADMIN: ("first admin", "admin", None),
        MEMBER: ("ada", "member", None),  # the oldest that is in force keeps the name
        TWIN: ("ada (3)", "viewer", None),  # there is an "ada (2)"
        OLD_TWIN: ("ada (4)", "viewer", revoked_at[OLD_TWIN]),
        GONE: ("ada (2)", "member", revoked_at[GONE]),
    }
    tokens = _rows(
        url,
        "SELECT t.id, t.name, u.role, secret_sha256, revoked_at FROM tokens AS t"
        " JOIN users AS u ON u.id = t.user_id AND u.id = t.id",
    )
    assert sorted(tokens, key=str) == sorted(tokens_before, key=str)
    assert _named(url) == before
    assert _rows(url, "SELECT token_id FROM runs WHERE created_by IS NOT NULL") == [(MEMBER,)]
    assert _rows(url, "SELECT user_id FROM spend") == [(MEMBER,)]
    assert _rows(url, "SELECT user_id, key FROM idempotency_keys") == [(MEMBER, "k")]
    assert _rows(url, "SELECT user_id, token_id, actor, access FROM audit_log ORDER BY id") == [
        (ADMIN, ADMIN, "first admin", "token"),
        (None, None, "service", "service"),
    ]
    assert _rows(url, "SELECT report_id, project_id FROM report_projects") == [
        (ids["report"], ids["project"])
    ]
    assert _rows(url, "SELECT visibility FROM projects") == [("open",)]

    downgrade(url, "0003")
    assert _named(url) == before
    tokens = _rows(url, "SELECT id, name, role, secret_sha256, revoked_at FROM tokens")
    assert sorted(tokens, key=str) == sorted(tokens_before, key=str)
    assert _rows(url, "SELECT token_id FROM spend") == [(MEMBER,)]
    assert _rows(url, "SELECT token_id, key FROM idempotency_keys") == [(MEMBER, "k")]
    migrate.upgrade(url)
    migrate.check(url)


def test_a_downgrade_gives_no_token_more_than_it_had(fresh_database_url: str) -> None:
    url = fresh_database_url
    migrate.upgrade(url)
    with psycopg.connect(libpq_url(url)) as new:
        new.execute(
            b"INSERT INTO projects (id, name, description, visibility, created_at)"
            b" VALUES (gen_random_uuid(), 'p', '', 'open', now())"
        )
        users = (
            ("ada", "admin", None),
            ("eve", "admin", "2026-01-01"),
            ("robot", "ingest", None),
        )
        for name, role, disabled in users:
            new.execute(
                "INSERT INTO users (id, name, role, disabled_at, created_at)"
                " VALUES (gen_random_uuid(), %s, %s, %s, now())",
                [name, role, disabled],
            )
        tokens = (
            ("ada", "plain", None, False, None),
            ("ada", "lower", "viewer", False, None),
            ("ada", "scoped", "member", True, None),
            ("ada", "expired", None, False, "2026-01-01"),
            ("eve", "disabled", None, False, None),
            ("robot", "ingest", None, False, None),
        )
        for user, token, lower_role, scoped, expires in tokens:
            new.execute(
                "INSERT INTO tokens (id, user_id, name, role, project_id, expires_at,"
                " secret_sha256, created_at) SELECT gen_random_uuid(), users.id, %s, %s,"
                " CASE WHEN %s THEN projects.id END, %s, gen_random_uuid()::text, now()"
                " FROM users, projects WHERE users.name = %s",
                [token, lower_role, scoped, expires, user],
            )
        new.execute(
            b"INSERT INTO budgets (id, name, scope, scope_id, metric, amount, period, time_zone,"
            b" thresholds, refuses, stops, created_at) SELECT gen_random_uuid(), 'b', 'user', id,"
            b" 'co2e_kg', 5, 'total', 'UTC', '[]', true, true, now() FROM users WHERE name = 'ada'"
        )
    downgrade(url, "0003")
    assert _rows(url, "SELECT name, role, revoked_at IS NULL FROM tokens ORDER BY name") == [
        ("disabled", "admin", False),
        ("expired", "admin", False),
        ("ingest", "viewer", False),
        ("lower", "viewer", True),
        ("plain", "admin", True),
        ("scoped", "member", False),
    ]
    named = "SELECT count(*) FROM budgets JOIN tokens ON tokens.id = scope_id"
    assert _rows(url, named) == [(1,)]
