"""Runs without a server: ``pricetag run``, and the local runs that other commands show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pricetag.cli.checkout import load
from pricetag.cli.console import EXIT_USAGE, CliError, complain, console, emit_json, say
from pricetag.cli.find import SHORTEST
from pricetag.cli.named_runs import SHOWN_CHARACTERS
from pricetag.cli.options import given
from pricetag.cli.report_files import write_formats

if TYPE_CHECKING:
    from pricetag.local.runs import LocalRun, LocalRuns

Gpus = Literal["visible", "none"]

RUN_EXAMPLES = (
    "Examples:\n\n"
    "pricetag run -- python train.py\n\n"
    "pricetag run --name baseline --project reviews -- ./train.sh"
)
NO_LOCAL_RUNS = "No local runs yet. Meter a program with: pricetag run -- python train.py"
LocalOption = Annotated[
    bool, typer.Option("--local", help="Use the local runs of this machine; needs no server.")
]
ServerOption = Annotated[
    bool,
    typer.Option(
        "--server", help="Use the copy on the server, also where this machine has the run."
    ),
]
AS_TYPED = {"allow_interspersed_args": False}
"""What follows the first argument belongs to the program."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("run", epilog=RUN_EXAMPLES, context_settings=AS_TYPED)(run)


def run(
    ctx: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="Program to run, and its arguments."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the run. Default: the command line.")
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="Project of the run. Default: PRICETAG_PROJECT, else local.")
    ] = None,
    experiment: Annotated[str, typer.Option(help="Experiment of the run.")] = "local",
    tag: Annotated[list[str] | None, typer.Option(help="Tag of the run (repeatable).")] = None,
    gpus: Annotated[
        Gpus,
        typer.Option(help="Accelerators to meter: those that the program may see, or none."),
    ] = "visible",
    second_opinion: Annotated[
        bool,
        typer.Option("--second-opinion", help="Also run CodeCarbon, to compare its figures."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Do not print the price tag at the end.")
    ] = False,
    push: Annotated[
        bool | None,
        typer.Option(
            "--push/--no-push",
            help="Push the run to the server at the end. Default: PRICETAG_PUSH, else no.",
        ),
    ] = None,
) -> None:
    """Run a program and meter it on this machine, without a server.

    The price tag is printed on standard error when the program ends, and kept in the data folder:
    `pricetag runs --local`. The command ends with the exit code of the program, or by the same
    signal. Accelerators that the program may see are charged in full; the host is charged by the
    CPU time of the program's processes.
    """
    from pricetag.cli.metered import run_metered

    if given(ctx).json:
        message = "run has no --json: its output is that of the program; use show last --local"
        raise CliError(message, EXIT_USAGE)
    if not command:
        raise CliError("name the program to run: pricetag run -- COMMAND", EXIT_USAGE)
    run_metered(
        command,
        name=name,
        project=project,
        experiment=experiment,
        tags=tag or (),
        gpus=gpus,
        second_opinion=second_opinion,
        quiet=quiet,
        push=push,
        url=given(ctx).url,
        token=given(ctx).token,
    )


def local_runs() -> LocalRuns:
    """The local runs of this machine, after those whose meter died were settled.

    Raises:
        CliError: If the configuration file or the data folder cannot be read.
    """
    from pricetag.configuration import ConfigurationError
    from pricetag.local.runs import LocalRuns
    from pricetag.local.settings import local_folder

    try:
        runs = LocalRuns(local_folder())
        problems = runs.settle()
    except ConfigurationError as error:
        raise CliError(str(error), EXIT_USAGE) from error
    except OSError as error:
        message = f"the data folder {runs.folder.parent} cannot be read: {error.strerror}"
        raise CliError(message, EXIT_USAGE) from error
    for problem in problems:
        complain(problem)
    return runs


def find_local(ctx: typer.Context, text: str, *, is_local: bool) -> LocalRun | None:
    """The local run that a text names; None if it names a run of the server.

    ``last`` is the newest local run with ``--local``, or where there is no server.

    Args:
        ctx: Of the command.
        text: A run ID, its first characters, or ``last``.
        is_local: Whether only local runs are meant.

    Raises:
        CliError: If no local run, or more than one, matches ``--local``, or the text is too short.
    """
    if len(text) < SHORTEST:
        raise CliError(
            f"{text!r} is too short: use at least {SHORTEST} characters of a run ID", EXIT_USAGE
        )
    try:
        runs = local_runs()
    except CliError:
        if is_local or not _has_server(ctx):
            raise
        return None
    if text == "last":
        newest = next(iter(runs.all()), None)
        if newest is None and is_local:
            raise CliError(NO_LOCAL_RUNS)
        if newest is None:
            _require_server(ctx, "there are no local runs yet")
        return newest if is_local or not _has_server(ctx) else None
    matching = runs.find(text)
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise CliError(f"{text!r} matches {len(matching)} local runs; use a longer prefix")
    if problems := runs.unreadable(text):
        raise CliError(problems[0])
    unknown = f"no local run has an ID that begins with {text!r}"
    if is_local:
        raise CliError(unknown)
    _require_server(ctx, unknown)
    return None


def which_copy(
    ctx: typer.Context,
    text: str,
    *,
    is_local: bool,
    is_server: bool,
    version: int | None = None,
    command: str,
) -> tuple[LocalRun | None, str]:
    """The copy of a run to show: that of this machine, or that of the server.

    A pushed run is in both places under the same ID. Its versions after the first are those of the
    server. Where the choice is not the user's, a line on stderr states it.

    Args:
        ctx: Of the command.
        text: A run ID, its first characters, or ``last``.
        is_local: Whether only local runs are meant.
        is_server: Whether only runs of the server are meant.
        version: Version of the price tag, if one is named.
        command: Name of the command, for the line.

    Returns:
        The local run, or None and what names the run on the server.

    Raises:
        CliError: As :func:`find_local`, or if the local copy does not have the version.
    """
    if is_local and is_server:
        raise CliError("use --local or --server, not both", EXIT_USAGE)
    if is_server:
        return None, _known_id(text)
    own = find_local(ctx, text, is_local=is_local)
    if own is None:
        return None, text
    run_id = str(own.run["id"])
    pushes = pushed_to(own)
    if version is not None:
        own_version = None if own.price_tag is None else own.price_tag["version"]
        if not is_local and (pushes or version != own_version) and _has_server(ctx):
            return None, run_id
        if version != own_version:
            raise CliError(
                f"the copy on this machine has no version {version} of the price tag: a local run "
                "has one version, and later ones are on the server"
            )
    if pushes and not is_local:
        complain(
            "this is the copy on this machine; that of the server, with its newest price tag: "
            f"pricetag {command} {run_id[:SHOWN_CHARACTERS]} --server"
        )
    return own, run_id


def local_of_file(
    ctx: typer.Context, tag: Mapping[str, Any], *, is_local: bool, is_server: bool
) -> LocalRun | None:
    """The local run that the price tag of a file names; None if the server is to be asked.

    Raises:
        CliError: If no local run has its ID with ``--local``, or where there is no server.
    """
    if is_local and is_server:
        raise CliError("use --local or --server, not both", EXIT_USAGE)
    if is_server or (not is_local and _has_server(ctx)):
        return None
    return find_local(ctx, str(tag["run_id"]), is_local=is_local)


def _known_id(text: str) -> str:
    """The whole ID of the local run that a text names; the text itself if it names none."""
    from pricetag.configuration import ConfigurationError
    from pricetag.local.runs import LocalRuns
    from pricetag.local.settings import local_folder

    try:
        matching = LocalRuns(local_folder()).find(text)
    except (ConfigurationError, OSError):
        return text
    return str(matching[0].run["id"]) if len(matching) == 1 else text


def _require_server(ctx: typer.Context, otherwise: str) -> None:
    """States also what is missing on this machine, where no server could have the run."""
    from pricetag.cli.connection import NoServerError, resolve

    options = given(ctx)
    try:
        resolve(options.url, options.token)
    except NoServerError as error:
        raise CliError(f"{otherwise}, and there is {error}", EXIT_USAGE) from error


def _has_server(ctx: typer.Context) -> bool:
    from pricetag.cli.connection import resolve

    options = given(ctx)
    try:
        resolve(options.url, options.token)
    except CliError:
        return False
    return True


def matching_runs(filters: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
    """Local runs in the form of the server's lists, newest first.

    Runs that cannot be read, and the number of those beyond the limit, are stated on stderr.

    Args:
        filters: Filters of ``pricetag runs``; None where one is not set.
        limit: Maximum number of runs.

    Raises:
        CliError: If a filter needs the server, or there is no such status.
    """
    from pricetag.tag.measured import ORIGINS

    unknown = [name for name in ("user", "kind") if filters[name]]
    if unknown or filters["sort"] != "-created_at":
        named = ", ".join(f"--{name}" for name in unknown) or "--sort"
        raise CliError(f"{named} needs the server; omit --local", EXIT_USAGE)
    if invalid := sorted(set(filters["origin"] or ()) - set(ORIGINS)):
        allowed = f"{', '.join(ORIGINS[:-1])} or {ORIGINS[-1]}"
        raise CliError(f"--origin {invalid[0]}: must be {allowed}", EXIT_USAGE)
    matching = _selected(filters)
    if (more := len(matching) - limit) > 0:
        complain(f"{more:,} more not shown: use --limit {len(matching)} to list all")
    return [listed_run(each) for each in matching[:limit]]


def _selected(filters: Mapping[str, Any]) -> list[LocalRun]:
    """The local runs that match, newest first; those that cannot be read are stated on stderr."""
    runs = local_runs()
    for problem in runs.unreadable():
        complain(problem)
    return [each for each in runs.all() if _matches(each.run, filters)]


def ended_runs(filters: Mapping[str, Any]) -> list[LocalRun]:
    """The local runs to report on, oldest first; running ones are counted on stderr.

    Args:
        filters: ``project``, ``experiment`` and ``tag``, where they are set.

    Raises:
        CliError: If no run that has ended matches.
    """
    matching = _selected(filters)
    ended = [each for each in reversed(matching) if each.price_tag is not None]
    if running := len(matching) - len(ended):
        noun = "run is" if running == 1 else "runs are"
        complain(f"{running:,} {noun} skipped: without a price tag yet")
    if not ended:
        raise CliError("no local run that has ended matches", EXIT_USAGE)
    return ended


def listed_run(local: LocalRun) -> dict[str, Any]:
    """A local run with the figures of a list."""
    tag = local.price_tag
    names = ("it_energy_kwh", "facility_energy_kwh", "co2e_kg", "duration_s")
    figures = None if tag is None else {name: tag[name]["value"] for name in names}
    return {**local.run, "price_tag": figures, "pushed": pushed_to(local)}


def pushed_to(local: LocalRun) -> list[dict[str, Any]]:
    """Where a local run was pushed, and when."""
    from pricetag.local.pushing import pushes_of

    return [
        {"url": url, "at": push.get("at"), "price_tag_version": push.get("price_tag_version")}
        for url, push in pushes_of(local.folder).items()
    ]


def _matches(run: Mapping[str, Any], filters: Mapping[str, Any]) -> bool:
    words = str(filters.get("q") or "").lower().split()
    text = " ".join([run["name"], *run["tags"]]).lower()
    return (
        filters.get("project") in (None, run["project"])
        and filters.get("experiment") in (None, run["experiment"])
        and set(filters.get("tag") or ()) <= set(run["tags"])
        and run["status"] in (filters.get("status") or [run["status"]])
        and (not filters.get("origin") or run.get("origin") in filters["origin"])
        and all(word in text for word in words)
    )


def show_local(local: LocalRun, *, as_json: bool) -> None:
    """Prints a local run and its price tag."""
    if as_json:
        run = {**local.run, "pushed": pushed_to(local)}
        emit_json({"run": run, "price_tag": local.price_tag, "price_tag_version": None})
        return
    from pricetag.cli.views import price_tag_view, strubell_table, variants_view
    from pricetag.cli.views.runs import run_view

    out = console()
    out.print(run_view(local.run))
    for push in pushed_to(local):
        say(f"Pushed: {push['url']}/runs/{local.run['id']} ({str(push['at'])[:16]} UTC)")
    tag = local.price_tag
    if tag is None:
        say("It is running: its price tag is made when it ends.")
        return
    head = price_tag_view(tag, status=local.run["status"])
    say_reported(reported_by(local))
    for view in (head, variants_view(tag), strubell_table([tag])):
        if view is not None:
            out.print(view)
            out.print()


def say_reported(figures: Iterable[tuple[str, float | None, str | None]]) -> None:
    """Prints the figures that another tool reported of a run, if there are any."""
    from pricetag.tag.measured import reported_text

    if text := reported_text(figures):
        say(
            f"Its tool's own figures: {text}. Those below are made from its energies without its "
            "PUE, and with your factors."
        )


def reported_by(local: LocalRun) -> Iterator[tuple[str, float, str | None]]:
    """Name, value and unit of each figure that another tool reported of an imported run."""
    if local.run["origin"] != "import":
        return
    from pricetag.local.runs import journal_lines

    try:
        for line in journal_lines(local.journal):
            if line["type"] == "metric":
                yield line["name"], line["value"], line["unit"]
    except (OSError, ValueError, KeyError):  # its price tag is shown all the same
        return


def verify_local(local: LocalRun, file: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Recomputes a local price tag from its journal.

    Args:
        local: The run.
        file: A price tag from a file, to compare with that of the run.

    Raises:
        CliError: If the run has no price tag yet, or its journal cannot be read.
    """
    from pricetag.cli import verifying
    from pricetag.local.checking import checked

    tag = local.price_tag
    if tag is None:
        raise CliError("the run has no price tag yet: it is running")
    result = checked(local)
    step = {"step": "arithmetic", "of": verifying.ITSELF}
    step |= {"status": result.status, "detail": result.detail}
    return verifying.of_local(tag, step, file)


def report_local(
    locals_: Sequence[LocalRun],
    title: str | None,
    profile: str,
    formats: Sequence[str],
    folder: Path,
) -> dict[str, Any]:
    """Writes a report on local runs; nothing is stored on a server.

    Raises:
        CliError: If a run has no price tag yet, the service's code is not installed, or the folder
            cannot be written to.
    """
    from pricetag.cli.verifying import HASH

    build_context, render = load("app.reports", "build_context"), load("app.reports", "render")
    documents = []
    for local in locals_:
        if local.price_tag is None:
            raise CliError(f"{local.run['id'][:8]} has no price tag yet: it is running")
        documents.append({k: v for k, v in local.price_tag.items() if k != HASH})
    first = locals_[0].run
    more = f" and {len(locals_) - 1} more" if len(locals_) > 1 else ""
    shown_title = title or f"Price of {first['name']}{more}"
    context = build_context(shown_title, profile, documents, generated_at=datetime.now(UTC))
    files = write_formats(
        f"report-{first['id'][:8]}", formats, folder, lambda fmt: render(context, fmt).content
    )
    return {"title": shown_title, "files": files}


def report_lines(written: Mapping[str, Any]) -> Iterator[str]:
    """Where the files of a local report are."""
    yield f"report: {written['title']}"
    for path in written["files"].values():
        yield f"  {path}"
