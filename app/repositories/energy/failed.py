"""SQL of the energy of attempts by final status."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.energy.ended import COLUMNS, KEY, SUMS, ended, ended_on
from app.repositories.people.visibility import SEES_PROJECT_SQL, Viewer, sql_values
from pricetag.accounting.quantity.quantity import SOURCES

Owner = Literal["project", "user"]

WEAKEST_IT = (
    f"max(array_position(CAST('{{{','.join(SOURCES)}}}' AS text[]), CAST(s.it_source AS text)))"
)
"""SQL of the weakest evidence behind the IT energy of sums of ended attempts `s`, from 1."""

_OWNERS = {"project": "p.name", "user": "u.name", None: "CAST(NULL AS text)"}

_BY_STATUS = """
    WITH lines ({columns}) AS ({ended}), ended AS (
      SELECT project_id, user_id, status, sum(attempts) AS attempts,
        sum(attempts - it_energies) AS unknown, sum(it_energy_kwh) AS it_energy_kwh,
        {weakest} AS weakest
      FROM (SELECT {key}, {sums} FROM lines GROUP BY {key} HAVING sum(attempts) > 0) AS s
      GROUP BY 1, 2, 3
    ), owned AS (
      SELECT ({sees}) AS visible, {owner} AS owner, ended.*
      FROM ended JOIN projects AS p ON p.id = ended.project_id
      LEFT JOIN users AS u ON u.id = ended.user_id
    )
    SELECT {visible} AS visible, CASE WHEN {visible} THEN owner END AS owner, status,
      CAST(sum(attempts) AS bigint) AS attempts, CAST(sum(unknown) AS bigint) AS unknown,
      CAST(coalesce(sum(it_energy_kwh), 0) AS float8) AS it_energy_kwh, max(weakest) AS weakest
    FROM owned GROUP BY 1, 2, 3 ORDER BY 1 DESC, 2 NULLS LAST, 3
"""


async def by_status(
    session: AsyncSession,
    owner: Owner | None,
    viewer: Viewer,
    start: datetime,
    stop: datetime,
    node: str | None,
) -> Sequence[Any]:
    """Energy of the attempts that ended in a range, by status and owner.

    Args:
        session: Database session.
        owner: Whose energy a row has; None for everybody's.
        viewer: Who asks; projects that they may not see are one owner without a name.
        start: Beginning of the range.
        stop: Its end, exclusive.
        node: Only attempts on this node.

    Returns:
        Rows of visible, owner, status, attempts, unknown (attempts of unknown energy),
        it_energy_kwh and weakest (place of its weakest evidence in `SOURCES`, from 1; None where
        no energy is known).
    """
    visible = "true" if owner is None else "visible"
    lines = ended(start, stop) if node is None else ended_on(start, stop)
    statement = _BY_STATUS.format(
        columns=", ".join(COLUMNS),
        key=KEY,
        sums=SUMS,
        ended=lines.sql,
        weakest=WEAKEST_IT,
        sees=SEES_PROJECT_SQL,
        owner=_OWNERS[owner],
        visible=visible,
    )
    values = {**lines.values, **({} if node is None else {"node": node}), **sql_values(viewer)}
    return (await session.execute(text(statement), values)).all()
