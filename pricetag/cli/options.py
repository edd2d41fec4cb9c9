"""Options that several commands share, and what was given before the command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pricetag.client import Client

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


@dataclass
class Given:
    """What stood before the command."""

    url: str | None = None
    token: str | None = None
    json: bool = False


def given(ctx: typer.Context) -> Given:
    """The options that stood before the command."""
    found = ctx.find_root().obj
    return found if isinstance(found, Given) else Given()


def open_client(ctx: typer.Context) -> Client:
    """A client of the server that options, environment and files name."""
    from pricetag.cli.connection import resolve
    from pricetag.client import Client

    options = given(ctx)
    connection = resolve(options.url, options.token)
    return Client(connection.url, connection.token)


def wants_json(ctx: typer.Context, here: bool) -> bool:
    """Whether ``--json`` was given, before the command or after it."""
    return here or given(ctx).json
