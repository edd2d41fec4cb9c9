from __future__ import annotations

import pytest

from pricetag.metering.activity_share import ActivityNotes
from pricetag.metering.source import Reading


class Counting:
    """Own activity is half the time, everybody's all of it."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.is_closed = False

    def busy(self, now_s: float) -> tuple[float | None, float | None]:
        self.asked.append(now_s)
        return 0.5 * now_s, now_s

    def close(self) -> None:
        self.is_closed = True


def record(component: str, t_s: float) -> Reading:
    return Reading(t_s, None, None, None, component=component)


def busy(reading: Reading) -> tuple[float | None, float | None]:
    return reading.own_busy_s, reading.all_busy_s


def test_each_shared_component_is_queried_once_per_batch() -> None:
    first, second = Counting(), Counting()
    notes = ActivityNotes({"cpu": first, "gpu:a": second})
    notes.begin(0.0)
    batch = [record("gpu:a", 2.0), record("gpu:b", 2.0), record("cpu", 2.0)]
    notes.note(batch)
    assert busy(batch[0]) == busy(batch[2]) == (1.0, 2.0)
    assert busy(batch[1]) == (None, None)  # the job's alone
    assert first.asked == second.asked == [0.0, 2.0]
    notes.close()
    assert first.is_closed
    assert second.is_closed


def test_a_late_reading_lies_between_its_neighbors() -> None:
    notes = ActivityNotes({"gpu:a": Counting()})
    notes.begin(1.0)
    batch = [record("gpu:a", 0.0), record("gpu:a", 1.25), record("gpu:a", 2.0)]
    notes.note(batch)
    assert [busy(item) for item in batch] == [
        (0.5, 1.0),
        (pytest.approx(0.625), pytest.approx(1.25)),
        (1.0, 2.0),
    ]


def test_readings_that_are_offered_again_stay_as_they_are() -> None:
    notes = ActivityNotes({"cpu": Counting()})
    notes.begin(0.0)
    waiting = [record("cpu", 1.0)]
    notes.note(waiting)
    waiting.append(record("cpu", 2.0))
    notes.note(waiting)
    assert [busy(item) for item in waiting] == [(0.5, 1.0), (1.0, 2.0)]


def test_a_figure_unknown_on_one_side_is_unknown_in_between() -> None:
    activity = Counting()
    notes = ActivityNotes({"cpu": activity})
    notes.begin(0.0)
    activity.busy = lambda now_s: (None, None)  # type: ignore[method-assign]
    batch = [record("cpu", 0.5), record("cpu", 1.0)]
    notes.note(batch)
    assert [busy(item) for item in batch] == [(None, None), (None, None)]
    notes.note([])
