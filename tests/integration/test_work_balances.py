"""What ended attempts used, by how they ended: sums and edges equal the sum over all attempts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.db import Database, Session
from app.repositories.budgets import upkeep as folding
from app.repositories.energy import failed, work
from app.repositories.people.visibility import Viewer
from app.services.budgets import upkeep
from tests.support.plans import planned
from tests.support.spending import History

ALL = Viewer(uuid4(), sees_all=True)

BY_STATUS = """
    SELECT a.status, count(*) AS attempts, count(*) - count(s.it_energy_kwh) AS unknown,
      coalesce(sum(s.it_energy_kwh), 0) AS it_energy_kwh
    FROM spend AS s JOIN attempts AS a ON a.id = s.attempt_id
    WHERE s.at >= :start AND s.at < :stop AND (CAST(:node AS text) IS NULL OR a.node_name = :node)
    GROUP BY 1 ORDER BY 1
"""
ENDED = """
    SELECT a.status, s.currency, count(*) AS attempts,
      count(*) - count(s.it_energy_kwh) AS unknown_it,
      count(*) - count(s.facility_energy_kwh) AS unknown_facility,
      count(*) - count(s.co2e_kg) AS unknown_co2e, count(*) - count(s.cost) AS unknown_cost,
      coalesce(sum(s.it_energy_kwh), 0) AS it_energy_kwh,
      coalesce(sum(s.facility_energy_kwh), 0) AS facility_energy_kwh,
      coalesce(sum(s.co2e_kg), 0) AS co2e_kg, CAST(coalesce(sum(s.cost), 0) AS float8) AS cost,
      array_agg(DISTINCT CASE WHEN s.facility_energy_kwh IS NOT NULL
        THEN s.sources ->> 'facility_energy_kwh' END) AS energy_sources
    FROM spend AS s JOIN attempts AS a ON a.id = s.attempt_id
    WHERE s.{column} = :owner AND s.at >= :start AND s.at < :stop
    GROUP BY 1, 2 ORDER BY 1, 2
"""
ENDS = "SELECT min(at), max(at) FROM spend"


def spans(first: datetime, last: datetime, random: Random) -> list[tuple[datetime, datetime]]:
    """Ranges of full hours: some within a day, some over months."""
    begin = first.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = int((last - begin) / timedelta(hours=1)) + 2
    made = [(begin, begin + timedelta(hours=hours))]
    for _ in range(12):
        start = begin + timedelta(hours=random.randrange(hours))
        made.append((start, start + timedelta(hours=random.choice((1, 30, 400, 3000)))))
    midnight = begin.replace(hour=0, day=1)
    return [*made, (midnight, midnight + timedelta(days=31))]


async def rows(session: Session, query: str, **values: Any) -> Sequence[Any]:
    return (await session.execute(text(query), values)).all()


def plain(row: Any, names: Sequence[str]) -> dict[str, Any]:
    """A row, sums of floats to twelve digits: their last ones depend on the order of the sum."""
    values = {name: getattr(row, name) for name in names}
    return {
        name: pytest.approx(value, rel=1e-12, abs=1e-12) if isinstance(value, float) else value
        for name, value in values.items()
    }


async def compare(session: Session, random: Random) -> None:
    """The sums of random ranges, of everybody and of each owner, with the sums of all rows."""
    ((first, last),) = await rows(session, ENDS)
    nodes = [row[0] for row in await rows(session, "SELECT DISTINCT node_name FROM attempts")]
    columns = ("status", "attempts", "unknown", "it_energy_kwh")
    for start, stop in spans(first, last, random):
        for node in (None, *nodes[:2]):
            expected = await rows(session, BY_STATUS, start=start, stop=stop, node=node)
            actual = await failed.by_status(session, None, ALL, start, stop, node)
            assert [plain(row, columns) for row in actual] == [
                {name: getattr(row, name) for name in columns} for row in expected
            ]
        for owner in ("project", "user"):
            ids = await rows(session, f"SELECT DISTINCT {owner}_id FROM spend")
            for (owner_id,) in ids:
                if owner_id is None:
                    continue
                query = ENDED.format(column=f"{owner}_id")
                expected = await rows(session, query, owner=owner_id, start=start, stop=stop)
                actual = await work.ended(session, owner, owner_id, ALL, start, stop)
                names = list(expected[0]._fields) if expected else []
                by_key = sorted(actual, key=lambda row: (row.status, row.currency or "~"))
                assert [plain(row, names) for row in by_key] == [
                    {name: getattr(row, name) for name in names} for row in expected
                ]


@pytest.mark.parametrize("seed", [1, 2])
async def test_sums_of_any_range_equal_those_of_all_attempts(
    committed_db: Database, seed: int
) -> None:
    history = History(seed)
    random = Random(seed)
    async with committed_db.session_scope() as session:
        await history.begin(session, 80)
        await compare(session, random)
    async with committed_db.session_scope() as session:
        await folding.fold(session)
        await compare(session, random)


async def test_a_lost_attempt_whose_true_end_comes_later_moves(committed_db: Database) -> None:
    history = History(3)
    async with committed_db.session_scope() as session:
        await history.begin(session, 60)
        for status in ("lost", "succeeded", "failed"):
            await session.execute(
                text(
                    "UPDATE attempts SET status = :status WHERE id IN"
                    " (SELECT attempt_id FROM spend ORDER BY attempt_id LIMIT 20)"
                ),
                {"status": status},
            )
            await compare(session, Random(status))
        assert [await upkeep.wrong_sums(session, part) for part in await upkeep.parts(session)] == (
            [0] * len(await upkeep.parts(session))
        )


async def test_a_year_reads_sums_and_no_more_than_two_days_of_attempts(
    committed_db: Database,
) -> None:
    stop = datetime(2026, 11, 30, 2, tzinfo=UTC)
    start = stop - timedelta(days=365) + timedelta(hours=5)
    async with committed_db.session_scope() as session:
        with planned(committed_db) as plans:
            await failed.by_status(session, "project", ALL, start, stop, None)
    (plan,) = plans
    edges = [node for node in plan.nodes if node.get("Relation Name") == "spend"]
    assert len(edges) == 2
    assert sum(node.get("Relation Name") == "work_balances" for node in plan.nodes) == 4
