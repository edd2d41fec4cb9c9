"""The commands in the order of the help, by purpose."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand

from pricetag.cli.commands import ADDED, COMMANDS
from pricetag.cli.console import complain
from pricetag.cli.deprecated import FORMER_NAMES
from pricetag.cli.help_text import FilledGroup, fill

PANELS = {
    "Runs": (
        *("submit", "quote", "runs", "view", "queue", "priority"),
        *("show", "logs", "cancel", "resume", "study", "studies"),
    ),
    "Price tags": ("report", "paper", "share", "verify", "compare", "insights", "reprice"),
    "Energy and budgets": ("energy", "budget"),
    "Sites and factors": ("site", "factor", "price", "carbon"),
    "People": ("whoami", "user", "session", "project", "audit"),
    "Without a server": (
        *("run", "import", "codecarbon", "push", "clean"),
        *("recipes", "estimate", "inspect", "doctor"),
    ),
    "Server and workers": (
        *("demo", "serve", "worker", "health", "migrate", "token", "sign-in"),
        *("backup", "restore", "artifacts", "balances", "rollups", "headlines", "readings"),
    ),
}
"""Names of commands by the heading that they are listed under."""

_HEADINGS = {name: panel for panel, names in PANELS.items() for name in names}


class CommandsByPanel(FilledGroup):
    """The commands, listed in the order of ``PANELS``; each is loaded when it is used.

    The help of the group shows stand-ins, since loading every command takes longer than most of
    them.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._is_ready = False
        self._loaded: dict[str, Any] = {}
        super().__init__(*args, **options)
        self._is_ready = True
        self._is_listing = False
        fill_in = self.format_help
        setattr(self, "format_help", lambda ctx, formatter: self._list(fill_in, ctx, formatter))  # noqa: B010

    @property
    def commands(self) -> Any:
        """All commands by name; loads them."""
        names = self.list_commands(None) if self._is_ready else ()
        return {name: self.get_command(None, name) for name in names}

    @commands.setter
    def commands(self, commands: Any) -> None:
        """None are registered: each is loaded from its module."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands in the order of the help."""
        return list(_HEADINGS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name; a former name is announced as deprecated."""
        if args and args[0] in FORMER_NAMES:
            new = FORMER_NAMES[args[0]]
            complain(f"warning: pricetag {args[0]} is deprecated; use pricetag {new}")
            args = [new, *args[1:]]
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command under its heading; None if there is none of this name."""
        if cmd_name not in _HEADINGS:
            return None
        if self._is_listing:
            return _stand_in(cmd_name)
        if cmd_name not in self._loaded:
            self._loaded[cmd_name] = _under_heading(cmd_name, _load(cmd_name))
        return self._loaded[cmd_name]

    def _list(self, fill_in: Callable[[Any, Any], None], ctx: Any, formatter: Any) -> None:
        self._is_listing = True
        try:
            fill_in(ctx, formatter)
        finally:
            self._is_listing = False


@cache
def _load(name: str) -> Any:
    """A command from its module, with what another module adds to it."""
    commands = typer.Typer()
    for module in filter(None, (COMMANDS[name].module, ADDED.get(name))):
        import_module(f"pricetag.cli.{module}").register(commands)
    command = typer.main.get_group(commands).commands[name]
    fill(command)
    return command


def _stand_in(name: str) -> Any:
    """A command with nothing but the first paragraph of its help."""
    return _under_heading(name, TyperCommand(name, help=COMMANDS[name].summary))


def _under_heading(name: str, command: Any) -> Any:
    setattr(command, "rich_help_panel", _HEADINGS[name])  # noqa: B010
    return command
