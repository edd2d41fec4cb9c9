"""What each node's own meter read, hour by hour: idle energy, and all that runs were charged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg

from benchmarks.lab.journals import IDLE_W, components_of
from benchmarks.lab.people import Machine
from benchmarks.lab.scale import Scale

SPAN = timedelta(days=30)

COMPONENTS = """
CREATE TABLE IF NOT EXISTS lab.components (
    node_name text, site text, component text, name text, kind text, method text,
    gain_std_ratio double precision, idle_w double precision, PRIMARY KEY (node_name, component))
"""

HOURS = """
INSERT INTO energy_hours (id, node_name, component, name, kind, method, gain_std_ratio, hour,
    attempt_id, site, energy_j, covered_s, flags)
SELECT gen_random_uuid(), c.node_name, c.component, c.name, c.kind, c.method, c.gain_std_ratio,
    hour, NULL, c.site,
    c.idle_w * (0.97 + 0.06 * random()) * greatest(3600 - coalesce(charged.covered_s, 0), 30)
        + coalesce(charged.energy_j, 0), 3600, '[]'
FROM generate_series(%(start)s, %(stop)s - interval '1 hour', interval '1 hour') AS hour
CROSS JOIN lab.components AS c
LEFT JOIN (
    SELECT node_name, component, hour, sum(energy_j) AS energy_j, sum(covered_s) AS covered_s
    FROM energy_hours
    WHERE attempt_id IS NOT NULL AND hour >= %(start)s AND hour < %(stop)s
    GROUP BY node_name, component, hour
) AS charged USING (node_name, component, hour)
ORDER BY hour
"""


def enter_components(connection: psycopg.Connection[Any], machines: Sequence[Machine]) -> None:
    """A row for every metered component of the lab."""
    connection.execute(COMPONENTS.encode())
    rows = [
        (
            machine.name,
            machine.site,
            one["id"],
            one["name"],
            one["kind"],
            one["method"],
            one["gain_std_ratio"],
            IDLE_W[one["kind"]],
        )
        for machine in machines
        for one in components_of(machine.devices)
    ]
    with connection.cursor() as cursor:
        insert = "INSERT INTO lab.components VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
        cursor.executemany(insert + " ON CONFLICT DO NOTHING", rows)


def spans(scale: Scale) -> Iterator[tuple[datetime, datetime]]:
    """The history in months."""
    start = scale.start
    while start < scale.until:
        stop = min(start + SPAN, scale.until)
        yield start, stop
        start = stop


def write_hours(connection: psycopg.Connection[Any], start: datetime, stop: datetime) -> int:
    """Writes the hours of all components; each at least what its runs were charged."""
    return connection.execute(HOURS, {"start": start, "stop": stop}).rowcount
