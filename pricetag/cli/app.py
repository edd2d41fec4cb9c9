"""The assembled commands; a command's dependencies are imported when it runs."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Annotated, Any

import typer

from pricetag.cli.console import (
    EXIT_DETACHED,
    EXIT_FAILURE,
    HELP_OPTIONS,
    CliError,
    complain,
)
from pricetag.cli.options import Given
from pricetag.cli.panels import CommandsByPanel
from pricetag.field_messages import option_message

app = typer.Typer(
    name="pricetag",
    cls=CommandsByPanel,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": HELP_OPTIONS},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        sys.stdout.write(f"pricetag {version('pricetag')}\n")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(
            help="Address of the server. Default: PRICETAG_URL, else the server on this machine."
        ),
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="API token, pt_... Default: PRICETAG_TOKEN.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Put a price tag on machine-learning work: energy, carbon, FLOPs, money and accuracy.

    A job file is submitted as a run; a worker executes and meters it; its price tag states what it
    used and what it cost, each figure with an interval and a source.

    First steps: `pricetag demo` shows everything once and needs nothing else. With jobs of your
    own: start `pricetag serve --with-worker 1`, set PRICETAG_TOKEN to the token that it prints at
    its first start (`pricetag token create --name NAME` prints another one), then use `pricetag
    submit job.yaml --wait` and `pricetag show last`.
    """
    ctx.obj = Given(url=url, token=token, json=json)


@cache
def _commands() -> Any:
    """The commands, built once in a process."""
    return typer.main.get_command(app)


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: As on the command line, without the program's name.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong usage, 3 the run failed, 4 it was
        canceled, 5 not fully checked, 130 interrupted.
    """
    try:
        result = _commands()(args=arguments, prog_name="pricetag", standalone_mode=False)
    except CliError as error:
        complain(str(error), error.details)
        return error.exit_code
    except ValueError as error:
        from pricetag.accounting.quantity.record import InvalidDocument

        if not isinstance(error, InvalidDocument):
            raise
        complain(f"the price tag cannot be read: {error}")
        return EXIT_FAILURE
    except typer.exceptions.Abort:
        return EXIT_DETACHED
    except typer.exceptions.TyperException as error:
        if message := error.format_message():  # a group alone has shown its help instead
            complain(option_message(message))
        return error.exit_code
    except OSError as error:
        if error.errno not in _CANNOT_WRITE or error.filename is not None:
            raise
        with suppress(OSError):  # what is left in the buffer would fail once more at the exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        complain(f"the output cannot be written: {error.strerror}")
        return EXIT_FAILURE
    return result if isinstance(result, int) else 0


_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
