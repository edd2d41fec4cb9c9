"""The greenest start is the best of all, to the second, and stays within the known hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from pricetag.accounting.forecast.greenest import HOUR, greenest, mean_intensity

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def hours(*values: float) -> dict[datetime, float]:
    return {NOON + n * HOUR: value for n, value in enumerate(values)}


def test_hours_count_by_their_share() -> None:
    begin = NOON + timedelta(minutes=45)
    assert mean_intensity(hours(400, 100), begin, begin + HOUR) == 0.25 * 400 + 0.75 * 100


def test_a_missing_hour_makes_the_mean_unknown() -> None:
    assert mean_intensity(hours(400), NOON, NOON + timedelta(minutes=61)) is None


def test_a_run_starts_so_that_it_ends_before_a_bad_hour() -> None:
    best = greenest(
        hours(300, 100, 500), earliest=NOON, latest=NOON + 2 * HOUR, duration=0.5 * HOUR
    )
    assert best is not None
    assert (best.at, best.g_per_kwh) == (NOON + HOUR, 100)
    best = greenest(hours(300, 100, 500), earliest=NOON, latest=NOON + HOUR, duration=1.5 * HOUR)
    assert best is not None
    assert (best.at, best.g_per_kwh) == (NOON + 0.5 * HOUR, (0.5 * 300 + 100) / 1.5)


def test_of_equal_starts_the_first_one() -> None:
    best = greenest(hours(*[200] * 6), earliest=NOON, latest=NOON + 3 * HOUR, duration=HOUR)
    assert best is not None
    assert best.at == NOON


def test_no_start_without_the_hours_of_a_run() -> None:
    assert greenest(hours(100), earliest=NOON, latest=NOON, duration=2 * HOUR) is None


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.integers(0, 900), min_size=4, max_size=9),
    shift_s=st.integers(0, 3599),
    within_s=st.integers(0, 4 * 3600),
    duration_s=st.integers(60, 3 * 3600),
)
def test_no_other_start_is_greener(
    values: list[float], shift_s: int, within_s: int, duration_s: int
) -> None:
    earliest = NOON + timedelta(seconds=shift_s)
    duration = timedelta(seconds=duration_s)
    best = greenest(
        hours(*values),
        earliest=earliest,
        latest=earliest + timedelta(seconds=within_s),
        duration=duration,
    )
    starts = [earliest + timedelta(seconds=s) for s in range(0, within_s + 1, 97)]
    means = [mean_intensity(hours(*values), at, at + duration) for at in starts]
    known = [mean for mean in means if mean is not None]
    if best is None:
        assert not known
    else:
        assert earliest <= best.at <= earliest + timedelta(seconds=within_s)
        assert all(best.g_per_kwh <= mean + 1e-9 for mean in known)
