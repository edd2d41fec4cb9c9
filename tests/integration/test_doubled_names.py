"""Two nodes with one name: each sees the other, whichever was first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app.db import Database
from tests.unit.workers.test_launch import config
from workers.store import Store


async def test_a_node_name_used_from_two_places_is_logged(db: Database, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    here, neighbour, elsewhere = (
        Store(db, replace(config(folder), name="doubled"))
        for folder in (folders[0], folders[0], folders[1])
    )
    for store in (here, neighbour, here):
        assert not await store.register([], {})  # one data folder: workers of one node
    assert not await elsewhere.register([], {})  # it may have moved
    assert await here.register([], {})
    assert await elsewhere.register([], {})
