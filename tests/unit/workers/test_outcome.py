from pathlib import Path

import pytest

from pricetag.attempt.outcome import EXIT_INTERRUPTED, Observed, decide, oom_kills

ERROR = {"code": "missing-file", "message": "no such file", "field": "recipe.data.train"}


@pytest.mark.parametrize(
    ("seen", "status", "code"),
    [
        (Observed(exit_code=0, finished="succeeded"), "succeeded", None),
        (Observed(exit_code=1, error=ERROR), "failed", "missing-file"),
        (Observed(exit_code=EXIT_INTERRUPTED, stop_reason="cancelled"), "cancelled", "cancelled"),
        (Observed(exit_code=-9, stop_reason="worker-stopping"), "interrupted", "worker-stopping"),
        (
            Observed(exit_code=EXIT_INTERRUPTED, stop_reason="lease-lost"),
            "interrupted",
            "lease-lost",
        ),
        (Observed(exit_code=-9), "interrupted", "child-killed"),
        (Observed(exit_code=-9, hung=True), "interrupted", "hung"),
        (Observed(exit_code=-9, out_of_memory=True), "failed", "out-of-memory"),
        (Observed(exit_code=-11), "failed", "child-crashed"),
        (Observed(exit_code=3), "failed", "child-exited"),
        # A job that reports success and then dies has not succeeded.
        (Observed(exit_code=-11, finished="succeeded"), "failed", "child-crashed"),
        # It was done before the stop reached it.
        (Observed(exit_code=0, finished="succeeded", stop_reason="cancelled"), "succeeded", None),
        (
            Observed(exit_code=EXIT_INTERRUPTED, stop_reason="budget-exceeded"),
            "cancelled",
            "budget-exceeded",
        ),
        # An error that it reported after being asked to stop is not why it ended.
        (
            Observed(exit_code=1, error=ERROR, stop_reason="budget-exceeded"),
            "cancelled",
            "budget-exceeded",
        ),
        (Observed(exit_code=-9, stop_reason="budget-exceeded"), "cancelled", "budget-exceeded"),
        (
            Observed(exit_code=0, finished="succeeded", stop_reason="budget-exceeded"),
            "succeeded",
            None,
        ),
        # Exit code 0 without a word of success proves nothing.
        (Observed(exit_code=0), "failed", "child-exited"),
    ],
)
def test_the_end_record_states_the_actual_outcome(
    seen: Observed, status: str, code: str | None
) -> None:
    decided, reason = decide(seen)
    assert decided == status
    assert (reason or {}).get("code") == code


def test_a_budget_that_is_used_up_is_named() -> None:
    seen = Observed(exit_code=75, stop_reason="budget-exceeded", stop_message="budget 'a' is used")
    assert decide(seen)[1] == {"code": "budget-exceeded", "message": "budget 'a' is used"}


def test_oom_kills_are_counted_in_our_own_cgroup(tmp_path: Path) -> None:
    place = tmp_path / "cgroup"
    place.write_text("0::/system.slice/worker.service\n")
    own = tmp_path / "mount" / "system.slice" / "worker.service"
    own.mkdir(parents=True)
    (own / "memory.events").write_text("low 0\nhigh 0\nmax 4\noom 2\noom_kill 2\n")
    assert oom_kills(place, tmp_path / "mount") == 2
    assert oom_kills(place, tmp_path / "absent") is None
    assert oom_kills(tmp_path / "absent", tmp_path / "mount") is None
