"""Two nodes with one name: each sees the other, whichever was first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.db import Database
from models import Site
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


async def test_a_site_that_was_never_created_is_logged_once(
    db: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    misspelled, usual = (
        Store(db, replace(config(tmp_path), site=site)) for site in ("nix", "default")
    )
    for store in (usual, misspelled, misspelled):
        await store.register([], {})
    warnings = [record.getMessage() for record in caplog.records]
    (warning,) = (text for text in warnings if "does not exist" in text)
    assert "'nix'" in warning
    assert "pricetag site create nix" in warning
    caplog.clear()
    async with db.session_scope() as session:
        session.add(Site(name="nix", created_at=datetime.now(UTC)))
    await misspelled.register([], {})
    assert not caplog.records
