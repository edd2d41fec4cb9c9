"""Power traces of 1 Hz, written by the database itself: days of readings in seconds."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import psycopg

from app.db import Session, driver_connection
from benchmarks.lab.journals import HOST

FIRST_SEQ = 1000
"""Journals of runs with a trace have fewer records besides its readings."""

TABLES = frozenset({"readings", "reading_blocks"})
"""Tables whose rows of a trace are made again for every repetition."""

# Power is a constant and a wave; the energies are its integral.
READINGS = """
INSERT INTO readings (attempt_id, component, seq, t_s, counter_j, integrated_j, power_w, flags)
SELECT %(attempt_id)s, component, %(first)s + second * %(components)s + place, second,
    CASE WHEN component <> ALL(%(host)s) THEN 5e6 + energy_j END, energy_j,
    round((mean_w + 40 * sin(second / 300.0))::numeric, 3)::double precision, '[]'
FROM generate_series(0, %(seconds)s) AS second
CROSS JOIN unnest(%(names)s::text[]) WITH ORDINALITY AS metered (component, place)
CROSS JOIN LATERAL (SELECT 180 + 35.0 * place AS mean_w) AS power
CROSS JOIN LATERAL (
    SELECT mean_w * second + 40 * 300 * (1 - cos(second / 300.0)) AS energy_j) AS energy
"""


def components_of(devices: Sequence[str]) -> list[str]:
    """Components of an attempt with a trace."""
    return [*(f"gpu:{device}" for device in devices), *HOST]


def values_of(attempt_id: uuid.UUID | str, components: Sequence[str], hours: int) -> dict[str, Any]:
    """The parameters of :data:`READINGS`."""
    return {
        "attempt_id": attempt_id,
        "names": list(components),
        "components": len(components) + 1,
        "first": FIRST_SEQ,
        "seconds": hours * 3600,
        "host": list(HOST),
    }


def last_seq(components: Sequence[str], hours: int) -> int:
    """Beyond every sequence number of a trace's readings."""
    return FIRST_SEQ + (hours * 3600 + 1) * (len(components) + 1)


async def replace_readings(
    session: Session, attempt_id: uuid.UUID, components: Sequence[str], hours: int
) -> None:
    """Replaces an attempt's readings with the trace."""
    connection = await driver_connection(session)
    await connection.execute("DELETE FROM readings WHERE attempt_id = %s", [attempt_id])
    await connection.execute(READINGS, values_of(attempt_id, components, hours))


def add_readings(
    connection: psycopg.Connection[Any],
    attempt_id: str,
    components: Sequence[str],
    hours: int,
) -> None:
    """The same readings for a repetition."""
    connection.execute(READINGS, values_of(attempt_id, components, hours))
