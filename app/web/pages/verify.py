"""Verifying a price tag or report: by its hash, or by the document itself."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.api.access import READ, SEE_RUN
from app.api.deps import Caller, CurrentSession
from app.services.verification import archives, hashes
from app.services.verification.hashes import HashNotFoundError
from app.web.links import rel
from app.web.rendering import page_router, render
from app.web.uploads import File, decoded
from app.web.views import verify as verify_views

router = page_router()
HASH = re.compile(r"[0-9a-fA-F]{64}")
ZIP = b"PK\x03\x04"
NOTHING = "Paste a hash or a document, or choose a file."
Text = Annotated[str, Path(max_length=200)]


@router.get("/verify", dependencies=[READ])
async def show_verify(
    request: Request, sha256: Annotated[str | None, Query(max_length=200)] = None
) -> Response:
    """The form."""
    wanted = (sha256 or "").strip()
    if HASH.fullmatch(wanted):
        return RedirectResponse(rel(request, "show_hash", sha256=wanted.lower()), 303)
    problem = f"{wanted[:80]!r} is not a hash: it has 64 digits 0 to 9 and a to f"
    return render(
        request,
        "verify.html",
        status=422 if wanted else 200,
        text=wanted,
        problem=problem if wanted else None,
    )


@router.post("/verify", dependencies=[READ])
async def check_document(
    request: Request, session: CurrentSession, caller: Caller, form: File
) -> Response:
    """Checks the pasted text or the chosen file; a known hash has its own address."""
    if form.file.startswith(ZIP):
        archive = await archives.verify_archive(session, caller, form.file)
        return render(request, "verify_result.html", result=verify_views.of_document(archive))
    text = decoded(form.file, "file").strip() or form.texts.get("text", "").strip()
    if HASH.fullmatch(text):
        return RedirectResponse(rel(request, "show_hash", sha256=text.lower()), 303)
    if not text:
        return render(request, "verify.html", status=422, text="", problem=NOTHING)
    checked = await hashes.verify_document(session, caller, text)
    result = verify_views.of_document(checked)
    return render(request, "verify_result.html", result=result)


@router.get("/verify/{sha256}", dependencies=[SEE_RUN])
async def show_hash(
    request: Request, session: CurrentSession, caller: Caller, sha256: Text
) -> Response:
    """The document with this hash, checked now."""
    if not HASH.fullmatch(sha256):
        return RedirectResponse(rel(request, "show_verify", {"sha256": sha256}), 303)
    try:
        checked = await hashes.verify_hash(session, caller, sha256)
    except HashNotFoundError:
        result = verify_views.unknown(sha256.lower())
        return render(request, "verify_result.html", status=404, result=result)
    return render(request, "verify_result.html", result=verify_views.of_hash(checked))
