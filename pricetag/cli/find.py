"""Resolves a run from an ID, a prefix of an ID, or ``last``: the caller's newest run."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from pricetag.cli.console import EXIT_USAGE, CliError
from pricetag.cli.named_runs import remember

if TYPE_CHECKING:
    from pricetag.client import Client

STUDY_TAG = "study:"
"""Begins the tag that all runs of a study have, with its ID."""

BEGINNING = re.compile(r"[0-9a-fA-F-]{4,36}")
SEARCHED = 1000
SHORTEST = 4
NO_OWN_RUN = (
    "'last' is your newest run, but you have not submitted any; `pricetag runs` lists all runs"
)


def run_version(client: Client, text: str) -> tuple[str, int | None]:
    """The run, and the version of its price tag, that ``RUN`` or ``RUN@VERSION`` names.

    Raises:
        CliError: If no run, or more than one, matches, or the version is not a number.
    """
    name, version = name_and_version(text)
    return run_id(client, name), version


def name_and_version(text: str) -> tuple[str, int | None]:
    """The parts of ``RUN`` or ``RUN@VERSION``.

    Raises:
        CliError: If the version is not a number.
    """
    name, at, version = text.rpartition("@") if "@" in text else (text, "", "")
    if at and not (version.isascii() and version.isdigit() and int(version) >= 1):
        raise CliError(f"{text}: a version is a whole number from 1", EXIT_USAGE)
    return name, int(version) if at else None


def run_id(client: Client, text: str) -> str:
    """The id of the run that a text names.

    Args:
        client: Of the server that has the run.
        text: A whole id, at least four characters of its beginning, or ``last`` for the newest
            run of the token's user, whoever else has posted runs since.

    Raises:
        CliError: If no run, or more than one, matches.
    """
    try:
        return str(uuid.UUID(text))
    except ValueError:
        matching_id = _matching(client, text)
    remember(matching_id, text)
    return matching_id


def object_id(text: str, items: Iterable[Mapping[str, Any]], noun: str, listing: str) -> str:
    """The ID of the object that a text names.

    Args:
        text: A whole ID, or at least four characters of its beginning.
        items: All objects; read only where the ID is not whole.
        noun: What the objects are, for example `paper`.
        listing: What lists them.

    Raises:
        CliError: If no object, or more than one, matches.
    """
    try:
        return str(uuid.UUID(text))
    except ValueError:
        if len(text) < SHORTEST:
            message = f"{text!r} is too short: use at least {SHORTEST} characters of an ID"
            raise CliError(message, EXIT_USAGE) from None
    matches = [str(each["id"]) for each in items if each["id"].startswith(text.lower())]
    if len(matches) == 1:
        return matches[0]
    if matches:
        problem = f"{text!r} matches {len(matches)} {noun}s; use a longer prefix"
    else:
        problem = f"no {noun} has an ID that begins with {text!r}"
    raise CliError(f"{problem}: see {listing}")


def _matching(client: Client, text: str) -> str:
    if text == "last":
        own = next(client.iter_runs(sort="-created_at", user="me"), None)
        if own is None:
            raise CliError(NO_OWN_RUN)
        return str(own["id"])
    if len(text) < SHORTEST:
        raise CliError(
            f"{text!r} is too short: use at least {SHORTEST} characters of a run ID", EXIT_USAGE
        )
    newest = islice(client.iter_runs(sort="-created_at"), SEARCHED)
    matches = [run["id"] for run in newest if run["id"].startswith(text.lower())]
    if len(matches) == 1:
        return str(matches[0])
    if matches:
        raise CliError(f"{text!r} matches {len(matches)} run IDs; use a longer prefix")
    raise CliError(f"none of the newest {SEARCHED} runs has an ID that begins with {text!r}")


def whole_tags(client: Client, tags: Iterable[str] | None) -> list[str]:
    """Tags to filter by; `study:` with the beginning of a study's ID gets the whole ID.

    Raises:
        CliError: If no study, or more than one, matches.
    """
    return [_whole_tag(client, tag) for tag in tags or ()]


def _whole_tag(client: Client, tag: str) -> str:
    start = tag.removeprefix(STUDY_TAG)
    if start == tag or not BEGINNING.fullmatch(start):
        return tag
    return STUDY_TAG + object_id(start, client.iter_studies(), "study", "`pricetag studies`")
