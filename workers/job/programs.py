"""Checks of a run's programs before it is submitted: their code and scripts."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pricetag.recipes import Recipe
from pricetag.recipes.code import GitCode, script_place
from workers.job import roots
from workers.job.request import JobError

GIT_TIMEOUT_S = 20.0


def check(described: Recipe, data_roots: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Checks the code of each command, and the script in it that the command names.

    Args:
        described: A recipe of commands.
        data_roots: Folders to look under.

    Returns:
        What was checked, and what was not.

    Raises:
        JobError: The code is not there, or has no such script.
    """
    checked: list[str] = []
    skipped: list[str] = []
    for index, params in enumerate(described.stages):
        field = f"recipe.stages.{index}"
        code = getattr(params, "code", None)
        if code is None:
            skipped.append(f"stages.{index}: the program, which only the worker has")
            continue
        checked.append(_check_code(code, params, data_roots, field))
    skipped.append("what the programs do, and the files that they read")
    return checked, skipped


def _check_code(code: str | GitCode, params: Any, data_roots: Sequence[Path], field: str) -> str:
    path = code if isinstance(code, str) else code.git
    folder = roots.find(path, data_roots, f"{field}.code")
    if not folder.is_dir():
        raise JobError("bad-code", f"'{path}' is not a folder", f"{field}.code")
    place = script_place(params.argv)
    script = None if place is None else params.argv[place]
    where = f"'{path}'" if isinstance(code, str) else f"commit {code.commit} of '{path}'"
    if isinstance(code, GitCode):
        _require_commit(folder, code, field)
    if script is not None and not _has(folder, code, script):
        message = f"'{script}' is not in the code: {where} has no such file"
        raise JobError("command-not-found", message, f"{field}.argv.{place}")
    name = field.removeprefix("recipe.")
    return f"{name}: code {where}" + (f" with {script}" if script else "")


def _require_commit(repository: Path, code: GitCode, field: str) -> None:
    if not _git(repository, "cat-file", "-e", f"{code.commit}^{{commit}}"):
        message = f"'{code.git}' is not a git repository with the commit {code.commit}"
        raise JobError("bad-code", message, f"{field}.code.commit")


def _has(folder: Path, code: str | GitCode, script: str) -> bool:
    name = script.removeprefix("./")
    if isinstance(code, GitCode):
        return _git(folder, "cat-file", "-e", f"{code.commit}:{name}")
    return (folder / name).is_file()


def _git(repository: Path, *arguments: str) -> bool:
    """Whether git finds the requested object.

    Raises:
        JobError: There is no git.
    """
    command = ["git", "-c", "safe.directory=*", "-C", str(repository), *arguments]
    try:
        return not subprocess.run(command, capture_output=True, timeout=GIT_TIMEOUT_S).returncode
    except FileNotFoundError as error:
        raise JobError(
            "bad-code", "git is not installed on this worker: the commit cannot be checked"
        ) from error
