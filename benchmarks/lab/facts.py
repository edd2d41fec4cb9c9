"""What a filled database holds, for requests that meet the ordinary and the worst cases."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from benchmarks.lab.people import INACTIVE, PRIVATE, PROJECTS

QUERIES = {
    "run": "SELECT run_id FROM price_tags ORDER BY created_at DESC LIMIT 1",
    "old_run": "SELECT run_id FROM price_tags ORDER BY created_at LIMIT 1",
    "repriced": "SELECT run_id FROM price_tags WHERE version > 1 ORDER BY created_at DESC LIMIT 1",
    "resumed": "SELECT run_id FROM attempts WHERE number > 1 ORDER BY started_at DESC LIMIT 1",
    "running": "SELECT run_id FROM attempts WHERE ended_at IS NULL ORDER BY started_at LIMIT 1",
    "traced": """
        SELECT run_id FROM attempts
        WHERE id::text IN (SELECT jsonb_array_elements_text(note) FROM lab.progress
            WHERE step = 'open') LIMIT 1""",
    "private": """
        SELECT r.id FROM runs AS r JOIN projects AS p ON p.id = r.project_id
        WHERE p.visibility = 'private' AND r.status = 'succeeded'
        ORDER BY r.created_at DESC LIMIT 1""",
    "chained": """
        WITH RECURSIVE chain AS (
            SELECT run_id, upstream_run_id, 1 AS depth FROM run_upstreams
            UNION ALL
            SELECT c.run_id, u.upstream_run_id, depth + 1 FROM chain AS c
            JOIN run_upstreams AS u ON u.run_id = c.upstream_run_id WHERE depth < 8
        ) SELECT run_id FROM chain ORDER BY depth DESC, run_id LIMIT 1""",
    "node": "SELECT name FROM nodes ORDER BY name LIMIT 1",
    "user": "SELECT id FROM users WHERE name = 'user 07'",
    "token": "SELECT id FROM tokens WHERE name = 'laptop' ORDER BY id LIMIT 1",
    "budget": "SELECT id FROM budgets ORDER BY name LIMIT 1",
    "object": "SELECT object_id FROM audit_log WHERE object_kind = 'budget' ORDER BY id LIMIT 1",
    "chart": "SELECT sha256 FROM charts ORDER BY used_at DESC LIMIT 1",
    "middle": """
        SELECT id, name, created_at, finished_at,
            (SELECT it_energy_kwh FROM run_figures WHERE run_id = id),
            (SELECT cost FROM run_figures WHERE run_id = id)
        FROM runs WHERE finished_at IS NOT NULL
        AND created_at < (SELECT min(created_at) + (max(created_at) - min(created_at)) / 2
            FROM runs) ORDER BY created_at DESC LIMIT 1""",
    "artifact": """
        SELECT a.id, a.path, t.run_id FROM artifacts AS a JOIN attempts AS t ON t.id = a.attempt_id
        ORDER BY a.created_at DESC LIMIT 1""",
    "until": "SELECT note ->> 'until' FROM lab.progress WHERE step = 'scale'",
    "weeks": "SELECT count(*) FROM lab.progress WHERE step LIKE 'week %'",
    "experiments": """
        SELECT (SELECT name FROM experiments WHERE project_id = p.id ORDER BY name LIMIT 1),
            (SELECT name FROM experiments WHERE project_id = p.id ORDER BY name DESC LIMIT 1)
        FROM projects AS p WHERE name = 'project 00'""",
    "compared": "SELECT array_agg(run_id) FROM (SELECT run_id FROM outcomes LIMIT 6) AS few",
    "hash": "SELECT content_sha256 FROM price_tags ORDER BY created_at DESC LIMIT 1",
    "runs": "SELECT count(*) FROM runs",
}


@dataclass(frozen=True)
class Facts:
    """Names and ids in a filled database."""

    values: dict[str, Any]
    active: str = "project 00"
    small: str = "project 02"
    inactive: str = f"project {PROJECTS - INACTIVE:02d}"
    private: str = f"project {PRIVATE[0]:02d}"

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def until(self) -> datetime:
        return datetime.fromisoformat(self["until"])

    @property
    def old_experiment(self) -> str:
        return str(self["experiments"][0])

    @property
    def new_experiment(self) -> str:
        return str(self["experiments"][1])

    @property
    def week(self) -> int:
        """The last week."""
        return int(self["weeks"]) - 1


def read_facts(connection: psycopg.Connection[Any]) -> Facts:
    """Looks them up; one that is not there is None."""
    values: dict[str, Any] = {}
    for name, query in QUERIES.items():
        row = connection.execute(query.encode()).fetchone()
        one = row[0] if row is not None and len(row) == 1 else row
        values[name] = str(one) if isinstance(one, uuid.UUID) else one
    return Facts(values)
