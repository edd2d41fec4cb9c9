"""Figures of runs beside their price tags are those of the newest version, wherever a run goes."""

from __future__ import annotations

import uuid
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import text

from app.db import Session
from tests.support.run_lists import BEGIN, Lab

DIFFERENT = text(
    """
    SELECT count(*) FROM runs AS r
    LEFT JOIN run_figures AS f ON f.run_id = r.id
    LEFT JOIN LATERAL (SELECT * FROM price_tags WHERE run_id = r.id
        ORDER BY version DESC LIMIT 1) AS t ON true
    WHERE (f.project_id, f.experiment_id, f.kind, f.created_at, f.finished_at) IS DISTINCT FROM
            (r.project_id, r.experiment_id, r.kind, r.created_at, r.finished_at)
        OR (f.created_by, f.status) IS DISTINCT FROM (r.created_by,
            CASE WHEN r.status NOT IN ('queued', 'running') THEN r.status END)
        OR (f.version, f.it_energy_kwh, f.cost, f.currency) IS DISTINCT FROM
            (coalesce(t.version, 0), t.it_energy_kwh, t.cost, t.currency)
    """
)


async def different(session: Session) -> int:
    return int((await session.execute(DIFFERENT)).scalar_one())


async def test_figures_follow_new_versions_and_runs_that_end_or_move(session: Session) -> None:
    lab = Lab(session)
    await lab.fill(120)
    counted = "SELECT count(*) FROM run_figures WHERE version > 1"
    assert (await session.execute(text(counted))).scalar_one() > 20
    without = "SELECT count(*) FROM run_figures WHERE version = 0"
    assert (await session.execute(text(without))).scalar_one() > 10
    assert await different(session) == 0
    values = {"at": BEGIN + timedelta(days=3), "project": lab.projects["other"]}
    values |= {"experiment": lab.experiments["other", "e1"]}
    move = "UPDATE runs SET finished_at = :at, project_id = :project, experiment_id = :experiment"
    await session.execute(text(move), values)
    assert await different(session) == 0
    await session.execute(text("UPDATE runs SET kind = 'train+prune' WHERE kind = 'train'"))
    assert await different(session) == 0
    moves = (
        "UPDATE runs SET created_by = NULL WHERE kind = 'train+prune'",
        "UPDATE runs SET status = 'queued', finished_at = NULL WHERE status = 'failed'",
        "UPDATE runs SET status = 'cancelled', finished_at = created_at WHERE status = 'running'",
    )
    for statement in moves:
        moved = await session.execute(text(statement))
        assert getattr(moved, "rowcount", 0) > 0, statement
        assert await different(session) == 0
    # A later version is written before an earlier one.
    earlier = "INSERT INTO price_tags SELECT gen_random_uuid() AS id, {columns} FROM price_tags"
    columns = "run_id, 0 AS version, accounting_version, cause, content, content_sha256, created_at"
    names = "(id, run_id, version, accounting_version, cause, content, content_sha256, created_at)"
    statement = earlier.replace("price_tags SELECT", f"price_tags {names} SELECT", 1)
    await session.execute(text(statement.format(columns=columns) + " WHERE version = 1"))
    assert await different(session) == 0
    await lab.add(5, Random(5))
    assert await different(session) == 0


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM run_figures WHERE version <> 2",
        "UPDATE run_figures SET version = 0, it_energy_kwh = NULL, cost = NULL, currency = NULL"
        " WHERE version = 1",
    ],
)
async def test_missing_and_old_rows_are_filled_range_by_range(
    session: Session, damage: str
) -> None:
    lab = Lab(session)
    await lab.fill(120)
    await session.execute(text(damage))
    before = await different(session)
    ids = sorted(run["id"] for run in lab.runs)
    some = text("SELECT pricetag_fill_run_figures(:after, :upto)")
    await session.execute(some, {"after": uuid.UUID(int=0), "upto": ids[60]})
    assert 0 < await different(session) < before
    await session.execute(text("SELECT pricetag_fill_run_figures()"))
    assert await different(session) == 0
