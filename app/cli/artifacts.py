"""``pricetag artifacts``: what is in the artifact store, and what can be removed from it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer

from app.artifact_store.stores import ObjectStore, StoreError
from app.cli.support import Json, fail, read_settings, show, with_database
from app.db import Database
from app.services.attempts import collecting
from app.services.attempts.collecting import Step
from pricetag.cli.lifetimes import InvalidLifetimeError, end_of
from pricetag.tag.figures import counted, with_unit

artifacts = typer.Typer(
    no_args_is_help=True, help="Check the artifact store, and remove what nothing refers to."
)

Result = TypeVar("Result")

SHOWN_EVERY_S = 2.0
SHOWN_FAULTS = 20


@artifacts.command("clean", epilog="Example: pricetag artifacts clean --older-than 180d --delete")
def clean(
    older_than: Annotated[
        str | None,
        typer.Option(
            help="Include the artifacts of runs that ended before this age, e.g. 180d or 26w, or "
            "date (UTC), and that nothing refers to. Default: only files that are not registered."
        ),
    ] = None,
    grace: Annotated[
        str,
        typer.Option(help="Age below which files that are not registered stay, e.g. 24h."),
    ] = "24h",
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove them. Default: only count them.")
    ] = False,
    json: Json = False,
) -> None:
    """List what can be removed from the artifact store, or remove it.

    Without --delete nothing changes. What a paper or a price tag refers to always stays: the
    artifacts of all runs of papers, of runs whose models other runs start from, and files that
    other runs have read; so do those of running studies and of runs with a share link. Server and
    workers may keep running. If interrupted, run the command again.
    """
    store = _store()
    before = None if older_than is None else _limit(older_than, "--older-than")
    patience = datetime.now(UTC) - _limit(grace, "--grace")

    async def over(database: Database) -> dict[str, int]:
        sums = dict.fromkeys(("old", "old_bytes", "unregistered", "unregistered_bytes"), 0)
        removed: set[str] = set()
        if before is not None:
            async for step in collecting.unneeded(database, before, is_removing=delete):
                _count(sums, "old", step)
                removed.update(content.sha256 for content in step.contents)
        strange = collecting.unregistered(database, store, patience, is_removing=delete)
        async for step in strange:
            new = [each for each in step.contents if each.sha256 not in removed]
            _count(sums, "unregistered", Step(tuple(new), registered=False))
        if delete:
            await asyncio.to_thread(store.clear_drafts, patience.total_seconds())
        return sums

    sums = _on_store(over)
    show(json, {"deleted": delete, **sums}, _text(sums, is_deleted=delete))


@artifacts.command("check")
def check(json: Json = False) -> None:
    """Read every file of the artifact store that is registered, and compare it with its SHA-256.

    Exit code 1 if any is missing or damaged.
    """
    store = _store()

    async def over(database: Database) -> tuple[int, list[str]]:
        number, wrong, shown_s = 0, list[str](), time.monotonic()
        async for checked in collecting.check(database, store):
            number += 1
            if checked.fault is not None:
                wrong.append(f"{checked.content.sha256} {checked.fault}")
            if not json and time.monotonic() - shown_s > SHOWN_EVERY_S:
                shown_s = time.monotonic()
                typer.echo(f"{number} files checked, {len(wrong)} wrong")
        return number, wrong

    number, wrong = _on_store(over)
    lines = [f"    {line}" for line in wrong[:SHOWN_FAULTS]]
    text = (
        "\n".join([f"{len(wrong)} of {number} files are missing or damaged.", *lines])
        if wrong
        else f"{counted(number, 'file')} of the artifact store checked, all correct."
    )
    show(json, {"files": number, "wrong": wrong}, text)
    if wrong:
        raise typer.Exit(1)


def _store() -> ObjectStore:
    try:
        store = read_settings().artifact_store()
    except StoreError as error:
        raise fail(str(error)) from error
    if store is None:
        raise fail("there is no artifact store: set PRICETAG_ARTIFACTS_URL as on the workers")
    return store


def _on_store(use: Callable[[Database], Awaitable[Result]]) -> Result:
    try:
        return with_database(use)
    except StoreError as error:
        raise fail(f"{error}. When this is solved, run the command again") from error
    except KeyboardInterrupt:
        raise fail("interrupted: run the command again to continue") from None


def _limit(text: str, option: str) -> datetime:
    """The time that lies an age ago, or a date."""
    now = datetime.now(UTC)
    try:
        end = end_of(text, now)
    except InvalidLifetimeError as error:
        raise typer.BadParameter(f"{option}: {error}") from error
    return end if end <= now else now - (end - now)


def _count(sums: dict[str, int], name: str, step: Step) -> None:
    sums[name] += len(step.contents)
    sums[f"{name}_bytes"] += step.size_bytes


def _text(sums: dict[str, int], *, is_deleted: bool) -> str:
    def line(name: str, what: str) -> str:
        size = with_unit(float(sums[f"{name}_bytes"]), "bytes")
        return f"{counted(sums[name], 'file')} {what}: {size}"

    lines = [
        line("old", "of old runs, without a reference to them"),
        line("unregistered", "without an artifact"),
    ]
    total = sums["old"] + sums["unregistered"]
    if is_deleted:
        lines.append("Removed.")
    elif total:
        lines.append("Remove them with --delete.")
    return "\n".join(lines)
