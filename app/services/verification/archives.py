"""Checks the archive of a paper: by itself, and against what was issued here."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
import zlib
from collections.abc import Mapping

from app.db import Session
from app.schemas.verifications import DocumentStep, DocumentVerification
from app.services.errors import InvalidError
from app.services.principals import Principal
from app.services.verification.hashes import MOST, known, result
from pricetag.accounting.document.canonical import content_sha256
from pricetag.tag import archive_check

MAX_FILES = 5_000
MAX_BYTES = 200_000_000
"""Maximum size of all files of an archive together, unpacked."""

MOST_NAMED = 100
"""Differences that are listed."""


class InvalidArchiveError(InvalidError):
    """The file is not an archive that can be read here."""

    code = "invalid-archive"


async def verify_archive(
    session: Session, principal: Principal, content: bytes
) -> DocumentVerification:
    """Checks an archive: its hashes and sums, then its report and first price tags.

    Args:
        session: Database session, only read.
        principal: Who asks.
        content: The ZIP file.

    Raises:
        InvalidArchiveError: If it is not a ZIP file, or too large unpacked.
    """
    files = await asyncio.to_thread(_files, content)
    problems = await asyncio.to_thread(archive_check.check, files)
    steps = [
        DocumentStep(step="archive", status="differs", detail=problem)
        for problem in problems[:MOST_NAMED]
    ]
    if len(problems) > MOST_NAMED:
        detail = f"{len(problems) - MOST_NAMED} further differences"
        steps.append(DocumentStep(step="archive", status="differs", detail=detail))
    report, tags = await asyncio.to_thread(_hashes, files)
    if not problems:
        detail = f"the hash of every file, {len(tags)} price tags and all sums"
        steps.append(DocumentStep(step="archive", status="ok", detail=detail))
    listed = ([report] if report else []) + tags
    items, unknown = await known(session, principal, listed[:MOST])
    return result("archive", report, steps, items, unknown, listed[MOST:])


def _files(content: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
        if len(entries) > MAX_FILES or sum(entry.file_size for entry in entries) > MAX_BYTES:
            raise InvalidArchiveError(
                f"An archive has at most {MAX_FILES:,} files and {MAX_BYTES // 10**6} MB; check "
                "this one with `pricetag verify FILE`.",
                field="archive",
            )
        return archive_check.read(io.BytesIO(content))
    # NotImplementedError: how zipfile reports a compression that it does not know.
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError) as error:
        raise InvalidArchiveError(
            f"The archive cannot be read: {error}.", field="archive"
        ) from error


def _hashes(files: Mapping[str, bytes]) -> tuple[str | None, list[str]]:
    """The hash of the report in an archive, and those of its price tags; as far as they exist."""
    try:
        report = content_sha256(json.loads(files[archive_check.REPORT]))
        runs = json.loads(files[archive_check.PAPER])["runs"]
        tags = [str(run["sha256"]) for run in runs]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None, []
    return report, tags
