"""Parameters of a command."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from pricetag.recipes.base import StageParams
from pricetag.recipes.code import Code, script_place
from pricetag.recipes.kinds import Paper, RecipeEntry, Traits
from pricetag.recipes.shapes import MisfitError

Argument = Annotated[str, StringConstraints(max_length=32_768)]
Program = Annotated[str, StringConstraints(min_length=1)]


def _free_variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise PydanticCustomError("variable", "is not a valid name of an environment variable")
    if name.upper().startswith("PRICETAG_"):
        # These variables belong to the supervisor and the child, not to the job.
        raise PydanticCustomError("variable", "is reserved: PRICETAG_* is set by the worker")
    return name


VariableName = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(_free_variable)
]


class Command(StageParams):
    """Run your own program and meter it.

    The worker's administrator must allow commands for its pool.

    Source: Henderson et al. 2020, JMLR 21(248): the cost of every job is reported in the same
    way, regardless of its code.
    """

    kind: Literal["command"] = "command"
    argv: Annotated[list[Argument], Field(min_length=1, max_length=1024)] = Field(
        description="Program and arguments; no shell."
    )
    code: Code | None = Field(
        None,
        description="The program's code, copied read-only into the folder it runs in: a folder "
        "under the worker's data roots, or {git: REPOSITORY, commit: SHA}.",
    )
    env: Annotated[dict[VariableName, Argument], Field(max_length=256)] = Field(
        default_factory=dict, description="Environment variables of the program, by name."
    )
    timeout_s: float | None = Field(
        None, gt=0, le=31_536_000, description="Maximum run time of the program, s. Default: none."
    )


def script_is_found(params: Command) -> MisfitError | None:
    """Reason why a run cannot begin with the command; later ones may use files of the first."""
    place = script_place(params.argv)
    if params.code is not None or place is None:
        return None
    return MisfitError(
        f"argv.{place}",
        f"'{params.argv[place]}' cannot be found: a program starts in an empty folder. Add code: "
        "FOLDER (under the data roots) or a git commit that has it",
    )


ENTRY = RecipeEntry(
    params=Command,
    title="Run a command",
    summary="Runs any program and meters it; only on workers that allow commands.",
    paper=Paper(
        "Henderson, Hu, Romoff, Brunskill, Jurafsky, Pineau (2020): Towards the Systematic "
        "Reporting of the Energy and Carbon Footprints of Machine Learning. JMLR 21(248).",
        "https://jmlr.org/papers/v21/20-312.html",
    ),
    example={"kind": "command", "argv": ["python", "-c", "print('hello')"]},
    traits=Traits(
        group="program",
        runs_program=True,
        check_first=script_is_found,
        counts_whole=lambda params: True,
        tuning=frozenset({"timeout_s"}),
    ),
)
