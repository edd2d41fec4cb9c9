"""Commands about papers: collections of runs, frozen, reported and verified as a whole."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pricetag.atomic_files import replaced
from pricetag.cli.answering import answer
from pricetag.cli.console import EXIT_USAGE, CliError
from pricetag.cli.find import object_id, run_id, whole_tags
from pricetag.cli.options import RUN_HELP, RUN_STATUSES, Json, open_client, status_filter
from pricetag.cli.paper_archives import verify_archive
from pricetag.cli.published_rows import PublishedOption, RowsOption, published_fields
from pricetag.cli.reports import Profile, download, formats_of
from pricetag.cli.running import valid_key

if TYPE_CHECKING:
    from pricetag.client import Client

Purpose = Literal["development", "tuning", "final", "ablation"]
PaperArgument = Annotated[
    str,
    typer.Argument(metavar="PAPER", help="ID of the paper, or its first characters (at least 4)."),
]
StatusOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Collect only runs with this status (repeatable: with any of the statuses): "
        "`succeeded`, `failed`, `canceled`, ..."
    ),
]
AfterOption = Annotated[
    str | None,
    typer.Option(
        "--created-after",
        metavar="TIME",
        help="Collect only runs submitted after this time, e.g. 2026-03-01T12:00:00Z.",
    ),
]
BeforeOption = Annotated[
    str | None,
    typer.Option(
        "--created-before",
        metavar="TIME",
        help="Collect only runs submitted before this time, e.g. 2026-04-01T00:00:00Z.",
    ),
]

paper = typer.Typer(
    name="paper",
    no_args_is_help=True,
    help="Collect the runs behind a paper, freeze them, and report on all of them.",
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(paper)


@paper.command(
    "create", epilog="Example: pricetag paper create 'Small encoders' --project text --tag sst2"
)
def create(
    ctx: typer.Context,
    title: Annotated[str, typer.Argument(metavar="TITLE", help="Title of the paper.")],
    project: Annotated[str, typer.Option(help="Project of the paper.")],
    runs: Annotated[
        list[str] | None,
        typer.Option("--run", metavar="RUN", help=f"Run to add (repeatable): {RUN_HELP}."),
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Collect the runs of this experiment.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="Collect the runs with this tag (repeatable: with all of the tags)."),
    ] = None,
    status: StatusOption = None,
    created_after: AfterOption = None,
    created_before: BeforeOption = None,
    authors: Annotated[str | None, typer.Option(help="Authors, for BibTeX.")] = None,
    published: PublishedOption = None,
    rows: RowsOption = None,
    no_rule: Annotated[
        bool,
        typer.Option("--no-rule", help="Collect no runs: only --run, --published and --rows."),
    ] = False,
    key: Annotated[
        str | None,
        typer.Option(
            help="Idempotency key: requests with the same key create one paper.", callback=valid_key
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Create a paper. Without --run and --no-rule, it collects runs until it is frozen.

    It collects all runs of the project, or those that --experiment, --tag, --status,
    --created-after and --created-before select. Published rows of other work are shown beside
    them, and are in no sum.
    """
    from pricetag.cli.views.papers import paper_lines

    rule = _given(experiment=experiment, tags=tag)
    rule |= _narrowing(status, created_after, created_before)
    _require_one(rule, no_rule)
    body: dict[str, Any] = {"project": project, "title": title, "authors": authors}
    body |= published_fields(published, rows)
    with open_client(ctx) as client:
        body["runs"] = [run_id(client, text) for text in runs or ()]
        if tag:
            rule["tags"] = whole_tags(client, tag)
        body["rule"] = rule if rule or not (runs or no_rule) else None
        created = client.create_paper(body, idempotency_key=key)
    answer(ctx, json, created, paper_lines)


@paper.command("list")
def list_papers(
    ctx: typer.Context,
    project: Annotated[str | None, typer.Option(help="List only papers of this project.")] = None,
    json: Json = False,
) -> None:
    """List papers, newest first."""
    from pricetag.cli.views.papers import papers_table

    with open_client(ctx) as client:
        papers = list(client.papers(project=project))
    answer(ctx, json, papers, papers_table, nothing="No papers.")


@paper.command("show")
def show(ctx: typer.Context, named: PaperArgument, json: Json = False) -> None:
    """Show a paper with its runs and reports."""
    from pricetag.cli.views.papers import paper_with_runs

    with open_client(ctx) as client:
        shown_paper = client.get_paper(paper_id(client, named))
    answer(ctx, json, shown_paper, paper_with_runs)


@paper.command("add")
def add(
    ctx: typer.Context,
    named: PaperArgument,
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN", help=f"Runs to add, each {RUN_HELP}.")
    ],
    purpose: Annotated[
        Purpose | None,
        typer.Option(
            help="What the runs were for. Default: the purpose that a tag of the run names."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Add runs to a paper, or state what its runs were for."""
    from pricetag.cli.views.papers import paper_lines

    with open_client(ctx) as client:
        ids = [run_id(client, text) for text in runs]
        changed = client.add_paper_runs(paper_id(client, named), ids, purpose)
    answer(ctx, json, changed, paper_lines)


@paper.command("remove")
def remove(
    ctx: typer.Context,
    named: PaperArgument,
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN", help=f"Runs to remove, each {RUN_HELP}.")
    ],
    json: Json = False,
) -> None:
    """Remove runs that were added to a paper. Runs of its rule leave it when the rule changes."""
    from pricetag.cli.views.papers import paper_lines

    with open_client(ctx) as client:
        target = paper_id(client, named)
        for each in [run_id(client, text) for text in runs]:
            client.remove_paper_run(target, each)
        changed = client.get_paper(target)
    answer(ctx, json, changed, paper_lines)


@paper.command("edit", epilog="Example: pricetag paper edit 6f0c --title 'Smaller encoders'")
def edit(
    ctx: typer.Context,
    named: PaperArgument,
    title: Annotated[str | None, typer.Option(help="New title of the paper.")] = None,
    authors: Annotated[str | None, typer.Option(help="New authors, for BibTeX.")] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Collect the runs of this experiment.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="Collect the runs with this tag (repeatable: with all of the tags)."),
    ] = None,
    status: StatusOption = None,
    created_after: AfterOption = None,
    created_before: BeforeOption = None,
    no_rule: Annotated[
        bool, typer.Option("--no-rule", help="Collect no runs: keep only those that were added.")
    ] = False,
    published: PublishedOption = None,
    rows: RowsOption = None,
    no_published: Annotated[
        bool, typer.Option("--no-published", help="Remove all published rows.")
    ] = False,
    json: Json = False,
) -> None:
    """Change the title, the authors or the rule of a paper. --experiment and --tag replace it.

    --status, --created-after and --created-before alone change these conditions of the rule.

    --published replaces the rows of the catalog, --rows those that were entered.

    Of a frozen paper, only the authors can be changed. Its files and its archive have those of the
    newest report: create one afterwards.
    """
    from pricetag.cli.views.papers import edited_lines

    rule = _given(experiment=experiment, tags=tag)
    narrowed = _narrowing(status, created_after, created_before)
    changes: dict[str, Any] = {
        name: value for name, value in (("title", title), ("authors", authors)) if value is not None
    }
    _require_one(rule | narrowed, no_rule)
    if rule or no_rule:
        changes["rule"] = (rule | narrowed) or None
    if no_published:
        changes |= {"published": [], "entered": []}
    changes |= published_fields(published, rows)
    if not (changes or narrowed):
        raise CliError("nothing to change: use --title, --authors, --tag, ...", EXIT_USAGE)
    with open_client(ctx) as client:
        target = paper_id(client, named)
        if tag:
            changes["rule"]["tags"] = whole_tags(client, tag)
        elif narrowed and not rule:
            changes["rule"] = _conditions_of(client, target) | narrowed
        changed = client.change_paper(target, changes)
    answer(ctx, json, changed, lambda read: edited_lines(read, "authors" in changes))


def _given(**conditions: Any) -> dict[str, Any]:
    """The conditions that were stated."""
    return {name: value for name, value in conditions.items() if value}


def _narrowing(
    status: list[str] | None, created_after: str | None, created_before: str | None
) -> dict[str, Any]:
    """The conditions beside experiment and tags that were stated."""
    statuses = status_filter(status or (), RUN_STATUSES)
    return _given(status=statuses, created_after=created_after, created_before=created_before)


def _require_one(rule: Mapping[str, Any], no_rule: bool) -> None:
    """Requires conditions of a rule, or none at all.

    Raises:
        CliError: If both are asked for.
    """
    if rule and no_rule:
        options = ["tag" if name == "tags" else name.replace("_", "-") for name in rule]
        text = ", ".join(f"--{option}" for option in options)
        raise CliError(f"--no-rule contradicts {text}", EXIT_USAGE)


def _conditions_of(client: Client, paper: str) -> dict[str, Any]:
    """The conditions of the rule that a paper has.

    Raises:
        CliError: If it has none.
    """
    rule = client.get_paper(paper)["rule"]
    if rule is None:
        raise CliError(
            "the paper has no rule: its runs were added one by one. Remove runs with "
            "`pricetag paper remove`.",
            EXIT_USAGE,
        )
    return _given(**rule)


@paper.command("delete")
def delete(ctx: typer.Context, named: PaperArgument, json: Json = False) -> None:
    """Delete a paper that is not frozen. Its runs and the reports on it stay."""
    with open_client(ctx) as client:
        target = paper_id(client, named)
        client.delete_paper(target)
    answer(ctx, json, {"id": target}, lambda _: f"{target}: deleted")


@paper.command("freeze")
def freeze(ctx: typer.Context, named: PaperArgument, json: Json = False) -> None:
    """Fix the runs of a paper and their price tags, and report on them. This cannot be undone."""
    from pricetag.cli.views.papers import paper_lines

    with open_client(ctx) as client:
        frozen = client.freeze_paper(paper_id(client, named))
    answer(ctx, json, frozen, paper_lines)


@paper.command("report")
def report(
    ctx: typer.Context,
    named: PaperArgument,
    profile: Annotated[
        Profile, typer.Option(help="PUE and carbon intensity to use: the site's, or the paper's.")
    ] = "site",
    equivalents: Annotated[
        bool,
        typer.Option(
            "--equivalents", help="Compare the emissions with well-known ones, such as a flight."
        ),
    ] = False,
    formats: Annotated[
        str,
        typer.Option(
            "--format", help="Formats, separated by commas: html, pdf, tex, md, csv, json; or all."
        ),
    ] = "all",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the report's files.")
    ] = Path(),
    json: Json = False,
) -> None:
    """Report on all runs of a paper, including failed ones."""
    wanted = formats_of(formats)
    with open_client(ctx) as client:
        made = client.report_paper(
            paper_id(client, named), profile=profile, equivalents=equivalents
        )
        files: dict[str, str] = {**download(client, made["id"], wanted, output)}
        if "tex" in wanted:
            files |= _figures(client, paper_id(client, named), output)
    written = {"id": made["id"], "content_sha256": made["content_sha256"], "files": files}
    answer(ctx, json, written, lambda _: [f"report {made['id']}", *files.values()])


def _figures(client: Client, paper: str, folder: Path) -> dict[str, str]:
    """Writes the figures of the LaTeX beside it; returns their paths by name."""
    with zipfile.ZipFile(io.BytesIO(client.paper_file(paper, "latex.zip"))) as archive:
        figures = {n: archive.read(n) for n in archive.namelist() if n.startswith("figure-")}
    paths = {}
    for name, content in figures.items():
        with replaced(folder / name) as draft:
            draft.write_bytes(content)
        paths[name] = str(folder / name)
    return paths


@paper.command("archive")
def archive(
    ctx: typer.Context,
    named: PaperArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write the archive to.")
    ] = Path("paper.zip"),
    json: Json = False,
) -> None:
    """Download the archive of a frozen paper, which anybody can verify without a server."""
    with open_client(ctx) as client:
        content = client.paper_archive(paper_id(client, named))
    try:
        output.write_bytes(content)
    except OSError as error:
        raise CliError(f"cannot write to {output}: {error.strerror}") from error
    answer(ctx, json, {"file": str(output), "bytes": len(content)}, lambda _: str(output))


@paper.command("verify")
def verify(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Archive of a paper, or the folder with its files."),
    ],
    selection: Annotated[
        str | None,
        typer.Option(metavar="SHA256", help="Hash of the selection that the paper states."),
    ] = None,
    json: Json = False,
) -> None:
    """Check an archive of a paper without a server: hashes, price tags, all sums."""
    verify_archive(ctx, file, selection, json)


def paper_id(client: Client, named: str) -> str:
    """The ID of the paper that a text names.

    Raises:
        CliError: If no paper, or more than one, matches.
    """
    return object_id(named, client.papers(), "paper", "`pricetag paper list`")
