"""The embedded PostgreSQL caches tables in a part of the memory that there is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from app import embedded_postgres


@pytest.mark.parametrize(
    ("total_gb", "limit", "cache_mb"),
    [
        (0.5, None, 128),
        (8, None, 1024),
        (8, "max", 1024),
        (512, None, 2048),
        (512, str(4 * 2**30), 512),
        (8, str(2**60), 1024),
    ],
)
def test_cache_is_an_eighth_of_the_memory_within_bounds(
    total_gb: float,
    limit: str | None,
    cache_mb: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = SimpleNamespace(total=int(total_gb * 2**30))
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    place = tmp_path / "memory.max"
    if limit is not None:
        place.write_text(f"{limit}\n")
    monkeypatch.setattr(embedded_postgres, "CGROUP_LIMIT", place)
    assert embedded_postgres._cache_mb() == cache_mb
