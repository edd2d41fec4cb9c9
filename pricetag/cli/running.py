"""Commands about runs: submit, runs, show, cancel, resume, logs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from pricetag.cli.answering import answer
from pricetag.cli.checkout import load
from pricetag.cli.console import (
    EXIT_USAGE,
    CliError,
    complain,
    emit_json_line,
    harmless,
    say,
)
from pricetag.cli.local_runs import (
    NO_LOCAL_RUNS,
    LocalOption,
    ServerOption,
    matching_runs,
    show_local,
    which_copy,
)
from pricetag.cli.options import (
    RUN_STATUSES,
    Json,
    RunArgument,
    open_client,
    status_filter,
    wants_json,
    warn,
)
from pricetag.one_line import not_utf8
from pricetag.tag.status import status_text
from pricetag.wire import RunAccepted

if TYPE_CHECKING:
    from pricetag.client import Client


NO_RUNS = "No runs yet. Submit one with: pricetag submit job.yaml"
RUNS_EXAMPLES = (
    "Examples:\n\n"
    "pricetag runs --user me --status running\n\n"
    "pricetag runs --project reviews --sort=-it_energy_kwh"
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("submit", epilog="Example: pricetag submit job.yaml --wait")(submit)
    app.command("runs", epilog=RUNS_EXAMPLES)(runs)
    app.command("show", epilog="Example: pricetag show last --wait")(show)
    app.command("cancel", epilog="Example: pricetag cancel last")(cancel)
    app.command("resume", epilog="Example: pricetag resume last --wait")(resume)
    app.command("logs", epilog="Example: pricetag logs last --follow")(logs)


def valid_key(key: str | None) -> str | None:
    """Rejects keys that a header cannot hold.

    Raises:
        BadParameter: If the key is invalid.
    """
    from pricetag.wire import key_fault

    if key is not None and (fault := key_fault(key)) is not None:
        raise typer.BadParameter(fault)
    return key


def submit(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Job file to run, YAML or JSON.")],
    wait: Annotated[bool, typer.Option("--wait", help="Show progress until the run ends.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show the log, as it is written, until the run ends.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Check the job file; submit nothing. Needs no server.")
    ] = False,
    data_root: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="With --check: also check the data and model files under FOLDER (repeatable).",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the quote, as `quote` does; submit nothing.")
    ] = False,
    key: Annotated[
        str | None,
        typer.Option(
            help="Idempotency key: submissions with the same key create one run.",
            callback=valid_key,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Submit a job file as a run, which a worker executes and meters.

    With --wait or --follow, the command ends when the run ends. Exit code 3 means that the run
    failed, 4 that it was canceled. Ctrl-C detaches; the run continues.
    """
    if check:
        _check(ctx, file, json, data_root or [])
        return
    if dry_run:
        from pricetag.cli.quotes import show_quote

        show_quote(ctx, file, json)
        return
    from pricetag.cli.programs import check_programs

    text = read_job_file(file)
    missing = check_programs(file, text)
    with open_client(ctx) as client:
        accepted = client.create_run(text, idempotency_key=key)
        if missing:
            accepted["warnings"] = [*accepted.get("warnings", ()), *missing]
        warn(ctx, json, accepted)
        if wait or follow:
            _wait(ctx, json, client, accepted, logs=follow)
    answer(ctx, json, accepted, _accepted_lines)


def _wait(
    ctx: typer.Context,
    json: bool,
    client: Client,
    accepted: RunAccepted,
    *,
    logs: bool,
    after: int = 0,
) -> NoReturn:
    from pricetag.cli.follow import follow

    as_json = wants_json(ctx, json)
    if not as_json:
        say(f"{accepted['id']} {status_text(accepted['status'])}")
    raise typer.Exit(follow(client, accepted["id"], logs=logs, as_json=as_json, after=after))


def _accepted_lines(run: RunAccepted) -> Iterator[str]:
    yield f"{run['id']} {status_text(run['status'])}"
    yield f"follow it with: pricetag show {run['id']} --wait"


def read_job_file(file: Path, noun: str = "job") -> str:
    """The text of a job or study file; the error states the noun.

    Raises:
        CliError: If it cannot be read, or is empty.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CliError(f"cannot read {file}: {error.strerror}", EXIT_USAGE) from error
    except UnicodeDecodeError as error:
        raise CliError(f"{file} {not_utf8(error)}", EXIT_USAGE) from error
    if not text.strip():
        raise CliError(f"The {noun} file is empty.", EXIT_USAGE)
    return text


def _check(ctx: typer.Context, file: Path, json: bool, data_roots: list[Path]) -> None:
    from pricetag.recipes import RecipeError, derive_kind, load_run_file

    try:
        spec = load_run_file(file)
    except RecipeError as error:
        raise CliError(str(error), EXIT_USAGE) from error
    lines = [f"{file} is a valid job file: {spec.name} ({derive_kind(spec.recipe)})"]
    for root in data_roots:
        if not root.is_dir():
            raise CliError(f"--data-root {root} is not a folder", EXIT_USAGE)
    if data_roots:
        result = load("workers.training.preparation", "reported")(spec.recipe, data_roots)
        if isinstance(result, str):
            raise CliError(result, EXIT_USAGE)
        lines += [f"Checked: {check}" for check in result.checked]
        lines += [f"Not checked: {check}" for check in result.skipped]
    else:
        lines.append("Checked: the job file alone; --data-root FOLDER also checks its files.")
    answer(ctx, json, spec.model_dump(mode="json"), lambda _: "\n".join(lines))


def runs(
    ctx: typer.Context,
    project: Annotated[str | None, typer.Option(help="Show only runs of this project.")] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Show only runs of this experiment.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Show only runs of this user; 'me' for your own.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="Show only runs with this tag (repeatable: with all of the tags)."),
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            help="Show only runs with this status: `queued`, `running`, `succeeded`, `failed` or "
            "`canceled` (repeatable: with any of the statuses)."
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Show only runs with a stage of this kind, e.g. distill, or with exactly these "
            "kinds, e.g. train+measure."
        ),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Show only runs measured by a worker (`queue`) or elsewhere (`local`, `slurm`, "
            "`codecarbon`, `import`; repeatable: by any of these)."
        ),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(help="Show only runs with all of these words in their name and tags."),
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            help="Sort key: created_at, finished_at, name, it_energy_kwh or cost; a leading minus "
            "sorts descending (-cost: most expensive first). Runs whose figure is unknown, or "
            "whose cost is in another currency than the server's, come last."
        ),
    ] = "-created_at",
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of rows.")] = 20,
    local: LocalOption = False,
    json: Json = False,
) -> None:
    """List runs, newest first."""
    from pricetag.cli.find import whole_tags
    from pricetag.cli.views.runs import runs_view

    filters: dict[str, Any] = {
        "project": project,
        "experiment": experiment,
        "user": user,
        "tag": tag or None,
        "status": status_filter(status or (), RUN_STATUSES) or None,
        "kind": kind,
        "origin": origin or None,
        "q": search,
        "sort": sort,
    }
    is_filtered = any(value for name, value in filters.items() if name != "sort")
    if local:
        nothing = "No matching local runs." if is_filtered else NO_LOCAL_RUNS
        answer(ctx, json, matching_runs(filters, limit), runs_view, nothing=nothing)
        return
    with open_client(ctx) as client:
        filters["tag"] = whole_tags(client, tag) or None
        items = list(islice(client.iter_runs(**filters), limit + 1))
    if len(items) > limit:
        complain("more runs match: use a larger --limit to list them")
    nothing = "No matching runs." if is_filtered else NO_RUNS
    answer(ctx, json, items[:limit], runs_view, nothing=nothing)


def show(
    ctx: typer.Context,
    run: RunArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Show progress until the run ends.")] = False,
    version: Annotated[
        int | None,
        typer.Option(min=1, max=2**31 - 1, help="Version of the price tag. Default: the newest."),
    ] = None,
    local: LocalOption = False,
    server: ServerOption = False,
    json: Json = False,
) -> None:
    """Show a run with its price tag: energy, emissions, cost and accuracy, by stage.

    The last table has the columns of Strubell et al. 2019, ready for a paper.
    """
    from pricetag.cli import follow
    from pricetag.cli.find import run_id

    if wait and version is not None:
        raise CliError("--version needs an issued price tag: omit --wait", EXIT_USAGE)
    as_json = wants_json(ctx, json)
    own, run = which_copy(
        ctx, run, is_local=local, is_server=server, version=version, command="show"
    )
    if own is not None:
        show_local(own, as_json=as_json)
        return
    with open_client(ctx) as client:
        full_id = run_id(client, run)
        if wait:
            raise typer.Exit(follow.follow(client, full_id, logs=False, as_json=as_json))
        follow.show(client, client.get_run(full_id), as_json=as_json, version=version)


def cancel(ctx: typer.Context, run: RunArgument, json: Json = False) -> None:
    """Cancel a queued or running run. The energy already used stays on its price tag.

    A run whose journal was pushed only in part ends as failed, with what has arrived.
    """
    from pricetag.cli.find import run_id

    with open_client(ctx) as client:
        accepted = client.cancel_run(run_id(client, run))
    answer(ctx, json, accepted, _cancelled_line)


def _cancelled_line(run: RunAccepted) -> str:
    if run["status"] in {"queued", "running"}:
        return f"{run['id']} cancellation requested"
    if run["status"] == "failed":  # measured elsewhere
        return f"{run['id']} failed: ended with what had arrived of its journal"
    return f"{run['id']} {status_text(run['status'])}"


def resume(
    ctx: typer.Context,
    run: RunArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Show progress until the run ends.")] = False,
    json: Json = False,
) -> None:
    """Resume a canceled or failed run; all its attempts stay on one price tag.

    The run continues from the stages and checkpoints that are kept on its node.
    """
    from pricetag.cli.find import run_id
    from pricetag.cli.follow import last_event

    with open_client(ctx) as client:
        full_id = run_id(client, run)
        before = last_event(client, full_id) if wait else 0
        accepted = client.resume_run(full_id)
        warn(ctx, json, accepted)
        if wait:
            _wait(ctx, json, client, accepted, logs=False, after=before)
    answer(ctx, json, accepted, _accepted_lines)


def logs(
    ctx: typer.Context,
    run: RunArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new lines until the run ends.")
    ] = False,
    json: Json = False,
) -> None:
    """Print the log of a run; with --json, one JSON object per line."""
    from pricetag.cli.console import EXIT_DETACHED
    from pricetag.cli.find import run_id

    as_json = wants_json(ctx, json)
    with open_client(ctx) as client:
        try:
            is_empty = True
            for line in client.iter_logs(run_id(client, run), follow=follow):
                is_empty = False
                emit_json_line(line) if as_json else say(harmless(line["text"]))
            if is_empty and not as_json:
                complain("the log of this run is empty")
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_DETACHED) from None
