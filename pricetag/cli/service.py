"""Commands of the service: handed over, with their arguments, to the checkout."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from pricetag.cli.checkout import delegate


@dataclass(frozen=True, slots=True)
class Entry:
    """A command, and where in the service it is."""

    command: str
    module: str
    name: str
    help: str


ENTRIES = (
    Entry("demo", "app.demo", "main", "The whole way once: train, compress, price tag, report."),
    Entry("serve", "app.cli", "commands", "Run the server."),
    Entry("worker", "workers.__main__", "main", "Run a worker that takes jobs and meters them."),
    Entry("migrate", "app.cli", "commands", "Bring the database to the present schema."),
    Entry("token", "app.cli", "commands", "Create, list and revoke API tokens."),
)
# Everything after the command is the service's to read, --help too.
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
        rich_help_panel="Service",
    )
    def handed_over(ctx: typer.Context) -> None:
        code = delegate(entry.module, entry.name, list(ctx.args), entry.command)
        raise typer.Exit(code)
