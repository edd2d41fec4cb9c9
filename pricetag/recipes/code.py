"""Origin of a command's code, and detection of commands that cannot find their script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import Field, StringConstraints

from pricetag.recipes.base import Params
from pricetag.recipes.data import Folder

_INTERPRETER = re.compile(
    r"(python|pypy|bash|sh|dash|zsh|ksh|perl|ruby|node|julia|lua|Rscript)[\d.]*"
)
_SCRIPT = re.compile(r"\.(py|pyz|sh|bash|pl|rb|js|mjs|jl|lua|R|r)$")
_LAUNCHER = re.compile(
    r"torchrun|accelerate|deepspeed|horovodrun|mpirun|mpiexec|env|nice|time|timeout|stdbuf|numactl|"
    r"uv|poetry|pdm|nsys"
)
_WITHOUT_SCRIPT = ("-c", "-m", "-e", "-E")
"""Options with a program text or a module instead of a script."""


class GitCode(Params):
    """The files of one commit."""

    git: Folder = Field(description="A git repository under the worker's data roots.")
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,64}$")] = Field(
        description="SHA of the commit, full or short."
    )


Code = Folder | GitCode


def script_place(argv: Sequence[str]) -> int | None:
    """Index in ``argv`` of a script with a relative path; None if there is none.

    It is 1 in ``[python, train.py]`` and ``[torchrun, train.py]``, 0 in ``[./run.sh]``, None in
    ``[python, -m, mine]``.
    """
    program = argv[0]
    if "/" in program and not program.startswith("/"):
        return 0
    name = PurePosixPath(program).name
    if _LAUNCHER.fullmatch(name):
        return _launched_place(argv)
    if not _INTERPRETER.fullmatch(name):
        return None
    for place, argument in enumerate(argv[1:], 1):
        if argument.startswith(_WITHOUT_SCRIPT):
            return None
        if not argument.startswith("-"):
            is_relative = not argument.startswith("/")
            return place if is_relative and _SCRIPT.search(argument) else None
    return None


def _launched_place(argv: Sequence[str]) -> int | None:
    """Index of the first script among the arguments of a program that starts another one."""
    for place, argument in enumerate(argv[1:], 1):
        if argument.startswith(_WITHOUT_SCRIPT):
            return None
        if not argument.startswith("-") and "=" not in argument and _SCRIPT.search(argument):
            return None if argument.startswith("/") else place
    return None
