"""SQL that adds up rows of the roll-ups: the sums of a range, and those of pending hours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from app.repositories.energy_calendar import LEVELS, Level, Segment, cover
from app.repositories.energy_judging import MEASURES, VALUES

By = Literal["node", "component", "site", "hour", "day", "month"]
Scope = Literal["component", "lab", "charge", "lab-charge"]

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Range:
    """Full UTC hours, of one node or of all.

    Attributes:
        start: Beginning of the first hour.
        stop: End of the last hour.
        node: Of this node alone.
        now: The present; None for the database's clock.
    """

    start: datetime
    stop: datetime
    node: str | None = None
    now: datetime | None = None

    @property
    def values(self) -> dict[str, Any]:
        """Parameters of the statements."""
        about = {"start": self.start, "stop": self.stop, "node": self.node, "now": self.now}
        return about | VALUES


def bucket(by: By | None, hour: str) -> str:
    """The hour, day or month that a row is about; null for rows that are about something else."""
    if by in ("hour", "day", "month"):
        return f"date_trunc('{by}', {hour}, 'UTC')"
    return "CAST(NULL AS timestamptz)"


def rolled(hours: Range, by: By | None) -> tuple[str, dict[str, Any]]:
    """Sums of component-hours by series and bucket, with the statement's parameters."""
    levels = LEVELS if by not in ("hour", "day") else LEVELS[LEVELS.index(by) :]
    is_lab = hours.node is None and by in (None, "hour", "day", "month")
    scopes: dict[Level, Scope] = dict.fromkeys(LEVELS, "lab" if is_lab else "component")
    return _sums(hours, by, cover(hours.start, hours.stop, levels), scopes, "r")


def rolled_charges(hours: Range) -> tuple[str, dict[str, Any]]:
    """Sums of what runs are charged, by series."""
    lab: Scope = "lab-charge" if hours.node is None else "charge"
    # Hours of all nodes together are not kept.
    scopes: dict[Level, Scope] = {"month": lab, "day": lab, "hour": "charge"}
    return _sums(hours, None, cover(hours.start, hours.stop), scopes, "q")


# The subqueries are fences: what lies side by side is read together. At the ends of its
# histogram the planner takes a range for empty, and would look up each series for each row.


def superseded(scope: Scope, start: str) -> str:
    """What the roll-ups have of ``chosen_hours``, hour by hour, ``start`` made of ``r.start``."""
    return f"""
        SELECT r.series_id, {start} AS start, {of("r", MEASURES)}
        FROM (SELECT DISTINCT hour FROM chosen_hours) AS h
        CROSS JOIN LATERAL (
          SELECT * FROM energy_rollup_hours AS one WHERE one.start = h.hour OFFSET 0) AS r
        JOIN energy_series AS s ON s.id = r.series_id AND s.scope = '{scope}'
        JOIN chosen_hours AS c ON c.hour = r.start AND c.node_name = s.node_name
    """


def series_of(rows: str) -> str:
    """A join, as ``s``, of the series of each row: one look-up a row, of however many series."""
    return f"""
        CROSS JOIN LATERAL (
          SELECT * FROM energy_series AS one WHERE one.id = {rows}.series_id OFFSET 0) AS s
    """


def of(table: str, columns: Iterable[str]) -> str:
    """Columns of a table, as a list to select."""
    return ", ".join(f"{table}.{name}" for name in columns)


def negative(table: str, columns: Iterable[str]) -> str:
    """The same, each with its sign changed."""
    return ", ".join(f"-{table}.{name} AS {name}" for name in columns)


def _sums(
    hours: Range,
    by: By | None,
    segments: Iterable[Segment],
    scopes: dict[Level, Scope],
    prefix: str,
) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {}
    selects = []
    for number, segment in enumerate(segments):
        names = [f"{prefix}{number}_{name}" for name in ("start", "stop", "last")]
        count = (segment.stop - segment.start) // HOUR
        values |= zip(names, (segment.start, segment.stop, count - 1), strict=True)
        scope = scopes[segment.level]
        few = scope == "lab" or hours.node is not None
        joined = _hours(names, few) if segment.level == "hour" else _series(segment.level, names)
        columns = of("r", MEASURES) if segment.sign > 0 else negative("r", MEASURES)
        own = "" if hours.node is None else "AND s.node_name = :node"
        selects.append(
            f"SELECT r.series_id, {bucket(by, 'r.start')} AS start, {columns} {joined}"
            f" WHERE s.scope = '{scope}' {own}"
        )
    total = ", ".join(f"sum({name}) AS {name}" for name in MEASURES)
    union = " UNION ALL ".join(selects)
    return f"SELECT series_id, start, {total} FROM ({union}) AS rows GROUP BY 1, 2", values


def _series(level: Level, names: Sequence[str]) -> str:
    start, stop, _ = names
    return f"""
        FROM energy_series AS s CROSS JOIN LATERAL (
          SELECT * FROM energy_rollup_{level}s AS one WHERE one.series_id = s.id
            AND one.start >= :{start} AND one.start < :{stop} OFFSET 0) AS r
    """


def _hours(names: Sequence[str], few: bool) -> str:
    start, _, last = names
    hour = f"CAST(:{start} AS timestamptz) + t.number * interval '1 hour'"
    numbers = f"generate_series(0, CAST(:{last} AS int)) AS t (number)"
    if few:  # of each hour's series
        return f"""
            FROM {numbers} CROSS JOIN energy_series AS s CROSS JOIN LATERAL (
              SELECT * FROM energy_rollup_hours AS one
              WHERE one.start = {hour} AND one.series_id = s.id OFFSET 0) AS r
        """
    return f"""
        FROM {numbers} CROSS JOIN LATERAL (
          SELECT * FROM energy_rollup_hours AS one WHERE one.start = {hour} OFFSET 0) AS r
        JOIN energy_series AS s ON s.id = r.series_id
    """
