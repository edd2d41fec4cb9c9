"""Looks up a hash, or the hashes in a document, and checks whether they can be recomputed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from app.db import Session
from app.repositories.price_tags import hashes, price_tags
from app.schemas.price_tags import VerificationStep
from app.schemas.verifications import (
    DocumentStep,
    DocumentVerification,
    HashVerification,
    Outcome,
)
from app.services import access
from app.services.errors import NotFoundError
from app.services.principals import Principal
from app.services.verification import checking
from models import Report
from pricetag.accounting.document.canonical import content_sha256, first_difference, known_sha256
from pricetag.accounting.document.records import SCHEMA
from pricetag.strict_json import StrictJsonError, parse_json

MOST = 20
"""Hashes of a text that are looked up; further ones are listed, but not looked up."""

HASH = "content_sha256"
_HASHES = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{64}(?![0-9a-fA-F])")
REPORT_SCHEMA = "pricetag-report/"


class HashNotFoundError(NotFoundError):
    """Nothing here has the hash, or nothing that the caller may see."""

    code = "hash-not-found"


async def verify_hash(session: Session, principal: Principal, sha256: str) -> HashVerification:
    """The price tag or report with a hash, checked now.

    Args:
        session: Database session, only read.
        principal: Who asks.
        sha256: The hash, in hexadecimal.

    Raises:
        HashNotFoundError: If nothing has the hash, or nothing that the principal may see.
    """
    wanted = sha256.lower()
    tag = await hashes.price_tag(session, principal.viewer, wanted)
    if tag is not None:
        checked = await checking.verify(session, tag.run_id, tag.version)
        return HashVerification(
            sha256=wanted,
            kind="price-tag",
            run_id=tag.run_id,
            version=tag.version,
            report_id=None,
            name=tag.name,
            outcome=checked.outcome,
            steps=checked.steps,
        )
    report = await hashes.report(session, principal.viewer, wanted)
    if report is None:
        raise HashNotFoundError(
            f"No price tag and no report with the hash {wanted} is known here, or it is hidden "
            "from you.",
            field="sha256",
        )
    step = await asyncio.to_thread(_check_report, report)
    return HashVerification(
        sha256=wanted,
        kind="report",
        run_id=None,
        version=None,
        report_id=report.id,
        name=report.title,
        outcome="verified" if step.status == "ok" else "differs",
        steps=[step],
    )


def _check_report(report: Report) -> VerificationStep:
    present = content_sha256(report.context)
    if present == report.content_sha256:
        return VerificationStep(step="content-hash", status="ok", detail=f"SHA-256 {present}")
    detail = f"issued with SHA-256 {report.content_sha256}, stored content has {present}"
    return VerificationStep(step="content-hash", status="differs", detail=detail)


async def verify_document(
    session: Session, principal: Principal, text: str
) -> DocumentVerification:
    """Checks a document: a price tag or report in JSON, or any text with hashes.

    Args:
        session: Database session, only read.
        principal: Who asks.
        text: The document.
    """
    document = await asyncio.to_thread(_document, text)
    if document is None:
        return await _of_text(session, principal, text)
    if document.get("schema") == SCHEMA:
        return await _of_price_tag(session, principal, document)
    own = await asyncio.to_thread(content_sha256, document)
    items, unknown = await known(session, principal, [own])
    return result("report", own, [], items, unknown)


def _document(text: str) -> dict[str, Any] | None:
    """The price tag or report that a JSON text holds; None for anything else."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        parsed = parse_json(text)
        candidates = [parsed, parsed.get("price_tag")] if isinstance(parsed, dict) else []
        for candidate in candidates:
            if not isinstance(candidate, dict):
                continue
            schema = str(candidate.get("schema"))
            if schema == SCHEMA or schema.startswith(REPORT_SCHEMA):
                content_sha256(candidate)  # numbers beyond doubles were never issued
                return candidate
    except (StrictJsonError, ValueError, OverflowError, RecursionError):
        return None
    return None


async def _of_price_tag(
    session: Session, principal: Principal, document: Mapping[str, Any]
) -> DocumentVerification:
    content = {name: value for name, value in document.items() if name != HASH}
    provenance = document.get("provenance")
    accounting = provenance.get("accounting_version") if isinstance(provenance, Mapping) else None
    own = await asyncio.to_thread(known_sha256, content, accounting)
    steps = [_stated(document.get(HASH), own)]
    items, unknown = await known(session, principal, own)
    if items:
        detail = f"the same as version {items[0].version} of the price tag that was issued here"
        steps.append(DocumentStep(step="as-issued", status="ok", detail=detail))
        return result("price-tag", items[0].sha256, steps, items, [])
    issued = await _issued(session, principal, document)
    if issued is not None:
        sides = ("the document", f"version {issued['version']} as issued here")
        difference = first_difference(content, issued, sides=sides)
        steps.append(
            DocumentStep(
                step="as-issued",
                status="differs" if difference else "ok",
                detail=difference or "the same figures, with another hash",
            )
        )
    return result("price-tag", own[0], steps, items, unknown[:1])


def _stated(stated: object, own: Sequence[str]) -> DocumentStep:
    if stated is None:
        detail = f"it does not state its hash, which is {own[0]}"
        return DocumentStep(step="stated-hash", status="not-checked", detail=detail)
    if stated in own:
        return DocumentStep(step="stated-hash", status="ok", detail=f"SHA-256 {stated}")
    detail = f"it states {str(stated)[:80]}, but its content has {own[0]}"
    return DocumentStep(step="stated-hash", status="differs", detail=detail)


async def _issued(
    session: Session, principal: Principal, document: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The price tag that a document says it is, if it is known here and visible."""
    version = document.get("version")
    try:
        run_id = UUID(str(document.get("run_id")))
    except ValueError:
        return None
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version < 2**31:
        return None
    if not await access.may_see_run(session, principal, run_id):
        return None
    tag = await price_tags.get(session, run_id, version)
    return None if tag is None else tag.content


async def _of_text(session: Session, principal: Principal, text: str) -> DocumentVerification:
    listed = list(dict.fromkeys(sha256.lower() for sha256 in _HASHES.findall(text)))
    items, unknown = await known(session, principal, listed[:MOST])
    return result("text", None, [], items, unknown, listed[MOST:])


async def known(
    session: Session, principal: Principal, listed: Sequence[str]
) -> tuple[list[HashVerification], list[str]]:
    """What is known here of some hashes, checked now, and the unknown hashes."""
    items: list[HashVerification] = []
    unknown: list[str] = []
    for sha256 in listed:
        try:
            items.append(await verify_hash(session, principal, sha256))
        except HashNotFoundError:
            unknown.append(sha256)
    return items, unknown


def result(
    kind: Literal["price-tag", "report", "text", "archive"],
    sha256: str | None,
    steps: list[DocumentStep],
    items: list[HashVerification],
    unknown: list[str],
    not_looked_up: Sequence[str] = (),
) -> DocumentVerification:
    """The result for a document, with the outcome of all its checks."""
    return DocumentVerification(
        kind=kind,
        sha256=sha256,
        outcome=_outcome(steps, items, [*unknown, *not_looked_up]),
        steps=steps,
        items=items,
        unknown=unknown,
        not_looked_up=list(not_looked_up),
    )


def _outcome(
    steps: Sequence[DocumentStep], items: Sequence[HashVerification], unknown: Sequence[str]
) -> Outcome | Literal["unknown"]:
    outcomes = [step.status for step in steps] + [item.outcome for item in items]
    if "differs" in outcomes:
        return "differs"
    if not items:
        return "unknown"
    is_whole = {item.outcome for item in items} == {"verified"} and not unknown
    return "verified" if is_whole else "not-fully-checked"
