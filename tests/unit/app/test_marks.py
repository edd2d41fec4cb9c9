"""Marks beside a run's progress: where its step, and its counting, began."""

from __future__ import annotations

from typing import Any

from app.services.attempts.marks import marked, step_number


def told(t_s: float, stage: str | None, done: float | None = None, **more: Any) -> dict[str, Any]:
    return {
        "attempt": 1,
        "t_s": t_s,
        "energy_kwh": t_s / 10,
        "stage": stage,
        "done": done,
        "total": None if done is None else 100.0,
        "unit": "steps",
        **more,
    }


def follow(*records: dict[str, Any]) -> dict[str, Any]:
    progress = None
    for record in records:
        progress = marked(progress, record)
    assert progress is not None
    return progress


def test_a_step_begins_at_the_last_report_of_the_previous_step() -> None:
    marks = follow(told(1, None), told(2, "0", 1), told(3, "0", 50), told(9, "1"), told(10, "1.0"))
    assert marks["step"] == {"number": 1, "t_s": 3, "energy_kwh": 0.3}
    assert marks["counted"] is None
    first = follow(told(1, None), told(2, "0", 1), told(3, "0", 50))
    assert first["step"] == {"number": 0, "t_s": 1, "energy_kwh": 0.1}
    assert follow(told(2, "0"))["step"] == {"number": 0, "t_s": 0.0, "energy_kwh": 0.0}


def test_the_pace_is_counted_from_the_first_report() -> None:
    marks = follow(told(2, "0", 40), told(3, "0", 50), told(4, "0", 60))
    assert marks["counted"] == {
        **{"key": "0", "total": 100.0, "unit": "steps"},
        **{"done": 60, "first": 40, "t_s": 2, "energy_kwh": 0.2},
    }


def test_the_pace_restarts_when_the_total_changes() -> None:
    began = (told(2, "0", 40), told(3, "0", 90))
    assert follow(*began, told(4, "0", 5))["counted"]["first"] == 5  # a further round
    assert follow(*began, told(4, "0", 95, total=50.0))["counted"]["first"] == 95
    assert follow(*began, told(4, "0", 95, unit="examples"))["counted"]["first"] == 95
    assert follow(*began, told(4, "1", 95))["counted"]["first"] == 95


def test_another_attempt_has_marks_of_its_own() -> None:
    marks = follow(told(5, "0", 40), told(1, "0", 60, attempt=2))
    assert marks["counted"]["first"] == 60
    assert marks["step"] == {"number": 0, "t_s": 0.0, "energy_kwh": 0.0}


def test_a_key_s_head_is_the_step() -> None:
    assert [step_number(key) for key in ("0", "12.3.1", None, "", "x")] == [0, 12, None, None, None]
