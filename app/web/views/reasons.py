"""Why a run or an attempt ended, as it was reported: a sentence, or many lines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run or an attempt ended.

    Attributes:
        headline: The reason in one line; of a traceback, the error that ended it.
        text: All its lines; empty if it has only one.
    """

    headline: str
    text: str


def reason_of(message: str | None) -> Reason | None:
    """A reason as it was reported; None without one."""
    lines = [line for line in (message or "").splitlines() if line.strip()]
    if not lines:
        return None
    headline = lines[-1] if lines[0].startswith("Traceback ") else lines[0]
    return Reason(headline.strip(), str(message) if len(lines) > 1 else "")
