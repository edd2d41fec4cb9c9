"""Writes the files of a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pricetag.atomic_files import replaced
from pricetag.cli.console import EXIT_USAGE, CliError

Fmt = TypeVar("Fmt", bound=str)


def write_formats(
    stem: str, formats: Sequence[Fmt], folder: Path, render: Callable[[Fmt], bytes]
) -> dict[str, str]:
    """Writes a file of each format into a folder, whole or not at all; returns their paths.

    Raises:
        CliError: If the folder cannot be written to.
    """
    files: dict[str, str] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for fmt in formats:
            content = render(fmt)
            with replaced(folder / f"{stem}.{fmt}") as draft:
                draft.write_bytes(content)
            files[fmt] = str(folder / f"{stem}.{fmt}")
    except FileExistsError as error:
        raise CliError(
            f"--output {folder} is a file; name a folder for the report's files", EXIT_USAGE
        ) from error
    except OSError as error:
        raise CliError(f"cannot write to {folder}: {error.strerror}") from error
    return files
