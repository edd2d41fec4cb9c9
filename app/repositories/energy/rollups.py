"""SQL that adds up rows of the roll-ups: the sums of a range, and those of pending hours."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from app.repositories.energy.calendar import LEVELS, Level, Segment, cover, floor
from app.repositories.energy.judging import MEASURES, VALUES
from app.repositories.energy.series import BY_DAY, Scope

By = Literal["node", "component", "site", "hour", "day", "month"]
Grain = Literal["hour", "day", "month"]
Grouping = Literal["node", "component", "site"]

HOUR = timedelta(hours=1)

PENDING = """
    chosen_hours AS MATERIALIZED (
      SELECT DISTINCT node_name, hour FROM energy_pending
      WHERE hour >= :start AND hour < :stop
        AND (CAST(:node AS text) IS NULL OR node_name = :node)
    )
"""
"""CTE of the hours that changed since they were rolled up."""

ALL = "charged_j + running_j + unallocated_j + undecided_j"
"""All energy of a row."""


@dataclass(frozen=True, slots=True)
class Range:
    """Full UTC hours, of one node or of all.

    Attributes:
        start: Beginning of the first hour.
        stop: End of the last hour.
        node: Of this node alone.
        now: The present; None for the database's clock.
        owner: Of charges, those of this project or user alone.
    """

    start: datetime
    stop: datetime
    node: str | None = None
    now: datetime | None = None
    owner: tuple[Literal["project_id", "user_id"], uuid.UUID] | None = None

    @property
    def values(self) -> dict[str, Any]:
        """Parameters of the statements."""
        about = {"start": self.start, "stop": self.stop, "node": self.node, "now": self.now}
        owner = {} if self.owner is None else {"owner_id": self.owner[1]}
        return about | owner | VALUES

    def owned(self, table: str) -> str:
        """The condition on the owner of a table's rows; true for everybody's."""
        return "true" if self.owner is None else f"{table}.{self.owner[0]} = :owner_id"


def bucket(by: By | None, hour: str) -> str:
    """The hour, day or month of a row; null if rows are grouped by something else."""
    if by in ("hour", "day", "month"):
        return f"date_trunc('{by}', {hour}, 'UTC')"
    return "CAST(NULL AS timestamptz)"


def rolled(
    hours: Range,
    by: By | None,
    over: Grain | None = None,
    *,
    prefix: str = "r",
) -> tuple[str, dict[str, Any]]:
    """Sums of component-hours by series and bucket, with the statement's parameters.

    Its rows are ``r``, their series ``s``.

    Args:
        hours: Which hours.
        by: What the rows are about.
        over: Buckets of rows that are about something else than a time; None for one sum.
        prefix: Of the parameters.
    """
    scope = _scope(by, hours.node)
    bucketed = by if over is None else over
    scopes: dict[Level, Scope] = dict.fromkeys(LEVELS, scope)
    segments = cover(hours.start, hours.stop, _levels(bucketed))
    sums, values = _sums(hours, bucketed, segments, scopes, prefix, over is None)
    return f"{sums} {_few_series(_whose(scope, hours))}", values


def rolled_of_few(
    by: Grouping, over: Grain, hours: Range, whose: str, prefix: str
) -> tuple[str, str, dict[str, Any]]:
    """The rows, as ``r``, of a few series of all nodes, and beside them the lab's.

    Args:
        by: What the few series are about.
        over: The buckets.
        hours: Which hours.
        whose: The condition on the few series.
        prefix: Of the parameters.

    Returns:
        The rows; the condition on all these series; and the statement's parameters.
    """
    segments = cover(hours.start, hours.stop, _levels(over))
    scope = _scope(by, None)
    both = f"((s.scope = '{scope}' AND {whose}) OR s.scope = 'lab')"
    scopes: dict[Level, Scope] = dict.fromkeys(LEVELS, scope)
    sums, values = _sums(hours, over, segments, scopes, prefix, grouped=False, few=both)
    return sums, both, values


def mixed(over: Grain, hours: Range) -> tuple[str, dict[str, Any]]:
    """CTE of the buckets of which one series may have several rows, to be added up.

    These are where an hour is pending, and where the range begins or ends within a bucket.
    """
    cut = {
        floor(start, over)
        for segment in cover(hours.start, hours.stop, _levels(over))
        if segment.level != over or segment.sign < 0
        for start in (segment.start, segment.stop - HOUR)
    }
    statement = f"""
        mixed AS MATERIALIZED (
          SELECT {bucket(over, "hour")} AS start FROM chosen_hours
          UNION SELECT unnest(CAST(:cut AS timestamptz[]))
        )
    """
    return statement, {"cut": sorted(cut)}


def _scope(by: By | None, node: str | None) -> Scope:
    """The scope with the fewest rows that has what rows are about."""
    if by == "component" or (by == "site" and node is not None):
        return "component"
    if by == "site":
        return "site"
    return "lab" if by != "node" and node is None else "node"


def _levels(by: By | None) -> tuple[Level, ...]:
    """The levels of the roll-ups that are not coarser than the buckets."""
    return LEVELS if by not in ("hour", "day") else LEVELS[LEVELS.index(by) :]


def rolled_charges(
    hours: Range,
    over: Grain | None = None,
    *,
    scope: Scope = BY_DAY,
    whose: str = "true",
    prefix: str = "q",
    with_series: bool = True,
) -> tuple[str, dict[str, Any]]:
    """Sums of what runs are charged, by series and bucket, likewise.

    Args:
        hours: Which hours.
        over: Buckets; None for one sum.
        scope: Of the series, if the hours of all nodes are asked for.
        whose: A condition on few series, if not all are wanted.
        prefix: Of the parameters.
        with_series: Whether to join the series, as ``s``.
    """
    used = "charge" if hours.node is not None else scope
    hourly: Scope = "charge" if used == BY_DAY else used
    scopes: dict[Level, Scope] = {"month": used, "day": used, "hour": hourly}
    segments = cover(hours.start, hours.stop, _levels(over))
    sums, values = _sums(hours, over, segments, scopes, prefix, over is None, whose)
    series = _own_series(hours, {used, hourly}) if with_series else ""
    return f"{sums} {series}", values


def _whose(scope: Scope, hours: Range, more: str = "true") -> str:
    of_node = "" if hours.node is None else " AND s.node_name = :node"
    of_owner = "" if hours.owner is None else f" AND {hours.owned('s')}"
    of_more = "" if more == "true" else f" AND {more}"
    return f"s.scope = '{scope}'{of_node}{of_owner}{of_more}"


def _own_series(hours: Range, scopes: set[Scope]) -> str:
    of_scopes = ", ".join(f"'{scope}'" for scope in sorted(scopes))
    if hours.owner is not None:
        return _few_series(f"s.scope IN ({of_scopes}) AND {hours.owned('s')}")
    return SERIES if hours.node is None else _few_series("s.node_name = :node")


def _few_series(whose: str) -> str:
    """The same, if all rows of a few series are read at once."""
    return f"""
        JOIN (SELECT * FROM energy_series AS s WHERE {whose} OFFSET 0) AS s ON s.id = r.series_id
    """


# The subqueries are fences: what lies side by side is read together. At the ends of its
# histogram the planner takes a range for empty, and would look up each series for each row.


def superseded(scope: Scope, start: str) -> str:
    """What the roll-ups have of ``chosen_hours``, hour by hour, ``start`` made of ``r.start``."""
    return f"""
        SELECT r.series_id, {start} AS start, {of("r", MEASURES)}
        FROM (
          SELECT one_hour.*, s.node_name
          FROM (SELECT DISTINCT hour FROM chosen_hours) AS h
          CROSS JOIN LATERAL (
            SELECT * FROM energy_rollup_hours AS one WHERE one.start = h.hour OFFSET 0) AS one_hour
          CROSS JOIN LATERAL (
            SELECT node_name FROM energy_series
            WHERE id = one_hour.series_id AND scope = '{scope}' OFFSET 0) AS s
          OFFSET 0) AS r
        JOIN chosen_hours AS c ON c.hour = r.start AND c.node_name = r.node_name
    """


SERIES = """
    CROSS JOIN LATERAL (
      SELECT * FROM energy_series AS one WHERE one.id = r.series_id OFFSET 0) AS s
"""
"""A join, as ``s``, of the series of each row ``r``: one look-up a row, of however many series."""


def of(table: str, columns: Iterable[str]) -> str:
    """Columns of a table, as a list to select."""
    return ", ".join(f"{table}.{name}" for name in columns)


def negative(table: str, columns: Iterable[str]) -> str:
    """The same, each with its sign changed."""
    return ", ".join(f"-{table}.{name} AS {name}" for name in columns)


def _sums(
    hours: Range,
    by: By | None,
    segments: Sequence[Segment],
    scopes: dict[Level, Scope],
    prefix: str,
    grouped: bool,
    more: str = "true",
    few: str | None = None,
) -> tuple[str, dict[str, Any]]:
    """The rows of the segments; added up by series and bucket where there are several, if asked."""
    values: dict[str, Any] = {}
    selects = []
    for number, segment in enumerate(segments):
        names = [f"{prefix}{number}_{name}" for name in ("start", "stop", "last")]
        count = (segment.stop - segment.start) // HOUR
        values |= zip(names, (segment.start, segment.stop, count - 1), strict=True)
        scope = scopes[segment.level]
        whose = few or _whose(scope, hours, more)
        is_few = few is not None or hours.node is not None or more != "true"
        if segment.level != "hour":
            rows = _series(segment.level, names, whose)
        elif is_few or scope not in ("component", "charge"):
            rows = _hours_of_few(names, whose)
        else:
            has_few = scope == "component"
            rows = _hours_of_all(names, whose, _few_series(whose) if has_few else SERIES)
        columns = of("r", MEASURES) if segment.sign > 0 else negative("r", MEASURES)
        selects.append(f"SELECT r.series_id, {bucket(by, 'r.start')} AS start, {columns} {rows}")
    total = ", ".join(f"sum({name}) AS {name}" for name in MEASURES)
    union = " UNION ALL ".join(selects)
    if grouped and (
        len(segments) > 1 or by != segments[0].level
    ):  # else each row is a sum by itself
        union = f"SELECT series_id, start, {total} FROM ({union}) AS rows GROUP BY 1, 2"
    return f"FROM ({union}) AS r", values


def _series(level: Level, names: Sequence[str], whose: str) -> str:
    start, stop, _ = names
    return f"""
        FROM energy_series AS s CROSS JOIN LATERAL (
          SELECT * FROM energy_rollup_{level}s AS one WHERE one.series_id = s.id
            AND one.start >= :{start} AND one.start < :{stop} OFFSET 0) AS r
        WHERE {whose}
    """


def _hours_of_few(names: Sequence[str], whose: str) -> str:
    """Hours of a few series: both arrays bound one index scan, which skips other series."""
    hours = f"SELECT {_hour(names)} FROM {_numbers(names)}"
    series = f"SELECT s.id FROM energy_series AS s WHERE {whose}"
    return f"""
        FROM energy_rollup_hours AS r
        WHERE r.start = ANY (ARRAY({hours})) AND r.series_id = ANY (ARRAY({series}))
    """


def _hours_of_all(names: Sequence[str], whose: str, series: str) -> str:
    return f"""
        FROM {_numbers(names)} CROSS JOIN LATERAL (
          SELECT * FROM energy_rollup_hours AS one WHERE one.start = {_hour(names)} OFFSET 0) AS r
        {series} WHERE {whose}
    """


def _numbers(names: Sequence[str]) -> str:
    return f"generate_series(0, CAST(:{names[2]} AS int)) AS t (number)"


def _hour(names: Sequence[str]) -> str:
    return f"CAST(:{names[0]} AS timestamptz) + t.number * interval '1 hour'"
