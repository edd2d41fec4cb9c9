from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.reports import build_context
from tests.support.price_tags import compressed_run, failed_run, tag, unmetered_run

AT = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)


@pytest.fixture(scope="session")
def tags() -> list[dict[str, Any]]:
    return [tag(compressed_run()), tag(failed_run()), tag(unmetered_run())]


@pytest.fixture(scope="session")
def site(tags: list[dict[str, Any]]) -> dict[str, Any]:
    return build_context("What it cost", "site", tags, generated_at=AT)


@pytest.fixture(scope="session")
def paper(tags: list[dict[str, Any]]) -> dict[str, Any]:
    return build_context("What it cost", "strubell2019", tags, generated_at=AT)
