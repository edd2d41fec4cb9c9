"""Verification of price tags and reports by their hash."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from app.api.access import READ, SEE_RUN
from app.api.body import validated
from app.api.branches import Branch
from app.api.deps import Body, Caller, CurrentSession
from app.api.openapi import request_body
from app.api.v1.responses import BODY, problems
from app.schemas.verifications import DocumentToVerify, DocumentVerification, HashVerification
from app.services.verification import archives, hashes

router = Branch(prefix="/verifications", tags=["price tags"])


@router.get("/{sha256}", dependencies=[SEE_RUN], summary="Verify by hash", responses=problems(404))
async def verify_hash(
    session: CurrentSession,
    caller: Caller,
    sha256: Annotated[
        str,
        Path(
            pattern=r"^[0-9a-fA-F]{64}$",
            description="SHA-256 of a price tag or of the data of a report.",
        ),
    ],
) -> HashVerification:
    """Finds the price tag or report with this hash and checks its hash; for a price tag, also the
    measurements and the arithmetic. Documents that are hidden from you are not found.
    """
    return await hashes.verify_hash(session, caller, sha256)


@router.post(
    "",
    dependencies=[READ],
    summary="Verify a document",
    responses=problems(*BODY),
    openapi_extra=request_body(DocumentToVerify, {}, "A document, or a text with hashes."),
)
async def verify_document(
    session: CurrentSession, caller: Caller, body: Body
) -> DocumentVerification:
    """Checks a price tag or a report in JSON: whether it has the hash that it states, whether it
    was issued here, and whether its figures follow from the stored readings. In any other text, up
    to 20 hashes are looked up. Of the archive of a paper, every hash and every sum is checked, and
    each difference named with its file, run and field. The document is not stored.
    """
    document = validated(DocumentToVerify, body)
    if document.archive is not None:
        return await archives.verify_archive(session, caller, document.archive)
    return await hashes.verify_document(session, caller, document.text or "")
