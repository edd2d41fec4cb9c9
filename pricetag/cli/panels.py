"""The commands in the order of the help, by purpose."""

from __future__ import annotations

from typing import Any

from pricetag.cli.help_text import FilledGroup

PANELS = {
    "Runs": (
        *("submit", "quote", "runs", "view", "queue", "priority"),
        *("show", "logs", "cancel", "resume", "study", "studies"),
    ),
    "Price tags": ("report", "paper", "share", "verify", "compare", "insights", "reprice"),
    "Energy and budgets": ("energy", "budget"),
    "Sites and factors": ("site", "factor", "price", "carbon"),
    "People": ("whoami", "user", "session", "project", "audit"),
    "Without a server": ("run", "recipes", "estimate", "inspect", "doctor"),
    "Server and workers": (
        *("demo", "serve", "worker", "health", "migrate", "token", "sign-in"),
        *("balances", "rollups", "headlines", "readings"),
    ),
}
"""Names of commands by the heading that they are listed under."""

_HEADINGS = {name: panel for panel, names in PANELS.items() for name in names}


class CommandsByPanel(FilledGroup):
    """The commands, listed in the order of ``PANELS``."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands in the order of the help."""
        return sorted(self.commands, key=list(_HEADINGS).index)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command under its heading; None if there is none of this name."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            setattr(command, "rich_help_panel", _HEADINGS[cmd_name])  # noqa: B010
        return command
