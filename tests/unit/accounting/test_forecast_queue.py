"""Expected starts of waiting jobs: the queue played forward."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.forecast.projection import Range
from pricetag.accounting.forecast.queue import Held, Place, Waiting, expected_starts

TEN = Range(10.0, 8.0, 15.0)


def exactly(seconds: float) -> Range:
    return Range(seconds, seconds, seconds)


def test_a_job_that_fits_starts_now() -> None:
    assert expected_starts([Place(2, 0)], [], [Waiting(2)]) == [exactly(0.0)]


def test_a_job_waits_for_the_end_of_the_running_one_with_its_interval() -> None:
    held = [Held(0, 1, TEN)]
    starts = expected_starts([Place(1, 0)], held, [Waiting(1, duration_s=TEN), Waiting(1)])
    assert starts == [TEN, Range(20.0, 16.0, 30.0)]


def test_a_small_job_overtakes_a_large_one() -> None:
    held = [Held(0, 3, exactly(10.0))]
    waiting = [Waiting(4), Waiting(1, duration_s=exactly(30.0))]
    assert expected_starts([Place(4, 0)], held, waiting) == [exactly(30.0), exactly(0.0)]


def test_a_start_that_depends_on_an_unknown_end_is_unknown() -> None:
    places, held = [Place(1, 0), Place(1, 0)], [Held(0, 1, None), Held(1, 1, exactly(5.0))]
    waiting = [Waiting(1), Waiting(1)]
    assert expected_starts(places, held, waiting) == [Range(5.0, 0.0, 5.0), None]


def test_programs_start_only_where_they_are_allowed() -> None:
    places = [Place(1, 1, allows_commands=False), Place(1, 1)]
    held = [Held(1, 0, exactly(7.0))]
    waiting = [Waiting(0, runs_program=True), Waiting(0), Waiting(2)]
    assert expected_starts(places, held, waiting) == [exactly(7.0), exactly(0.0), None]


def test_a_job_does_not_start_before_it_may() -> None:
    waiting = [Waiting(1, ready_s=20.0, duration_s=exactly(5.0)), Waiting(1, duration_s=TEN)]
    assert expected_starts([Place(1, 0)], [], waiting) == [exactly(20.0), exactly(0.0)]


def test_without_a_worker_no_start_is_expected() -> None:
    assert expected_starts([], [], [Waiting(1), Waiting(0)]) == [None, None]


SECONDS = st.floats(0.0, 1e5)
RANGES = st.tuples(SECONDS, SECONDS, SECONDS).map(sorted).map(lambda t: Range(t[1], t[0], t[2]))


@given(
    places=st.lists(st.builds(Place, st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=4),
    waiting=st.lists(
        st.builds(Waiting, st.integers(0, 4), st.just(False), SECONDS, st.none() | RANGES),
        max_size=12,
    ),
)
def test_at_no_time_more_is_used_than_there_is(places: list[Place], waiting: list[Waiting]) -> None:
    starts = expected_starts(places, [], waiting)
    gpus, slots = sum(p.gpus for p in places), sum(p.cpu_slots for p in places)
    largest = max(place.gpus for place in places)
    for job, start in zip(waiting, starts, strict=True):
        if start is None:
            continue
        assert job.gpus <= largest
        assert start.low <= start.value <= start.high < math.inf
        assert start.low >= job.ready_s
    for start in (s for s in starts if s is not None):
        at_s = start.value
        during = [
            job
            for job, own in zip(waiting, starts, strict=True)
            if own is not None
            and own.value <= at_s
            and (job.duration_s is None or at_s < own.value + job.duration_s.value)
        ]
        assert sum(job.gpus for job in during) <= gpus
        assert sum(not job.gpus for job in during) <= slots


@pytest.mark.parametrize("count", [1, 3])
def test_jobs_of_one_size_start_in_order(count: int) -> None:
    waiting = [Waiting(1, duration_s=exactly(10.0)) for _ in range(6)]
    starts = expected_starts([Place(count, 0)], [], waiting)
    assert starts == [exactly(10.0 * (number // count)) for number in range(6)]
