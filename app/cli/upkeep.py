"""``pricetag balances``, ``rollups`` and ``readings``: check and rebuild what is derived."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import typer

from app.cli.support import Json, fail, show, with_database
from app.db import Database
from app.services.attempts import block_checks, packing
from app.services.budgets import upkeep
from app.services.budgets.upkeep import Part
from app.services.energy import rollups as energy_rollups
from app.services.energy.backlog import Backlog, Progress

balances = typer.Typer(
    no_args_is_help=True,
    help="Check or rebuild the running balances that budgets are read from.\n\n"
    "A balance is the sum that a budget's runs have spent, use and have reserved. The server keeps "
    "it up to date; `check` after a crash or a restore shows that it is, and `rebuild` repairs it.",
)
rollups = typer.Typer(
    no_args_is_help=True,
    help="Check or rebuild the roll-ups that the energy account is read from.\n\n"
    "A roll-up is a sum of the metered and charged energy of an hour, day or month. The server "
    "keeps it up to date; `check` after a crash or a restore shows that it is, and `rebuild` "
    "repairs it.",
)
readings = typer.Typer(
    no_args_is_help=True,
    help="Pack readings that no longer change, and check packed readings.\n\n"
    "Readings are the values of the meters, from which price tags are verified. Packed ones are "
    "the same in a small part of the space. The server packs them in the background.",
)

SHOWN_DIFFERENCES = 5
SHOWN_EVERY_S = 2.0


@balances.command("check")
def check_balances(json: Json = False) -> None:
    """Compare the running balances of budgets with the sums over all attempts and open runs.

    Exit code 1 means that a balance is wrong.
    """

    async def wrong(database: Database, part: Part) -> int:
        async with database.session_scope() as session:
            return await upkeep.wrong_sums(session, part)

    if _over_balances(wrong, json=json, repaired=False):
        raise typer.Exit(1)


@balances.command("rebuild")
def rebuild_balances(json: Json = False) -> None:
    """Rebuild the running balances of budgets from all attempts and open runs.

    The server may keep running. If the command is interrupted, run it again.
    """
    _over_balances(upkeep.mend, json=json, repaired=True)


def _over_balances(
    use: Callable[[Database, Part], Awaitable[int]], *, json: bool, repaired: bool
) -> int:
    """Does something to each part of the balances, with progress; the number of wrong sums."""

    async def over(database: Database) -> dict[str, int]:
        async with database.session_scope() as session:
            parts = await upkeep.parts(session)
        wrong: dict[str, int] = {}
        for number, part in enumerate(parts, 1):
            wrong[part.name] = count = await use(database, part)
            state = f"{count} wrong sums{' repaired' if repaired else ''}" if count else "correct"
            if not json:
                typer.echo(f"{number}/{len(parts)}  {part.name}: {state}")
        return wrong

    wrong = with_database(over)
    count = sum(wrong.values())
    text = "All balances equal the sums of their rows."
    if count:
        remedy = "are repaired" if repaired else f"are wrong: {upkeep.REMEDY}"
        text = f"{count} sums {remedy}."
    show(json, {"wrong": wrong}, text)
    return count


@rollups.command("check")
def check_rollups(json: Json = False) -> None:
    """Compare the roll-ups of the energy account with the sums of its hours.

    Exit code 1 means that a roll-up is wrong.
    """
    wrong = _over_rollups(json=json, rebuilt=False)
    remedy = f"differ from their hours: {energy_rollups.REMEDY}"
    _show_wrong(json, wrong, f"{{}} sums {remedy}.")
    if any(wrong.values()):
        raise typer.Exit(1)


@rollups.command("rebuild")
def rebuild_rollups(json: Json = False) -> None:
    """Rebuild the roll-ups of the energy account from its hours.

    The server may keep running. If the command is interrupted, run it again.
    """
    wrong = _over_rollups(json=json, rebuilt=True)
    _show_wrong(json, wrong, "Rebuilt. {} sums differed from their hours.")


def fold_backlog(*, json: bool) -> int:
    """Adds hours that wait to the roll-ups, with progress; returns their number."""

    def report(progress: Progress) -> None:
        if not json:
            typer.echo(f"{progress.text} ({progress.folded} added)")

    async def over(database: Database) -> int:
        backlog = Backlog(database, report)
        while not await backlog.fold():
            await asyncio.sleep(energy_rollups.OCCUPIED_S)
        return backlog.folded

    try:
        return with_database(over)
    except KeyboardInterrupt:
        raise fail("interrupted: the server adds the remaining hours") from None


def _over_rollups(*, json: bool, rebuilt: bool) -> dict[str, int]:
    """Compares or rebuilds each month, with progress; the number of wrong sums by month."""

    async def over(database: Database) -> dict[str, int]:
        async with database.session_scope() as session:
            months = await energy_rollups.months(session)
        wrong: dict[str, int] = {}
        for number, month in enumerate(months, 1):
            differing = await energy_rollups.wrong_sums(database, month)
            wrong[month.name] = len(differing)
            if rebuilt:
                await energy_rollups.rebuild(database, month)
            if not json:
                state = f"{len(differing)} sums differ" if differing else "correct"
                typer.echo(f"{number}/{len(months)}  {month.name}: {state}")
                for line in differing[:SHOWN_DIFFERENCES]:
                    typer.echo(f"    {line}")
        return wrong

    return with_database(over)


def _show_wrong(json: bool, wrong: dict[str, int], text: str) -> None:
    count = sum(wrong.values())
    right = "All roll-ups equal the sums of their hours."
    show(json, {"wrong": wrong}, text.format(count) if count else right)


@readings.command("pack")
def pack_readings(json: Json = False) -> None:
    """Pack the readings of all ended attempts, and full blocks of running ones.

    The server does the same in the background. If interrupted, run it again.
    """

    async def over(database: Database) -> tuple[int, int]:
        packed = busy = 0
        after = packing.NOBODY
        shown_s = time.monotonic()
        while (step := await packing.pack_some(database, after)) is not None:
            packed, busy, after = packed + step.readings, busy + step.busy, step.after
            if not json and time.monotonic() - shown_s > SHOWN_EVERY_S:
                shown_s = time.monotonic()
                typer.echo(f"{step.share:4.0%}  {packed} readings packed")
        return packed, busy

    packed, busy = with_database(over)
    text = f"{packed} readings packed."
    if busy:
        text += f" {busy} attempts were in use: run `pricetag readings pack` again."
    show(json, {"packed": packed, "busy": busy}, text)


@readings.command("check")
def check_readings(json: Json = False) -> None:
    """Recompute the hash and the levels of every block of packed readings.

    Exit code 1 if any differs.
    """

    async def over(database: Database) -> tuple[int, list[str]]:
        blocks, wrong = 0, list[str]()
        start: block_checks.Start | None = block_checks.START
        shown_s = time.monotonic()
        while start is not None:
            async with database.session_scope() as session:
                checked = await block_checks.check_some(session, start)
            blocks, start = blocks + checked.blocks, checked.next
            wrong += checked.wrong
            if not json and (checked.wrong or time.monotonic() - shown_s > SHOWN_EVERY_S):
                shown_s = time.monotonic()
                typer.echo(f"{blocks} blocks checked, {len(wrong)} wrong")
                for line in checked.wrong[:SHOWN_DIFFERENCES]:
                    typer.echo(f"    {line}")
        return blocks, wrong

    blocks, wrong = with_database(over)
    text = "No readings are packed yet."
    if blocks:
        text = (
            f"{len(wrong)} of {blocks} blocks are damaged."
            if wrong
            else f"All {blocks} blocks are correct."
        )
    show(json, {"blocks": blocks, "wrong": wrong}, text)
    if wrong:
        raise typer.Exit(1)
