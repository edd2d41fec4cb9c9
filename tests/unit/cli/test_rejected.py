"""Rejected reports of a job are shown with the run."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from pricetag.cli.views.runs import run_view
from tests.support.fake_api import run


def drawn(*attempts: dict[str, Any]) -> list[str]:
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(run_view(run(attempts=list(attempts))))
    return [line.rstrip() for line in capture.get().splitlines()][2:-1]


def attempt(number: int, **more: Any) -> dict[str, Any]:
    return {"number": number, "left_out": {}, "rejected": None, **more}


def test_nothing_is_printed_if_no_report_was_rejected() -> None:
    assert drawn(attempt(1), attempt(2)) == []


def test_reports_that_were_rejected_or_dropped_are_counted() -> None:
    rejected = {
        "count": 1200,
        "reasons": [
            {"reason": "metric: value\nis not a number", "count": 1150},
            {"reason": "no JSON", "count": 1},
        ],
    }
    assert drawn(attempt(1, rejected=rejected, left_out={"quality_metrics": 250})) == [
        "250 quality metrics were dropped, beyond the limits of an attempt",
        "1,200 reports of the job rejected:",
        "  metric: value is not a number (1,150 times)",
        "  no JSON",
    ]
    lines = drawn(attempt(1), attempt(2, rejected={"count": 1, "reasons": []}))
    assert lines == ["Attempt 2: 1 report of the job rejected:"]


def test_only_the_first_of_many_reasons_are_shown() -> None:
    reasons = [{"reason": f"reason {i}", "count": 1} for i in range(8)]
    lines = drawn(attempt(1, rejected={"count": 8, "reasons": reasons}))
    assert lines[1:] == [
        *(f"  reason {i}" for i in range(5)),
        "  and 3 more reasons: --json has them",
    ]
