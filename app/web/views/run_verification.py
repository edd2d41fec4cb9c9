"""Whether a price tag follows from what is stored, check by check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.schemas.price_tags import VerificationRead

CHECKS = {
    "content-hash": "Hash of the content",
    "measurements": "Measurements from the readings",
    "arithmetic": "Figures from measurements and factors",
}


@dataclass(frozen=True, slots=True)
class CheckView:
    """One check of a price tag in words."""

    title: str
    status: str
    detail: str


OUTCOMES = {
    "verified": "Verified: every check agrees, to the last digit.",
    "not-fully-checked": "Not fully checked: no check failed, but some were not possible.",
    "differs": "Differs: at least one check gives a different result from the issued price tag.",
}


@dataclass(frozen=True, slots=True)
class VerificationView:
    """A verified price tag."""

    verification: VerificationRead
    outcome: str
    checks: Sequence[CheckView]


def verification_view(verification: VerificationRead) -> VerificationView:
    """The checks of a price tag."""
    return VerificationView(
        verification,
        OUTCOMES[verification.outcome],
        [
            CheckView(CHECKS[step.step], step.status.replace("-", " "), step.detail)
            for step in verification.steps
        ],
    )
