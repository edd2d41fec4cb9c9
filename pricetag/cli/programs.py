"""Checks the code and scripts of a job on this machine, before a worker does."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pricetag.cli.connection import data_roots
from pricetag.cli.console import EXIT_USAGE, CliError


def check_programs(file: Path, text: str) -> list[str]:
    """Missing code of a job, as far as this machine can check.

    Code under this machine's own data roots (``PRICETAG_DATA_ROOTS``) is what its workers run;
    a folder beside the job file may be a copy of theirs.

    Args:
        file: The job file.
        text: Its content, not yet checked.

    Returns:
        Warnings: code that is not here, or a copy without the script.

    Raises:
        CliError: Under the data roots, the code has no such script.
    """
    if "code" not in text:
        return []  # most jobs need not load the recipes, which takes half a second
    from pricetag.recipes import RecipeError, load_run_file

    try:
        recipe = load_run_file(file).recipe
    except (RecipeError, RecursionError):
        return []  # the server reports the error
    roots = data_roots(os.environ)
    warnings: list[str] = []
    for index, stage in enumerate(recipe.stages):
        if (code := getattr(stage, "code", None)) is not None:
            warnings += _check(f"recipe.stages.{index}", code, stage, roots, file)
    return warnings


def _check(field: str, code: Any, stage: Any, roots: Sequence[Path], file: Path) -> Iterator[str]:
    from pricetag.recipes.code import GitCode, script_place

    path = code.git if isinstance(code, GitCode) else code
    served = _folder(path, roots)
    folder = served or _folder(path, [file.absolute().parent])
    if folder is None:
        places = ", ".join(map(str, [*roots, file.absolute().parent]))
        yield (
            f"{field}.code: '{path}' was not found under {places}, so it was not checked; set "
            "PRICETAG_DATA_ROOTS to the data roots of the workers, or check it where it is with "
            f"`pricetag submit {file} --check --data-root FOLDER`"
        )
        return
    place = script_place(stage.argv)
    if isinstance(code, GitCode) or place is None or (folder / stage.argv[place]).is_file():
        return
    message = f"{field}.argv.{place}: '{stage.argv[place]}' is not in the code folder {folder}"
    if served is not None:
        raise CliError(f"{message}; nothing was submitted", EXIT_USAGE)
    yield f"{message}; a worker whose data roots have the same files will fail the run"


def _folder(path: str, roots: Sequence[Path]) -> Path | None:
    places = (root / path for root in roots)  # an absolute path replaces the root
    return next((place for place in places if place.is_dir()), None)
