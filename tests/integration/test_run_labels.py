"""Labels of runs are their names and tags, whoever writes them."""

from __future__ import annotations

import uuid
from random import Random

from sqlalchemy import text

from app.db import Session
from tests.support.run_lists import Lab

LABELS = text("SELECT kind, label FROM run_labels")
MISSING = text(
    """
    SELECT kind, label FROM (
        SELECT 'name' AS kind, name AS label FROM runs UNION SELECT 'tag', unnest(tags) FROM runs
    ) AS present
    EXCEPT SELECT kind, label FROM run_labels
    """
)


async def test_labels_are_the_names_and_tags_of_all_runs(session: Session) -> None:
    lab = Lab(session)
    await lab.fill(60)
    assert (await session.execute(MISSING)).all() == []
    labels = (await session.execute(LABELS)).all()
    assert len(labels) == len(set(labels)) > 20  # each once in one transaction
    changed = {"id": lab.runs[0]["id"], "tag": "new tag"}
    await session.execute(text("UPDATE runs SET name = 'renamed' WHERE id = :id"), changed)
    await session.execute(
        text("UPDATE runs SET tags = array_append(tags, :tag) WHERE id = :id"), changed
    )
    more = (await session.execute(LABELS)).all()
    assert set(more) - set(labels) == {("name", "renamed"), ("tag", "new tag")}
    assert len(more) == len(set(more))


async def test_filling_adds_what_is_missing_and_nothing_twice(session: Session) -> None:
    lab = Lab(session)
    await lab.fill(0)
    await session.execute(text("SET LOCAL session_replication_role = replica"))
    await lab.add(40, Random(2))
    await session.execute(text("SET LOCAL session_replication_role = DEFAULT"))
    await lab.add(5, Random(uuid.UUID(int=9).int))
    for _ in range(2):  # as after an interruption
        await session.execute(text("SELECT pricetag_fill_run_labels()"))
        assert (await session.execute(MISSING)).all() == []
        labels = (await session.execute(LABELS)).all()
        assert len(labels) == len(set(labels))
