"""Former names of options and commands: accepted, with a warning that states the new name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from typer.core import TyperCommand

from pricetag.cli.console import complain

NEW_NAMES = {"--licence": "--license", "--utilisation": "--utilization"}
"""New name of each deprecated option."""

FORMER_NAMES = {"prune": "clean"}
"""New name of each command by its deprecated one."""


class Command(TyperCommand):
    """A command that accepts the former names of its options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the arguments; options may have their former names."""
        options = {name for param in self.params for name in param.opts}
        return super().parse_args(ctx, list(renamed(args, options)))


def renamed(args: Sequence[str], options: Collection[str]) -> Iterator[str]:
    """Arguments with the current names of options; warns once about each former name.

    Args:
        args: Of the command.
        options: Names of its options.
    """
    warned: set[str] = set()
    rest = iter(args)
    for arg in rest:
        former, equals, value = arg.partition("=")
        new = NEW_NAMES.get(former)
        if arg == "--":
            yield from (arg, *rest)
        elif new is None or new not in options:
            yield arg
        else:
            if former not in warned:
                complain(f"warning: {former} is deprecated; use {new}")
                warned.add(former)
            yield new + equals + value
