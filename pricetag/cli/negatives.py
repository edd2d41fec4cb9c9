"""Negative values on the command line: ``-1`` is a number, never an option."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from pricetag.cli.deprecated import Command

_NEGATIVE = re.compile(r"-\.?\d.*|-(inf|infinity|nan)", re.I)


class FigureCommand(Command):
    """Commands that take a number; the server reports the error if it is negative."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the arguments, with negative numbers as values."""
        takes_value = {
            name
            for param in self.params
            if param.param_type_name == "option" and not getattr(param, "is_flag", False)
            for name in param.opts
        }
        return super().parse_args(ctx, figures_last(args, takes_value))


def figures_last(args: Sequence[str], takes_value: Collection[str]) -> list[str]:
    """Arguments with all negative numbers after ``--``, where nothing is an option.

    Args:
        args: Of the command.
        takes_value: Options whose value follows them.
    """
    others: list[str] = []
    figures: list[str] = []
    left = iter(args)
    for arg in left:
        if arg == "--":
            figures.extend(left)
        elif arg in takes_value:
            others += [arg, *(value for value in [next(left, None)] if value is not None)]
        else:
            (figures if _NEGATIVE.fullmatch(arg) else others).append(arg)
    return [*others, "--", *figures] if figures else others
