"""Commands of the service: handed over, with their arguments, to the checkout."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from pricetag.cli.checkout import delegate, load
from pricetag.cli.console import EXIT_USAGE, HELP_OPTIONS, CliError
from pricetag.cli.options import given


@dataclass(frozen=True, slots=True)
class Entry:
    """A command, and its place in the service.

    Attributes:
        has_json: Whether it takes ``--json`` itself.
        is_group: Whether it has its own commands.
        hides_environment: Whether it starts again without its secrets in ``/proc``, which must
            come before its modules are loaded, or they would be loaded twice.
    """

    command: str
    module: str
    name: str
    help: str
    has_json: bool = False
    is_group: bool = False
    hides_environment: bool = False


ENTRIES = (
    Entry(
        "demo",
        "app.demo",
        "main",
        "Run a complete example on this machine: train and compress a model, print its price tag.",
    ),
    Entry(
        "serve",
        "app.cli",
        "commands",
        "Run the server (REST API, queue, database); with --with-worker also workers.",
        hides_environment=True,
    ),
    Entry(
        "worker",
        "workers.__main__",
        "main",
        "Run a worker, which executes the runs of a pool and meters them.",
    ),
    Entry("migrate", "app.cli", "commands", "Upgrade the database to this version's schema.", True),
    Entry(
        "token",
        "app.cli",
        "commands",
        "Create, list and revoke API tokens on the server's machine, e.g. to get the first one.",
        True,
        True,
    ),
    Entry(
        "sign-in",
        "app.cli",
        "commands",
        "Print a one-time link that signs a browser in, on the server's machine.",
        True,
    ),
    Entry(
        "backup",
        "app.cli",
        "commands",
        "Back up the service: its database, artifacts and journals, in a new folder.",
        True,
    ),
    Entry(
        "restore",
        "app.cli",
        "commands",
        "Restore a backup into the data folder and database of the settings.",
        True,
    ),
    Entry(
        "artifacts",
        "app.cli",
        "commands",
        "Maintenance: check the artifact store, and remove what no paper or price tag refers to.",
        True,
        True,
    ),
    Entry(
        "balances",
        "app.cli",
        "commands",
        "Maintenance: check or rebuild the sums that budgets are read from.",
        True,
        True,
    ),
    Entry(
        "rollups",
        "app.cli",
        "commands",
        "Maintenance: check or rebuild the sums that the energy account is read from.",
        True,
        True,
    ),
    Entry(
        "headlines",
        "app.cli",
        "commands",
        "Maintenance: after an upgrade, complete the figures that lists show of older price tags.",
        True,
        True,
    ),
    Entry(
        "readings",
        "app.cli",
        "commands",
        "Maintenance: pack the readings of ended runs, which saves space, and check them.",
        True,
        True,
    ),
)
# The service parses everything after the command, including --help.
_AS_TYPED = {
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for entry in ENTRIES:
        _add(app, entry)


def _add(app: typer.Typer, entry: Entry) -> None:
    @app.command(
        entry.command,
        help=entry.help,
        context_settings=_AS_TYPED,
        add_help_option=False,
    )
    def handed_over(ctx: typer.Context) -> None:
        arguments = _with_json(ctx, entry)
        if entry.hides_environment and not set(HELP_OPTIONS) & set(arguments):
            load("app.hidden_environment", "hide_environment")(entry.command)
        code = delegate(entry.module, entry.name, arguments, entry.command)
        raise typer.Exit(code)


def _with_json(ctx: typer.Context, entry: Entry) -> list[str]:
    """The arguments as typed, and ``--json`` where it stood before the command."""
    typed = list(ctx.args)
    if not given(ctx).json or {"--json", *HELP_OPTIONS} & set(typed):
        return typed
    if not entry.has_json:
        raise CliError(
            f"{entry.command} has no --json: it runs until it is stopped, and logs as text"
            if entry.command != "demo"
            else "demo has no --json: it prints a report for people",
            EXIT_USAGE,
        )
    is_group_alone = entry.is_group and not typed  # prints its help
    return typed if is_group_alone else [*typed, "--json"]
