"""A program of a single command, such as ``pricetag worker``, with the errors of all commands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from pricetag.cli.console import EXIT_FAILURE, HELP_OPTIONS, complain
from pricetag.cli.help_text import FilledCommand
from pricetag.field_messages import option_message


def run_single(command: Callable[..., Any], name: str) -> NoReturn:
    """Parses ``sys.argv``, runs the command, and exits; wrong usage is one line on stderr."""
    program = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": HELP_OPTIONS},
    )
    program.command(cls=FilledCommand)(command)
    try:
        # By default, the name would be that of the module that Python was started with.
        code = program(prog_name=f"pricetag {name}", standalone_mode=False)
    except typer.exceptions.Abort:
        sys.exit(EXIT_FAILURE)
    except typer.exceptions.TyperException as error:
        complain(option_message(error.format_message()))
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)
