"""Commands about studies: study FILE, study show, study cancel, studies."""

from __future__ import annotations

import uuid
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pricetag.cli.answering import answer
from pricetag.cli.console import (
    EXIT_DETACHED,
    EXIT_RUN_CANCELLED,
    EXIT_RUN_FAILED,
    EXIT_USAGE,
    CliError,
    console,
    emit_json,
    say,
)
from pricetag.cli.find import SHORTEST
from pricetag.cli.help_text import FilledGroup
from pricetag.cli.options import Json, open_client, status_filter, wants_json
from pricetag.cli.running import read_job_file, valid_key
from pricetag.tag.status import status_text

if TYPE_CHECKING:
    from pricetag.client import Client

STATUSES = ("running", "finished", "failed", "cancelled")
EXIT_CODES = {"finished": 0, "failed": EXIT_RUN_FAILED, "cancelled": EXIT_RUN_CANCELLED}

StudyArgument = Annotated[
    str,
    typer.Argument(metavar="STUDY", help="ID of the study, or its first characters (at least 4)."),
]


class StudyGroup(FilledGroup):
    """Commands about studies; a file in place of a command is submitted."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command; ``post`` before anything that is not one."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["post", *args]
        return super().resolve_command(ctx, args)


study = typer.Typer(
    name="study",
    cls=StudyGroup,
    no_args_is_help=True,
    help="Submit a study, a search over runs of one job: `pricetag study FILE`. Show and cancel "
    "studies.",
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(study)
    app.command("studies")(studies)


@study.command("post")
def post_study(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Study file, YAML or JSON.")],
    follow: Annotated[
        bool, typer.Option("--follow", help="Show progress until the study ends.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Check the study file; submit nothing. Needs no server.")
    ] = False,
    key: Annotated[
        str | None,
        typer.Option(
            help="Idempotency key: submissions with the same key create one study.",
            callback=valid_key,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Submit a study; `pricetag study FILE` is short for it.

    A study file has a job (`base`), the ranges of its fields (`space`, each with a `field` such as
    recipe.stages.0.learning_rate), a `strategy` (grid, random, seeds, successive_halving,
    hyperband, asha, tpe), the `metric` to improve, e.g. {name: accuracy}, and, optionally, a
    `budget`, e.g. {kwh: 2.5}. docs/how-to/studies.md has examples.

    With --follow, the command ends when the study ends. Exit code 3 means that it failed, 4 that
    it was canceled. Ctrl-C detaches; the study continues.
    """
    text = read_job_file(file, "study")
    if check:
        _check(ctx, file, text, json)
        return
    with open_client(ctx) as client:
        accepted = client.create_study(text, idempotency_key=key)
        if follow:
            raise typer.Exit(_follow(ctx, json, client, accepted["id"]))
    answer(
        ctx,
        json,
        accepted,
        lambda study: [
            f"{study['id']} {status_text(study['status'])}",
            f"follow it with: pricetag study show {study['id']} --follow",
        ],
    )


@study.command("show")
def show_study(
    ctx: typer.Context,
    named: StudyArgument,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show progress until the study ends.")
    ] = False,
    json: Json = False,
) -> None:
    """Show a study: trials, rungs, the best trial, the price tag of all runs, energy saved."""
    from pricetag.cli.views.studies import study_view

    with open_client(ctx) as client:
        study_id = _study_id(client, named)
        if follow:
            raise typer.Exit(_follow(ctx, json, client, study_id))
        shown = client.get_study(study_id)
    answer(ctx, json, shown, study_view)


@study.command("cancel")
def cancel_study(ctx: typer.Context, named: StudyArgument, json: Json = False) -> None:
    """Cancel a study: queued runs are canceled, running ones stop, and their use stays billed."""
    with open_client(ctx) as client:
        accepted = client.cancel_study(_study_id(client, named))
    answer(ctx, json, accepted, lambda study: f"{study['id']} {status_text(study['status'])}")


def studies(
    ctx: typer.Context,
    project: Annotated[str | None, typer.Option(help="Show only studies of this project.")] = None,
    status: Annotated[
        str | None,
        typer.Option(
            help="Show only studies with this status: `running`, `finished`, `failed` or "
            "`canceled`."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of rows.")] = 20,
    json: Json = False,
) -> None:
    """List studies, newest first."""
    from pricetag.cli.views.studies import studies_view

    with open_client(ctx) as client:
        chosen = status_filter([status], STATUSES)[0] if status is not None else None
        items = list(islice(client.iter_studies(project=project, status=chosen), limit))
    answer(ctx, json, items, studies_view, nothing="No matching studies.")


def _check(ctx: typer.Context, file: Path, text: str, json: bool) -> None:
    from pricetag.recipes.yaml_text import YamlError, parse_yaml
    from pricetag.studies.parse import StudyError, parse_study
    from pricetag.studies.strategies import NEEDS_OPTUNA, Tpe

    try:
        spec = parse_study(parse_yaml(text))
    except YamlError as error:
        raise CliError(f"malformed YAML: {error}", EXIT_USAGE) from error
    except StudyError as error:
        raise CliError(str(error), EXIT_USAGE) from error
    plan = spec.plan
    lines = [f"{file} describes a study: {spec.name} ({spec.strategy.kind}, {plan.trials} trials)"]
    for bracket in plan.brackets:
        rungs = ", ".join(
            str(rung.trials) if rung.resource is None else f"{rung.trials} to {rung.resource:g}"
            for rung in bracket.rungs
        )
        lines.append(f"bracket {bracket.number}: {rungs}")
    if isinstance(spec.strategy, Tpe) and find_spec("optuna") is None:
        lines.append(f"{NEEDS_OPTUNA}; it is not installed here")
    answer(ctx, json, spec.model_dump(mode="json"), lambda _: lines)


def _follow(ctx: typer.Context, json: bool, client: Client, study_id: str) -> int:
    """Shows the progress of a study until it ends; returns the exit code."""
    from pricetag.cli.views.studies import progress_line, study_view

    as_json = wants_json(ctx, json)
    shown: dict[str, Any] = {}
    try:
        if as_json or not console().is_terminal:
            line = ""
            for shown in client.follow_study(study_id):
                if not as_json and (new := progress_line(shown)) != line:
                    line = new
                    say(line)
        else:
            from rich.live import Live

            with Live(console=console(), transient=True) as live:
                for shown in client.follow_study(study_id):
                    live.update(study_view(shown))
    except KeyboardInterrupt:
        raise CliError(
            "detached; the study continues. To follow it again: "
            f"pricetag study show {study_id} --follow",
            EXIT_DETACHED,
        ) from None
    emit_json(shown) if as_json else console().print(study_view(shown))
    return EXIT_CODES.get(shown["status"], EXIT_RUN_FAILED)


def _study_id(client: Client, named: str) -> str:
    """The ID of the study that a text names.

    Raises:
        CliError: If no study, or more than one, matches.
    """
    try:
        return str(uuid.UUID(named))
    except ValueError:
        pass
    if len(named) < SHORTEST:
        raise CliError(f"{named!r} is too short: give at least {SHORTEST} characters", EXIT_USAGE)
    ids = (str(each["id"]) for each in client.iter_studies())
    matches = [study_id for study_id in ids if study_id.startswith(named.lower())]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise CliError(f"{len(matches)} studies begin with {named!r}; give more characters")
    raise CliError(f"study {named!r} not found; `pricetag studies` lists all studies")
