"""`pricetag budget burn-down`: what will be used, until when, and by whom."""

from __future__ import annotations

from typing import Any

import pytest

from pricetag.cli.app import run as pricetag
from tests.support.fake_api import Answer, FakeApi

Captured = pytest.CaptureFixture[str]
ID = "6f0c0d0e-0000-4000-8000-00000000000b"


def shown(api: FakeApi, capsys: Captured, **more: Any) -> str:
    state = {
        "budget_id": ID,
        "name": "lab",
        "unit": "kWh",
        "limit": 10.0,
        "spent": 4.0,
        "running": 1.0,
        "reserved": 2.0,
        "left": 3.0,
        "expected": {"value": 9.0, "low": 7.0, "high": 12.0, "open_runs": 2, "unknown_runs": 1},
        "crossing": {
            "at": None,
            "low": "2026-03-01T12:30:10Z",
            "high": None,
            "reason": "they may not",
        },
        "by": "project",
        "parts": [{"name": "text", "spent": 3.0, "share_ratio": 0.75}],
    } | more
    api.answers[f"GET /v1/budgets/{ID}/burn-down"] = Answer(state)
    assert pricetag(["budget", "burn-down", ID]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_use_expectation_crossing_and_parts_are_shown(api: FakeApi, capsys: Captured) -> None:
    output = shown(api, capsys)
    assert "expected after 2 open runs: 9.00 kWh (7.00 kWh to 12.0 kWh)" in output
    assert "1 open run with unknown use or end, not in this figure" in output
    assert "limit reached at 2026-03-01 12:30 at the earliest (they may not)" in output
    assert "3.00 kWh 75.0% text" in output


@pytest.mark.parametrize(
    ("crossing", "text"),
    [
        (
            ("2026-03-02T00:00:00Z", "2026-03-01T12:30:10Z", "2026-03-03T00:00:00Z", None),
            "about 2026-03-02 00:00 UTC (2026-03-01 12:30 to 2026-03-03 00:00)",
        ),
        (
            ("2026-03-02T00:00:00Z", "2026-03-01T12:30:10Z", None, "x"),
            "(2026-03-01 12:30 perhaps not at all)",
        ),
        ((None, None, None, "no open run"), "limit not reached: no open run"),
    ],
)
def test_each_kind_of_crossing_is_a_sentence(
    crossing: tuple[str | None, ...], text: str, api: FakeApi, capsys: Captured
) -> None:
    named = dict(zip(("at", "low", "high", "reason"), crossing, strict=True))
    assert text in shown(api, capsys, crossing=named, parts=[])
