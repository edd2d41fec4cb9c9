"""Options that several commands share, and those before the command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pricetag.cli.console import EXIT_FAILURE, EXIT_USAGE, CliError, complain
from pricetag.tag.status import status_text, status_value

if TYPE_CHECKING:
    from pricetag.client import Client

UNAUTHENTICATED = 401
NO_TOKEN = (
    "no API token: use --token or set PRICETAG_TOKEN; on the server's machine, "
    "`pricetag token create --name NAME` prints a new one"
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON only.")]

RUN_STATUSES = ("queued", "running", "succeeded", "failed", "cancelled")

RUN_HELP = "a run ID, its first characters (at least 4), or 'last' for your newest run"
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help=f"Run: {RUN_HELP}.")]


@dataclass
class Given:
    """Options before the command."""

    url: str | None = None
    token: str | None = None
    json: bool = False


def given(ctx: typer.Context) -> Given:
    """The options given before the command."""
    options = ctx.find_root().obj
    return options if isinstance(options, Given) else Given()


@contextmanager
def open_client(ctx: typer.Context) -> Iterator[Client]:
    """A client of the server that options, environment and files name.

    Raises:
        CliError: For whatever the client raises while it is used.
    """
    from pricetag.cli.connection import NoServerError, resolve
    from pricetag.cli.named_runs import as_typed, remembering
    from pricetag.cli.naming import refusal
    from pricetag.client import ApiError, Client, ClientError

    options = given(ctx)
    try:
        connection = resolve(options.url, options.token)
    except NoServerError as error:
        message = f"'{ctx.info_name}' needs a server, and there is {error}"
        raise CliError(message, EXIT_USAGE) from error
    with remembering():
        try:
            with Client(connection.url, connection.token) as client:
                yield client
        except ApiError as error:
            if error.status == UNAUTHENTICATED and connection.token is None:
                raise CliError(NO_TOKEN) from error
            wrong_input = error.status in (400, 413, 415, 422)
            message, *details = map(as_typed, refusal(ctx, error))
            exit_code = EXIT_USAGE if wrong_input else EXIT_FAILURE
            raise CliError(message, exit_code, details) from error
        except ClientError as error:
            raise CliError(str(error)) from error


def warn(ctx: typer.Context, json: bool, answered: Mapping[str, Any]) -> None:
    """Prints the server's warnings on stderr, unless JSON has them already."""
    for warning in () if wants_json(ctx, json) else answered.get("warnings", ()):
        complain(f"warning: {warning}")


def wants_json(ctx: typer.Context, here: bool) -> bool:
    """Whether ``--json`` was given, before the command or after it."""
    return here or given(ctx).json


def status_filter(words: Sequence[str], known: Sequence[str]) -> list[str]:
    """The API's names of the statuses that somebody typed, in either spelling.

    Args:
        words: What was typed.
        known: Names of all statuses.

    Raises:
        CliError: If there is no such status.
    """
    for word in words:
        if status_value(word) not in known:
            shown = [status_text(name) for name in known]
            allowed = f"{', '.join(shown[:-1])} or {shown[-1]}"
            raise CliError(f"--status {word}: must be {allowed}", EXIT_USAGE)
    return [status_value(word) for word in words]
