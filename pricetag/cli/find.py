"""Which run is meant: an id, the beginning of one, or ``last``."""

from __future__ import annotations

import uuid
from itertools import islice
from typing import TYPE_CHECKING

from pricetag.cli.console import CliError

if TYPE_CHECKING:
    from pricetag.client import Client

SEARCHED = 1000
SHORTEST = 4


def run_id(client: Client, text: str) -> str:
    """The id of the run that a text names.

    Args:
        client: Of the server that has the run.
        text: A whole id, at least four characters of its beginning, or ``last``.

    Raises:
        CliError: If no run, or more than one, is meant.
    """
    try:
        return str(uuid.UUID(text))
    except ValueError:
        pass
    newest = islice(client.iter_runs(sort="-created_at"), 1 if text == "last" else SEARCHED)
    if text == "last":
        found = [run["id"] for run in newest]
        if not found:
            raise CliError("there is no run yet")
        return found[0]
    if len(text) < SHORTEST:
        raise CliError(f"{text!r} is too short: give at least {SHORTEST} characters of a run's id")
    found = [run["id"] for run in newest if run["id"].startswith(text.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        raise CliError(f"{text!r} begins {len(found)} run ids; give more of it")
    raise CliError(f"none of the newest {SEARCHED} runs has an id that begins with {text!r}")
