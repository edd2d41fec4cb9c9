"""Results of verifications as view models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.schemas.price_tags import VerificationStep
from app.schemas.verifications import DocumentStep, DocumentVerification, HashVerification

CHECKS = {
    "stated-hash": "The document has the hash that it states",
    "archive": "The hashes and sums of the archive agree",
    "as-issued": "The document is the one that was issued here",
    "content-hash": "The stored content has the hash it was issued with",
    "measurements": "The measurements follow from the stored readings",
    "arithmetic": "The figures follow from the measurements and the factors",
}
STATUSES = {"ok": "passed", "differs": "failed", "not-checked": "not checked"}
OUTCOMES = {
    "verified": "Verified",
    "not-fully-checked": "Not fully checked",
    "differs": "Differs",
    "unknown": "Not issued here",
}
MEANINGS = {
    "verified": "All checks passed.",
    "not-fully-checked": "No check failed, but not everything could be checked.",
    "differs": "At least one check failed.",
    "unknown": "This server has issued no price tag or report with this hash, or it is hidden "
    "from you.",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        what: The checked statement.
        status: `ok`, `differs` or `not-checked`.
        word: The status in words.
        detail: What was compared, or the first difference.
    """

    what: str
    status: str
    word: str
    detail: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A price tag or report that is known here, with its checks."""

    item: HashVerification
    label: str
    checks: Sequence[Check]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a verification.

    Attributes:
        outcome: Its name, e.g. `verified`.
        title: The outcome in words.
        meaning: What it means.
        sha256: The hash that was looked for, or that of the document.
        own: Checks of the document itself.
        subjects: What is known here.
        unknown: Hashes of the document that are not known here.
        not_looked_up: How many hashes of the document were not looked up, in words.
    """

    outcome: str
    title: str
    meaning: str
    sha256: str | None
    own: Sequence[Check] = ()
    subjects: Sequence[Subject] = ()
    unknown: Sequence[str] = ()
    not_looked_up: str = ""


def of_hash(item: HashVerification) -> Result:
    """The result for one hash."""
    return Result(
        item.outcome,
        OUTCOMES[item.outcome],
        MEANINGS[item.outcome],
        item.sha256,
        subjects=[_subject(item)],
    )


def of_document(checked: DocumentVerification) -> Result:
    """The result for a document."""
    meaning = MEANINGS[checked.outcome]
    if checked.kind == "text" and not checked.items and not checked.unknown:
        meaning = (
            "This text is neither a price tag nor a report in JSON, and contains no hash. "
            "“pricetag show --json” prints a price tag; reports can be downloaded as JSON."
        )
    return Result(
        checked.outcome,
        OUTCOMES[checked.outcome],
        meaning,
        checked.sha256,
        own=[_check(step) for step in checked.steps],
        subjects=[_subject(item) for item in checked.items],
        unknown=checked.unknown,
        not_looked_up=_not_looked_up(len(checked.not_looked_up)),
    )


def _not_looked_up(number: int) -> str:
    if not number:
        return ""
    hashes = "1 further hash was" if number == 1 else f"{number:,} further hashes were"
    return f"{hashes} not looked up: verify the rest of the text on its own."


def unknown(sha256: str) -> Result:
    """The result for a hash that nothing has, or nothing that the visitor may see."""
    return Result("unknown", OUTCOMES["unknown"], MEANINGS["unknown"], sha256)


def _subject(item: HashVerification) -> Subject:
    label = "Report" if item.kind == "report" else f"Price tag, version {item.version}"
    return Subject(item, label, [_check(step) for step in item.steps])


def _check(step: VerificationStep | DocumentStep) -> Check:
    return Check(CHECKS[step.step], step.status, STATUSES[step.status], step.detail)
