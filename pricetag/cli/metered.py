"""``pricetag run`` without the other commands: a program must not wait until they are loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from pricetag import streams
from pricetag.cli.console import CliError, complain

if TYPE_CHECKING:
    from pricetag.local.request import Request
    from pricetag.local.slurm import SlurmTask

VALUES = {
    "--name": "name",
    "--project": "project",
    "--experiment": "experiment",
    "--tag": "tags",
    "--gpus": "gpus",
}
"""Options of ``run`` that take a value."""

FLAGS = {
    "--second-opinion": ("second_opinion", True),
    "--quiet": ("quiet", True),
    "--push": ("push", True),
    "--no-push": ("push", False),
}
"""Options of ``run`` without a value, with what they set."""

GPUS = ("visible", "none")
NOT_FOUND = 127


def quick_run(arguments: Sequence[str]) -> int | None:
    """Runs ``pricetag run`` with usual arguments.

    Args:
        arguments: As on the command line, after ``run``.

    Returns:
        The exit code of an error; None if the full command line has to parse the arguments.
    """
    parsed = parse(arguments)
    if parsed is None:
        return None
    command, options = parsed
    try:
        run_metered(command, **options)
    except CliError as error:
        complain(str(error), error.details)
        return error.exit_code


def parse(arguments: Sequence[str]) -> tuple[list[str], dict[str, Any]] | None:
    """The program's command line and the options before it; None if one is not understood."""
    options: dict[str, Any] = {"tags": []}
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        name, equals, value = rest.pop(0).partition("=")
        if name in FLAGS and not equals:
            flag, value_of_flag = FLAGS[name]
            options[flag] = value_of_flag
            continue
        if name not in VALUES or (not equals and not rest):
            return None
        value = value if equals else rest.pop(0)
        if name == "--tag":
            options["tags"].append(value)
        else:
            options[VALUES[name]] = value
    command = rest[1:] if rest[:1] == ["--"] else rest
    if not command or options.get("gpus", "none") not in GPUS:
        return None
    return command, options


def run_metered(
    command: Sequence[str],
    *,
    name: str | None = None,
    project: str | None = None,
    experiment: str = "local",
    tags: Sequence[str] = (),
    gpus: str = "visible",
    second_opinion: bool = False,
    quiet: bool = False,
    push: bool | None = None,
    url: str | None = None,
    token: str | None = None,
) -> NoReturn:
    """Runs a program metered, and ends this process like it.

    Args:
        command: Program and arguments.
        name: Name of the run; by default the command line.
        project: Project of the run; by default that of the settings.
        experiment: Experiment of the run.
        tags: Tags of the run.
        gpus: One of ``GPUS``.
        second_opinion: Whether CodeCarbon runs beside the meter.
        quiet: Whether to print no price tag at the end.
        push: Whether to push the run at the end; by default as the settings say.
        url: Server to push it to; by default as the settings say.
        token: Token for it; by default that of the settings.

    Raises:
        CliError: If the program cannot be started.
    """
    from pricetag.events import ENV_VAR
    from pricetag.local.program import StartError, end_like, run_program
    from pricetag.local.request import Request, name_of, readable
    from pricetag.local.settings import settings_of_program

    if os.environ.get(ENV_VAR):
        complain("this program is part of a run that is metered already; it is not metered twice")
        _replace_by(command)
    task = _slurm_task()
    if task is not None and not task.meters:  # the first task of the step on this node does
        _replace_by(command)
    recorded = tuple(readable(argument) for argument in command)
    request = Request(
        name=name_of([name]) if name else name_of(recorded),
        kind="program",
        command=recorded,
        project=project,
        experiment=experiment,
        tags=tuple(tags),
        second_opinion=second_opinion,
        gpus=gpus,
    )
    if task is not None:
        request = _of_job(request, task)
    try:
        environ = dict(os.environ)  # the program's, with all that is in it
        settings = settings_of_program()
        for problem in settings.unused:
            complain(problem)
        if push is None and settings.push_problem is not None:
            complain(f"the run will not be pushed: {settings.push_problem}")
        ended = run_program(command, request, settings, environ)
    except StartError as error:
        raise CliError(str(error), error.exit_code) from error
    except OSError as error:
        raise CliError(f"the data folder cannot be used: {error}") from error
    if ended.document is None:
        complain(f"there is no price tag of this program: {ended.problem}")
    elif ended.problem is not None:
        complain(f"the meter could not finish, and only a part is metered: {ended.problem}")
    if ended.document is not None and not quiet:
        from pricetag.local.summary import summary_text

        streams.write(sys.stderr, summary_text(ended.document))
        if settings.unused:  # the output of the program is between this line and the first
            complain("the price tag is without settings that are invalid:", settings.unused)
    if ended.document is not None and (settings.push if push is None else push):
        from pricetag.cli.push_at_end import push_ended

        push_ended(request.folder_name, url=url, token=token)
    end_like(ended)


def _slurm_task() -> SlurmTask | None:
    """The task of a Slurm job that this process is; its module is only loaded in a job."""
    if "SLURM_JOB_ID" not in os.environ:
        return None
    from pricetag.local.slurm import BATCH, read_task

    task = read_task()
    if task is None:  # the shell of salloc, or an environment that was cut
        complain(
            "SLURM_JOB_ID is set without SLURMD_NODENAME: this program is metered by itself, not "
            "as a task of the job"
        )
    elif task.meters and task.step == BATCH and task.nodes > 1:
        complain(
            f"the batch script runs on one of the job's {task.nodes} nodes, and the energy of the "
            "others is not metered: start the program with 'srun pricetag run -- ...'"
        )
    return task


def _of_job(request: Request, task: SlurmTask) -> Request:
    """The request of a run that is a job: its account is its project, unless one is named."""
    from dataclasses import replace

    from pricetag.local.slurm import ORIGIN

    is_named = request.project is not None or bool(os.environ.get("PRICETAG_PROJECT"))
    return replace(
        request,
        run_id=task.run_id,
        origin=ORIGIN,
        project=request.project if is_named else task.account,
        tags=tuple(dict.fromkeys([*request.tags, *task.tags])),
        job=task.as_record(),
        marks=task.marks,
    )


def _replace_by(command: Sequence[str]) -> NoReturn:
    try:
        os.execvp(command[0], list(command))
    except OSError as error:
        raise CliError(f"{command[0]}: {error.strerror}", NOT_FOUND) from error
