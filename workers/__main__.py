"""``python -m workers`` and ``pricetag worker``: hides the environment before all else."""

from __future__ import annotations

import sys

from app.hidden_environment import hide_environment
from pricetag.cli.console import HELP_OPTIONS
from pricetag.loading import loading


def main() -> None:
    """Run the worker's command, in a process whose environment other processes can't read."""
    if not {"--check", *HELP_OPTIONS} & set(sys.argv):
        hide_environment("worker", "workers")
    with loading():
        from workers.command import main as command  # takes a second; only once if hidden first

    command()


if __name__ == "__main__":
    main()
