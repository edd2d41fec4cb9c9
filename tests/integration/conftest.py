"""The API on the test database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.charts.drawing import Drawing
from app.db import Database
from app.settings import Settings, get_settings
from tests.support.api import Api, serving
from tests.support.budgets import FACTORS
from tests.support.patience import PATIENCE_S


@pytest_asyncio.fixture(scope="session")
async def drawing() -> AsyncIterator[Drawing]:
    """Draws the charts of all tests, in one process."""
    made = Drawing(limit_s=PATIENCE_S)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def api(db: Database, tmp_path: Path, drawing: Drawing) -> AsyncIterator[Api]:
    """One connection, rolled back after the test: requests one after another."""
    async with serving(db, Settings(database_url=db.url, data_dir=tmp_path), drawing) as opened:
        yield opened


@pytest_asyncio.fixture
async def committed_api(
    committed_db: Database, tmp_path: Path, drawing: Drawing
) -> AsyncIterator[Api]:
    """Many connections, emptied after the test: requests at the same time."""
    settings = Settings(database_url=committed_db.url, data_dir=tmp_path)
    async with serving(committed_db, settings, drawing) as opened:
        yield opened


@pytest.fixture
def budget_factors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings with factors that make a job's figures simple."""
    for name, value in FACTORS.items():
        monkeypatch.setenv(f"PRICETAG_{name.upper()}", str(value))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()
