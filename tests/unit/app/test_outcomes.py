from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.attempts.outcomes import EXHAUSTED, AttemptEnd, outcome

REASON = {"code": "worker-lost", "message": "the node burnt down"}


def test_success_needs_no_reason() -> None:
    decided = outcome("succeeded", None, number=1, max_attempts=3, cancel_requested=True)
    assert (decided.status, decided.reason) == ("succeeded", None)


@pytest.mark.parametrize("end", ["lost", "interrupted"])
def test_attempts_ended_from_outside_are_retried(end: AttemptEnd) -> None:
    decided = outcome(end, REASON, number=2, max_attempts=3, cancel_requested=False)
    assert decided.status == "queued"
    assert decided.reason == {
        "code": f"attempt-{end}",
        "message": f"attempt 2 of 3 was {end} (the node burnt down); it will be repeated",
    }


@pytest.mark.parametrize("end", ["lost", "interrupted"])
def test_the_last_attempt_is_the_last(end: AttemptEnd) -> None:
    decided = outcome(end, None, number=3, max_attempts=3, cancel_requested=False)
    assert decided.status == "failed"
    assert decided.reason is not None
    assert decided.reason["code"] == EXHAUSTED


def test_a_failure_keeps_its_reason_even_when_canceled() -> None:
    decided = outcome("failed", REASON, number=1, max_attempts=3, cancel_requested=True)
    assert (decided.status, decided.reason) == ("failed", REASON)


def test_a_budget_is_the_reason_unless_a_user_had_canceled_the_run() -> None:
    spent = {"code": "budget-exceeded", "message": "budget 'a' is used up"}
    decided = outcome("cancelled", spent, number=1, max_attempts=3, cancel_requested=False)
    assert (decided.status, decided.reason) == ("cancelled", spent)
    decided = outcome("cancelled", spent, number=1, max_attempts=3, cancel_requested=True)
    assert (decided.reason or {})["code"] == "cancelled"


@given(
    end=st.sampled_from(get_args(AttemptEnd)),
    number=st.integers(1, 9),
    max_attempts=st.integers(1, 9),
    cancel=st.booleans(),
)
def test_outcomes_keep_their_invariants(
    end: AttemptEnd, number: int, max_attempts: int, cancel: bool
) -> None:
    decided = outcome(end, None, number=number, max_attempts=max_attempts, cancel_requested=cancel)
    if decided.status == "queued":
        assert number < max_attempts
        assert not cancel
        assert end in ("lost", "interrupted")
    assert (decided.reason is None) == (decided.status == "succeeded")
