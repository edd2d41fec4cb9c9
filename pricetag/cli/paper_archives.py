"""Checks archives of papers on this machine, without a server."""

from __future__ import annotations

import json as json_module
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import typer

from pricetag.cli.answering import answer
from pricetag.cli.console import EXIT_FAILURE, EXIT_USAGE, CliError

ZIP_START = b"PK\x03\x04"


def is_archive(text: str) -> bool:
    """Whether a text names an archive, or a folder with one, on this machine."""
    place = Path(text)
    if (place / "checks.json").is_file():
        return True
    try:
        with place.open("rb") as opened:  # also a ZIP file that was cut
            return opened.read(len(ZIP_START)) == ZIP_START
    except (OSError, ValueError):
        return False


def verify_archive(ctx: typer.Context, file: Path, selection: str | None, json: bool) -> None:
    """Checks an archive without a server, and prints what differs.

    Raises:
        CliError: If it cannot be read.
    """
    from pricetag.cli.views.papers import checked_lines
    from pricetag.tag import archive_check

    try:
        files = archive_check.read(file)
    except OSError as error:
        raise CliError(f"cannot read {file}: {error.strerror or error}", EXIT_USAGE) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise CliError(_damaged(file, error), EXIT_USAGE) from error
    if selection is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", selection):
        raise CliError(
            f"--selection {selection}: must be the 64 hex digits of a SHA-256", EXIT_USAGE
        )
    problems = archive_check.check(files, selection and selection.lower())
    checked: dict[str, Any] = {"file": str(file), "problems": problems}
    if not problems:
        stated = json_module.loads(files[archive_check.PAPER])
        checked |= {"runs": len(stated["runs"]), "not_counted": len(stated["not_counted"])}
        checked |= {"published": len(stated.get("published") or ())}
        checked |= {"selection_sha256": stated["selection_sha256"]}
        checked["totals"] = stated["totals"]["used"]
    answer(ctx, json, checked, checked_lines)
    if problems:
        raise typer.Exit(EXIT_FAILURE)


def _damaged(file: Path, error: Exception) -> str:
    """Describes a file that is not a whole archive."""
    with file.open("rb") as opened:
        is_zip = opened.read(len(ZIP_START)) == ZIP_START
    size = f"{file.stat().st_size:,} bytes"
    if not is_zip:
        return f"{file} ({size}) is not a paper's archive: it is not a ZIP file"
    if not zipfile.is_zipfile(file):
        return f"{file} ({size}) is cut: the end of the ZIP file is missing. Download it again."
    return f"{file} ({size}) is damaged ({error}). Download it again."
