"""A history of node hours as a version without roll-ups left it."""

from __future__ import annotations

from datetime import UTC, datetime

BEGIN = datetime(2026, 1, 25, tzinfo=UTC)
DAYS = 10
# As an earlier version wrote it: two nodes, attempts that ended, one that is open.
FILL = f"""
SELECT setseed(0.5);
INSERT INTO projects (id, name, description, visibility, created_at)
SELECT gen_random_uuid(), 'project ' || n, '', 'open', now() FROM generate_series(1, 2) AS n;
INSERT INTO experiments (id, project_id, name, description, created_at)
SELECT gen_random_uuid(), id, 'e', '', now() FROM projects;
INSERT INTO runs (id, project_id, experiment_id, name, tags, kind, recipe, gpus, pool, priority,
    max_attempts, status, created_at)
SELECT gen_random_uuid(), place.project_id, place.id, 'run ' || n, '{{}}', 'train', '{{}}', 0,
    'default', 0, 3, 'succeeded', now()
FROM generate_series(0, 19) AS n
JOIN (SELECT *, row_number() OVER () AS k FROM experiments) AS place ON place.k = n % 2 + 1;
INSERT INTO attempts (id, run_id, number, status, worker, node_name, devices, components,
    started_at, lease_renewed_at, ended_at, ingested_seq, shares_overlaps)
SELECT gen_random_uuid(), id, 1, 'failed', 'w', (ARRAY['a', 'b'])[k % 2 + 1], '[]', '[]',
    timestamptz '{BEGIN.isoformat()}' + k * interval '11 hours', now(),
    CASE WHEN k < 20 THEN now() END, 0, false
FROM (SELECT id, row_number() OVER () AS k FROM runs) AS r;
INSERT INTO energy_hours (id, node_name, component, name, kind, method, gain_std_ratio, hour,
    energy_j, covered_s, flags)
SELECT gen_random_uuid(), node, 'gpu:1', 'H200', 'gpu', 'counter', 0.05, hour, random() * 1e6,
    3600, '[]'
FROM unnest(ARRAY['a', 'b']) AS node, generate_series(timestamptz '{BEGIN.isoformat()}',
    timestamptz '{BEGIN.isoformat()}' + interval '{DAYS} days', '1 hour') AS hour;
INSERT INTO energy_hours (id, node_name, component, name, kind, method, gain_std_ratio, hour,
    attempt_id, energy_j, covered_s, flags)
SELECT gen_random_uuid(), node_name, 'gpu:1', 'H200', 'gpu', 'counter', 0.05,
    date_trunc('hour', started_at) + k * interval '1 hour', id, random() * 4e5, 3000, '[]'
FROM attempts, generate_series(0, 5) AS k;
"""
