"""SQL of the energy account: sums of the roll-ups, and of pending hours evaluated on request.

    account = sum of the roll-ups - their share of pending hours + pending hours, evaluated now

in one statement, so that all of it is of one moment. As the roll-ups are exact sums of hours
judged by the same rules, this is the sum over all hours, to the last digit.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.energy.judging import CHARGED, JUDGED, MEASURES, PRODUCT
from app.repositories.energy.named import named_sums
from app.repositories.energy.rollups import (
    ALL,
    PENDING,
    SERIES,
    By,
    Grain,
    Grouping,
    Range,
    bucket,
    mixed,
    negative,
    of,
    rolled,
    rolled_charges,
    superseded,
)
from app.repositories.energy.series import BY_DAY, Scope
from app.repositories.people.visibility import (
    SEES_PROJECT_SQL,
    Viewer,
    sees_every_project,
    sql_values,
)
from models import EnergyHour, Node
from pricetag.accounting.bill.node_account import Entry

Owner = Literal["project", "user"]

_KEYS = {"node_name": "text", "component": "text", "site": "text", "start": "timestamptz"}

# What a row is about; everything else it is not about is null.
_ABOUT: dict[By, tuple[str, ...]] = {
    "node": ("node_name",),
    "component": ("node_name", "component"),
    "site": ("site",),
    "hour": ("start",),
    "day": ("start",),
    "month": ("start",),
}

_EVERY_HOUR = PENDING.replace("energy_pending", "energy_hours")

_LIST = ", ".join(MEASURES)
_PRODUCT = ", ".join(PRODUCT)

_EXACT: dict[str, str] = {
    "total_j": "charged_j + running_j + unallocated_j + undecided_j",
    "rest_j": "unallocated_j + undecided_j",
}


def _sum(name: str) -> str:
    kind = "float8" if name.endswith("_j") else "bigint"
    return f"CAST(sum({_EXACT.get(name, name)}) AS {kind}) AS {name}"


_SUMMED = (*Entry._fields[len(PRODUCT) :], "rest_j")
_TOTALS = ", ".join(map(_sum, _SUMMED))
_NAMES = ", ".join(_SUMMED)

NOBODY = uuid.UUID(int=0)
"""Whose charges have no user, or are hidden."""


async def sums(
    session: AsyncSession, by: By, hours: Range, *, every_hour: bool = False
) -> Sequence[Any]:
    """The account of some hours, by product and the requested grouping, and by product alone.

    Args:
        session: Database session.
        by: What the rows are about.
        hours: Which hours.
        every_hour: Judge every hour now, without the roll-ups: slow; for tests and checks.

    Returns:
        Rows of is_total, node_name, component, site, start, the fields of an entry in their
        order, and rest_j; those of the total come last.
    """
    parts, values = _parts(by, hours, every_hour)
    about = _ABOUT[by]
    keys = ", ".join(
        name if name in about else f"CAST(NULL AS {kind}) AS {name}" for name, kind in _KEYS.items()
    )
    each = ", ".join((*about, *PRODUCT))
    statement = f"""
        WITH {parts}
        SELECT grouping({about[0]}) = 1 AS is_total, {keys}, {_PRODUCT}, {_TOTALS}
        FROM parts
        GROUP BY GROUPING SETS (({each}), ({_PRODUCT})) HAVING sum(hours) > 0
        ORDER BY is_total, {each}
    """
    return (await session.execute(text(statement), values)).all()


async def sums_by_owner(
    session: AsyncSession,
    owner: Owner,
    viewer: Viewer,
    hours: Range,
    *,
    every_hour: bool = False,
) -> Sequence[Any]:
    """Charges of the runs of each project or user by product, and the total by product.

    Args:
        session: Database session.
        owner: Whose charges a row has.
        viewer: Who asks: charges of projects that they may not see are not ``visible``, and
            are one without a name, after the others.
        hours: Which hours.
        every_hour: Judge every hour now, without the roll-ups: slow; for tests and checks.

    Returns:
        Rows of is_total, visible, owner, the fields of an entry in their order, and rest_j;
        those of the total come last.
    """
    parts, values = _parts(None, hours, every_hour)
    scope = await _charge_scope(session, owner, viewer, hours)
    charges, more_values = _charge_parts(hours, every_hour, scope)
    statement = f"""
        WITH {parts}, {CHARGED}, {charges}, {_seen(owner)},
        sums AS (
          SELECT {_owner(owner, "c")}, {_PRODUCT}, {_TOTALS}
          FROM (SELECT *, 0 AS awaited_hours FROM charge_parts) AS c
          LEFT JOIN seen AS p ON p.id = c.project_id
          GROUP BY 1, 2, {_PRODUCT} HAVING sum(hours) > 0
        )
        SELECT false AS is_total, visible, owner, {_PRODUCT}, {_NAMES}
        FROM sums LEFT JOIN owners USING (owner_id)
        UNION ALL
        SELECT true, true, NULL, {_PRODUCT}, {_TOTALS}
        FROM parts GROUP BY {_PRODUCT} HAVING sum(hours) > 0
        ORDER BY is_total, visible DESC, owner NULLS LAST, {_PRODUCT}
    """
    values = values | more_values | sql_values(viewer)
    return (await session.execute(text(statement), values)).all()


_PLACES: dict[Grouping, str] = {
    "node": "node_name",
    "component": "node_name || ' ' || component",
    "site": "coalesce(site, '')",
}
_USED = "charged_j + running_j"


async def largest(
    session: AsyncSession, by: Grouping, hours: Range, limit: int
) -> Sequence[tuple[str, float]]:
    """Name and total (J) of the nodes, components or sites that used most, largest first.

    A component is named by its node and its ID; nodes without a site are a site without a name.
    """
    parts, values = _parts(by, hours, every_hour=False)
    statement = f"""
        WITH {parts}
        SELECT {_PLACES[by]} AS place, CAST(sum({ALL}) AS float8) AS total_j
        FROM parts GROUP BY 1 HAVING sum(hours) > 0 ORDER BY total_j DESC, place LIMIT :limit
    """
    rows = (await session.execute(text(statement), {**values, "limit": limit})).all()
    return [(row.place, row.total_j) for row in rows]


async def sums_over_time(
    session: AsyncSession,
    by: Grouping,
    over: Grain,
    hours: Range,
    named: Sequence[str] | None = None,
) -> Sequence[Any]:
    """The total of each node, component or site, by product and bucket of time.

    Args:
        session: Database session.
        by: What the rows are about, named as in :func:`largest`.
        over: The buckets.
        hours: Which hours.
        named: Only these have their own rows, and the others one without a name.

    Returns:
        Rows of place, start, kind, name, method, gain_std_ratio, total_j and hours, by start.
    """
    if named is not None and hours.node is None:
        statement, values = named_sums(by, _PLACES[by], over, hours)
    else:
        place = _PLACES[by]
        if named is not None:
            place = f"CASE WHEN {place} = ANY (CAST(:named AS text[])) THEN {place} END"
        parts, values = _parts(by, hours, every_hour=False, over=over)
        statement = f"""
            WITH {parts}, placed AS (SELECT {place} AS place, parts.*, {ALL} AS used_j FROM parts)
            SELECT place, start, {_PRODUCT}, CAST(sum(used_j) AS float8) AS total_j,
              CAST(sum(hours) AS bigint) AS hours
            FROM placed
            GROUP BY 1, 2, {_PRODUCT} HAVING sum(hours) > 0 ORDER BY start, 1, {_PRODUCT}
        """
    if named is not None:
        values["named"] = list(named)
    return (await session.execute(text(statement), values)).all()


async def charges_over_time(
    session: AsyncSession,
    owner: Owner,
    viewer: Viewer,
    over: Grain,
    hours: Range,
    most: int | None = None,
) -> Sequence[Any]:
    """Charges of the runs of each project or user, by product and bucket of time.

    Args:
        session: Database session.
        owner: Whose charges a row has.
        viewer: Who asks.
        over: The buckets.
        hours: Which hours, and the one project or user if only one is asked for.
        most: Number of owners with their own rows, those of the largest charges; the others are
            one. One more has its own if it would be the only other.

    Returns:
        Rows of is_other, visible, owner, start, kind, name, method, gain_std_ratio, total_j
        (charged to ended and running runs), running_j (the part of running ones) and hours, by
        start; projects that the viewer may not see are one owner without a name.
    """
    scope = await _charge_scope(session, owner, viewer, hours)
    if most is None or scope == BY_DAY or hours.node is not None:
        shown, values = _every_charge(owner, over, hours, scope, most)
        single = ""
    else:
        shown, values = _largest_charges(owner, over, hours, scope, most)
        single = f"""
            SELECT false AS is_other, visible, owner, start, {_PRODUCT},
              CAST(total_j AS float8) AS total_j, CAST(running_j AS float8) AS running_j,
              CAST(hours AS bigint) AS hours
            FROM named_rows LEFT JOIN owners USING (owner_id) WHERE NOT is_part AND hours > 0
            UNION ALL
        """
    statement = f"""
        WITH {PENDING}, {CHARGED}, {_seen(owner)}, {shown} {single}
        SELECT is_other, visible OR is_other AS visible, CASE WHEN NOT is_other THEN owner END
            AS owner, start, {_PRODUCT}, CAST(sum(total_j) AS float8) AS total_j,
          CAST(sum(running_j) AS float8) AS running_j, CAST(sum(hours) AS bigint) AS hours
        FROM shown LEFT JOIN owners USING (owner_id)
        GROUP BY 1, 2, 3, 4, {_PRODUCT} HAVING sum(hours) > 0
        ORDER BY start, is_other, visible DESC, owner NULLS LAST, {_PRODUCT}
    """
    if most is not None:
        values["most"] = most
    values |= hours.values | sql_values(viewer) | {"nobody": NOBODY}
    return (await session.execute(text(statement), values)).all()


async def _charge_scope(session: AsyncSession, owner: Owner, viewer: Viewer, hours: Range) -> Scope:
    """The scope with the fewest rows from which the charges of owners can be read.

    The charges of a user are of all projects, so that they are of use only to a viewer of all.
    """
    if hours.owner is not None and hours.owner[0] != f"{owner}_id":
        return BY_DAY
    if owner == "project" or await sees_every_project(session, viewer):
        return owner
    return BY_DAY


_SUMS = "sum(total_j) AS total_j, sum(running_j) AS running_j, sum(hours) AS hours"
_CHARGES = f"{_USED} AS total_j, running_j, hours"
_SAME_OWNER = """
    ranked.visible = {row}.visible
    AND coalesce(ranked.owner_id, :nobody) = coalesce({row}.owner_id, :nobody)
"""


def _ranked(most: int | None) -> str:
    """CTE of owners and whether they are among the others, from CTE ``sizes``."""
    is_other = "false" if most is None else "place > :most AND owners > :most + 1"
    return f"""
        ranked AS MATERIALIZED (
          SELECT visible, owner_id, {is_other} AS is_other FROM (
            SELECT visible, owner_id, count(*) OVER () AS owners,
              row_number() OVER (ORDER BY total_j DESC, owner) AS place
            FROM sizes LEFT JOIN owners USING (owner_id)) AS places
        )
    """


def _every_charge(
    owner: Owner, over: Grain, hours: Range, scope: Scope, most: int | None
) -> tuple[str, dict[str, Any]]:
    """CTEs up to ``shown``: the charges of each owner, or of the others, by bucket."""
    charges, values = _charge_parts(hours, every_hour=False, scope=scope, over=over)
    statement = f"""
        {charges},
        sums AS (
          SELECT visible, owner_id, start, {_PRODUCT}, {_SUMS}
          FROM (
            SELECT {_owner(owner, "c")}, c.start, {_PRODUCT}, {_CHARGES}
            FROM charge_parts AS c LEFT JOIN seen AS p ON p.id = c.project_id
            WHERE {hours.owned("c")}) AS own
          GROUP BY 1, 2, 3, {_PRODUCT} HAVING sum(hours) > 0
        ),
        sizes AS (SELECT visible, owner_id, sum(total_j) AS total_j FROM sums GROUP BY 1, 2),
        {_ranked(most)},
        shown AS (
          SELECT ranked.is_other, sums.* FROM sums
          JOIN ranked ON {_SAME_OWNER.format(row="sums")}
        )
    """
    return statement, values


def _largest_charges(
    owner: Owner, over: Grain, hours: Range, scope: Scope, most: int
) -> tuple[str, dict[str, Any]]:
    """The same, but of the hours only those of the largest owners and of all together are read.

    As all sums are exact, what remains of all charges is the sum of the others'. Rows in
    ``named_rows`` that are sums by themselves are not in ``shown`` again.
    """
    in_all, values = rolled_charges(hours, scope=scope, prefix="t")
    whose = "s.id IN (SELECT id FROM named)"
    of_named, named_values = rolled_charges(
        hours, over, scope=scope, whose=whose, with_series=False
    )
    of_all, all_values = rolled_charges(hours, over, scope="charges", prefix="all")
    about = f"r.start, {of('s', PRODUCT)}"
    columns = f"start, {_PRODUCT}, total_j, running_j, hours"
    again = superseded("charge", bucket(over, "r.start"))
    several, more_values = mixed(over, hours)
    statement = f"""
        {several},
        changes AS MATERIALIZED (
          SELECT {_owner(owner, "c")}, c.start, {_PRODUCT}, {_CHARGES}
          FROM (
            SELECT s.project_id, s.user_id, {about}, {negative("r", MEASURES)}
            FROM ({again}) AS r {SERIES}
            UNION ALL
            SELECT project_id, user_id, {bucket(over, "hour")} AS start, {_PRODUCT}, {_LIST}
            FROM charged) AS c
          LEFT JOIN seen AS p ON p.id = c.project_id
        ),
        sizes AS (
          SELECT visible, owner_id, sum(total_j) AS total_j
          FROM (
            SELECT {_owner(owner, "s")}, {_USED} AS total_j, r.hours
            {in_all} LEFT JOIN seen AS p ON p.id = s.project_id
            UNION ALL SELECT visible, owner_id, total_j, hours FROM changes) AS parts
          GROUP BY 1, 2 HAVING sum(hours) > 0
        ),
        {_ranked(most)},
        named AS MATERIALIZED (
          SELECT own.*,
            count(*) OVER (PARTITION BY own.visible, own.owner_id, {_PRODUCT}) > 1 AS is_part
          FROM (
            SELECT s.id, {_owner(owner, "s")}, {of("s", PRODUCT)}
            FROM energy_series AS s LEFT JOIN seen AS p ON p.id = s.project_id
            WHERE s.scope = '{scope}') AS own
          JOIN ranked ON NOT ranked.is_other AND {_SAME_OWNER.format(row="own")}
        ),
        named_rows AS MATERIALIZED (
          SELECT s.is_part OR r.start IN (SELECT start FROM mixed) AS is_part,
            s.visible, s.owner_id, {about}, {_USED} AS total_j, r.running_j, r.hours
          {of_named} JOIN named AS s ON s.id = r.series_id
        ),
        shown AS (
          SELECT false AS is_other, visible, owner_id, {columns} FROM named_rows WHERE is_part
          UNION ALL
          SELECT true, true, NULL, start, {_PRODUCT}, -total_j, -running_j, -hours FROM named_rows
          UNION ALL
          SELECT true, true, NULL, {about}, {_USED}, r.running_j, r.hours {of_all}
          UNION ALL
          SELECT coalesce(ranked.is_other, true), changes.* FROM changes
          LEFT JOIN ranked ON {_SAME_OWNER.format(row="changes")}
        )
    """
    return statement, values | named_values | all_values | more_values


def _seen(owner: Owner) -> str:
    """CTEs of the projects, and of the names of owners."""
    table = "projects" if owner == "project" else "users"
    return f"""
        seen AS MATERIALIZED (
          SELECT p.id, ({SEES_PROJECT_SQL}) AS visible FROM projects AS p),
        owners AS MATERIALIZED (SELECT id AS owner_id, name AS owner FROM {table})
    """


def _owner(owner: Owner, row: str) -> str:
    """Columns: whether a row of a project ``p``, or of all, is seen, and if so its owner."""
    is_visible = "coalesce(p.visible, true)"
    return f"{is_visible} AS visible, CASE WHEN {is_visible} THEN {row}.{owner}_id END AS owner_id"


def _parts(
    by: By | None, hours: Range, every_hour: bool, over: Grain | None = None
) -> tuple[str, dict[str, Any]]:
    """CTEs up to ``parts``: rolled-up sums, without those of pending hours, and these judged."""
    bucketed = by if over is None else over
    judged = f"""
        SELECT node_name, component, site, {bucket(bucketed, "hour")} AS start, {_PRODUCT},
          {_LIST}, awaited_hours FROM judged
    """
    if every_hour:
        return f"{_EVERY_HOUR}, {JUDGED}, parts AS ({judged})", hours.values
    sums, values = rolled(hours, by, over)
    about = f"s.node_name, s.component, s.site, r.start, {of('s', PRODUCT)}"
    again = superseded("component", bucket(bucketed, "r.start"))
    statement = f"""
        {PENDING}, {JUDGED}, superseded AS ({again}),
        parts AS (
          SELECT {about}, {of("r", MEASURES)}, 0 AS awaited_hours
          {sums}
          UNION ALL
          SELECT {about}, {negative("r", MEASURES)}, 0
          FROM superseded AS r {SERIES}
          UNION ALL {judged}
        )
    """
    return statement, hours.values | values


def _charge_parts(
    hours: Range, every_hour: bool, scope: Scope, over: Grain | None = None
) -> tuple[str, dict[str, Any]]:
    """CTEs from ``charged`` up to ``charge_parts``, likewise."""
    start = bucket(over, "hour")
    charged = f"SELECT project_id, user_id, {start} AS start, {_PRODUCT}, {_LIST} FROM charged"
    if every_hour:
        return f"charge_parts AS ({charged})", {}
    sums, values = rolled_charges(hours, over, scope=scope)
    about = f"s.project_id, s.user_id, r.start, {of('s', PRODUCT)}"
    statement = f"""
        superseded_charges AS ({superseded("charge", bucket(over, "r.start"))}),
        charge_parts AS (
          SELECT {about}, {of("r", MEASURES)}
          {sums}
          UNION ALL
          SELECT {about}, {negative("r", MEASURES)}
          FROM superseded_charges AS r {SERIES}
          UNION ALL {charged}
        )
    """
    return statement, values


async def knows_node(session: AsyncSession, name: str) -> bool:
    """Whether a node of this name has ever registered or used energy."""
    # Two statements, the second in the order of its index: without it an unknown name is looked
    # for in all hours.
    registered = select(Node.name).where(Node.name == name).limit(1)
    if (await session.execute(registered)).first() is not None:
        return True
    key = (EnergyHour.node_name, EnergyHour.component, EnergyHour.hour)
    metered = select(EnergyHour.node_name).where(EnergyHour.node_name == name)
    return (await session.execute(metered.order_by(*key).limit(1))).first() is not None
