"""Decides a run's next status at the end of an attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

AttemptEnd = Literal["succeeded", "failed", "cancelled", "interrupted", "lost"]
RunStatus = Literal["queued", "succeeded", "failed", "cancelled"]

EXHAUSTED = "attempts-exhausted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The run's next status, and the reason."""

    status: RunStatus
    reason: dict[str, Any] | None


def outcome(
    end: AttemptEnd,
    reason: Mapping[str, Any] | None,
    *,
    number: int,
    max_attempts: int,
    cancel_requested: bool,
) -> Outcome:
    """Decides the next status of a run whose attempt has ended.

    A job's own error is final. An attempt that was ended from outside (lost, interrupted) is
    repeated while attempts remain, unless the run is to be canceled.

    Args:
        end: How the attempt ended.
        reason: ``{code, message, field?}`` of the attempt.
        number: The attempt's number, from 1.
        max_attempts: Maximum number of attempts of the run.
        cancel_requested: Whether cancellation was requested before the end.
    """
    stated = dict(reason) if reason is not None else None
    if end == "succeeded":
        return Outcome("succeeded", None)
    if end == "failed":
        return Outcome("failed", stated or {"code": "failed", "message": "the job failed"})
    by_request = {"code": "cancelled", "message": "canceled by request"}
    if cancel_requested:
        return Outcome("cancelled", by_request)
    if end == "cancelled":
        return Outcome("cancelled", stated or by_request)  # a used-up budget states its reason
    cause = stated["message"] if stated else f"attempt {number} was {end}"
    if number < max_attempts:
        message = f"attempt {number} of {max_attempts} was {end} ({cause}); it will be repeated"
        return Outcome("queued", {"code": f"attempt-{end}", "message": message})
    message = f"attempt {number} of {max_attempts} was {end} ({cause}); no attempt is left"
    return Outcome("failed", {"code": EXHAUSTED, "message": message})


def outcome_elsewhere(end: AttemptEnd, reason: Mapping[str, Any] | None) -> Outcome:
    """Decides the status of a run that no queue started: that of its only attempt.

    Args:
        end: How the attempt ended.
        reason: ``{code, message, field?}`` of the attempt.
    """
    stated = dict(reason) if reason is not None else None
    if end == "succeeded":
        return Outcome("succeeded", stated)
    if end == "cancelled":
        return Outcome("cancelled", stated or {"code": "cancelled", "message": "canceled"})
    return Outcome("failed", stated or {"code": end, "message": f"the program was {end}"})
