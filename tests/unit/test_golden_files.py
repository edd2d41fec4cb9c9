"""Every file of golden values is read by a test."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted((TESTS / "data" / "golden").glob("*.json"))
SOURCES = [
    path.read_text(encoding="utf-8")
    for path in TESTS.rglob("test_*.py")
    if path.name != Path(__file__).name
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden_values_are_read_by_a_test(file: Path) -> None:
    names = (file.name, f'golden("{file.stem}")')
    assert any(name in source for source in SOURCES for name in names)
