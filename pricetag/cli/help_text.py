"""Help texts with paragraphs that fit the width of the terminal."""

from __future__ import annotations

import inspect
import re
from typing import Any

from typer.core import TyperCommand, TyperGroup

from pricetag.cli.narrow_help import format_help


def fill(command: Any) -> None:
    """Joins the lines of each paragraph in the help of a command and its subcommands, in place.

    Otherwise lines end where those of the source do, and once more at the terminal's edge. Where
    the terminal is narrow, the help is a list.
    """
    paragraphs = re.split(r"\n{2,}", inspect.cleandoc(command.help or ""))
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    panels = command.format_help
    command.format_help = lambda ctx, formatter: format_help(command, panels, ctx, formatter)
    for subcommand in getattr(command, "commands", {}).values():
        fill(subcommand)


class FilledCommand(TyperCommand):
    """A command alone in its program, with filled help texts."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        fill(self)


class FilledGroup(TyperGroup):
    """A group of commands, with filled help texts."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        fill(self)
