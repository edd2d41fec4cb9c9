"""The tables of the page about a million runs, from measurements."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.lab import page


def row(title: str, p50_ms: float | None, p95_ms: float | None, goal_ms: float = 100) -> page.Row:
    return {
        "title": title,
        "operation": "page" if title.startswith("/") else "listRuns",
        "goal_ms": goal_ms,
        "p50_ms": p50_ms,
        "p95_ms": p95_ms,
    }


REQUESTS = [
    row("runs, a tag, by -name", 20, 30),
    row("runs, a user, by name", 30, 140),
    row("runs, everything, by cost", None, None),
    row("POST /v1/runs with 8 to 10 budgets", 49, 62, 50),
    row("who I am", 4.125, 5),
]


def test_groups_have_their_middle_and_slowest_row_and_rows_over_the_goal_are_listed() -> None:
    text = page.table(REQUESTS)
    assert text.startswith("2 of 4 rows are within their goal by p95, 4 by p50; 1 were not")
    assert "| runs by `name` | 2 | 100 | 25 | 140 | 1 |" in text
    assert "| everything else | 1 | 100 | 4.1 | 5.0 |  |" in text
    assert "- runs, a user, by name: 30 | 140\n- POST /v1/runs" in text
    assert text.endswith("budgets: 49 | 62 (goal 50)\n")


def test_the_tables_are_replaced_and_the_text_around_them_stays(tmp_path: Path) -> None:
    path, requests, pages = (tmp_path / name for name in ("page.md", "requests.json", "pages.json"))
    path.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    requests.write_text(json.dumps(REQUESTS))
    pages.write_text(json.dumps([row("/runs", 20, 120)]))
    page.write(requests, pages, "On a quiet machine.", path)
    text = path.read_text()
    page.write(requests, pages, "On a quiet machine.", path)
    assert path.read_text() == text
    assert text.startswith(f"before\n{page.BEGIN}\nOn a quiet machine.\n")
    assert "old" not in text
    assert "- `/runs`: 20 | 120" in text
    assert text.endswith(f"\n{page.END}\nafter\n")


def test_a_page_without_a_place_for_tables_is_left_alone(tmp_path: Path) -> None:
    path, requests = tmp_path / "page.md", tmp_path / "requests.json"
    path.write_text("text\n")
    requests.write_text("[]")
    with pytest.raises(ValueError, match="no place for tables"):
        page.write(requests, None, "", path)
    assert path.read_text() == "text\n"


def test_the_page_has_the_place() -> None:
    assert page.BEGIN in page.PAGE.read_text()
    assert page.END in page.PAGE.read_text()
