"""Commands of the service's administrator: serve, migrate, token, balances, rollups, readings."""

from __future__ import annotations

import asyncio
import json as json_module
import logging
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import typer
from pydantic import ValidationError

from app.db import Database, Session, resolve_database_url
from app.embedded_postgres import EmbeddedPostgresError, release
from app.repositories.outage import OUTAGES, SCHEMA_FAULTS
from app.schemas.tokens import TokenCreate
from app.services import tokens
from app.services.attempts import block_checks, packing
from app.services.budgets import upkeep
from app.services.budgets.upkeep import Part
from app.services.energy import rollups as energy_rollups
from app.services.errors import PricetagError
from app.services.principals import DirectAccess
from app.settings import Settings, SettingsError, get_settings, require_job_user
from pricetag.cli.console import HELP_OPTIONS, console
from pricetag.cli.lifetimes import InvalidLifetimeError, end_of
from pricetag.cli.people import ROLES
from pricetag.cli.views.people import tokens_view
from pricetag.field_messages import message_of

Result = TypeVar("Result")

DATABASE_FAULTS: tuple[type[Exception], ...] = (EmbeddedPostgresError, *OUTAGES)
START_FAULTS: tuple[type[Exception], ...] = (OSError, *DATABASE_FAULTS)

commands = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": HELP_OPTIONS},
)
token = typer.Typer(
    no_args_is_help=True,
    help="Create, list and revoke API tokens on the database itself; needs no token.",
)
commands.add_typer(token, name="token")
balances = typer.Typer(
    no_args_is_help=True, help="Check or rebuild the running balances that budgets are read from."
)
commands.add_typer(balances, name="balances")
rollups = typer.Typer(
    no_args_is_help=True, help="Check or rebuild the roll-ups that the energy account is read from."
)
commands.add_typer(rollups, name="rollups")
readings = typer.Typer(
    no_args_is_help=True, help="Pack readings that no longer change, and check packed readings."
)
commands.add_typer(readings, name="readings")

SHOWN_DIFFERENCES = 5
SHOWN_EVERY_S = 2.0
OPTIONS = {"expires_at": "expires"}
"""Fields of a token whose option has another name."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON only.")]
Level = Literal["debug", "info", "warning", "error"]


def fail(message: str) -> typer.Exit:
    """Prints the reason and returns the exit to raise."""
    typer.echo(f"pricetag: {message}", err=True)
    return typer.Exit(1)


def read_settings() -> Settings:
    """The settings of this process; exits with a message if one is invalid."""
    try:
        return get_settings()
    except SettingsError as error:
        raise fail(str(error)) from error


@commands.command()
def serve(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on. Default: PRICETAG_HOST, else 127.0.0.1."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Port to listen on; 0 selects a free port. Default: PRICETAG_PORT, else 8000.",
        ),
    ] = None,
    migrate: Annotated[
        bool, typer.Option(help="Upgrade the database to this version's schema first.")
    ] = True,
    with_worker: Annotated[
        int,
        typer.Option(
            min=0, max=64, help="Number of workers to run on this machine, beside the server."
        ),
    ] = 0,
    worker_pool: Annotated[
        str, typer.Option(help="Pool whose runs these workers execute.")
    ] = "default",
    gpus: Annotated[
        str, typer.Option(help="Accelerators of these workers: all, none, or indices such as 0,1.")
    ] = "all",
    access_log: Annotated[bool, typer.Option(help="Write every request to the log.")] = False,
    log_level: Annotated[Level, typer.Option(help="Least severe messages to log.")] = "info",
) -> None:
    """Run the server (REST API, queue and database) until interrupted.

    Without PRICETAG_DATABASE_URL it starts a PostgreSQL of its own in the data folder. At the
    first start it prints an administrator's token.
    """
    from app import serving  # uvicorn and all routes: seconds that the other commands save

    settings = read_settings()
    set_up_logging(log_level)
    if with_worker:
        try:
            allows_commands = worker_pool in settings.allow_commands_pools
            require_job_user(settings.job_user, allows_commands=allows_commands)
        except SettingsError as error:
            raise fail(f"--with-worker: {error}") from error
    try:
        serving.serve(
            settings,
            host=settings.host if host is None else host,
            port=settings.port if port is None else port,
            migrate_first=migrate,
            worker_count=with_worker,
            worker_pool=worker_pool,
            worker_gpus=gpus,
            access_log=access_log,
        )
    except START_FAULTS as error:
        raise fail(f"the server cannot start: {error}") from error


def set_up_logging(level: str) -> None:
    """Logs one plain line per event to standard error."""
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for chatty in ("alembic", "procrastinate", "httpx", "sse_starlette"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


@commands.command()
def migrate(json: Json = False) -> None:
    """Upgrade the database to this version's schema; `serve` does so at its start."""
    from app import migrate as migrations
    from app.services.readiness import head_revision

    settings = read_settings()
    set_up_logging("info")
    try:
        migrations.upgrade(resolve_database_url(settings))
    except DATABASE_FAULTS as error:
        raise fail(f"the database cannot be migrated: {error}") from error
    finally:
        release(settings.data_dir)
    revision = head_revision()
    show(json, {"revision": revision}, f"The database is at migration {revision}.")


@token.command("create")
def create_token(
    name: Annotated[
        str | None, typer.Option(help="Name of the token, e.g. laptop. Default: the user's name.")
    ] = None,
    role: Annotated[
        Literal["ingest", "viewer", "member", "admin"] | None,
        typer.Option(
            help="Highest role of the token. Default: the user's role; member for a new user. "
            f"{ROLES}"
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            help="User of the token, by name or ID. Default: the user whose name is --name, "
            "created if missing."
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            help="Lifetime of the token, e.g. 12h, 90d or 8w, or the date on which it expires. "
            "Default: it doesn't expire."
        ),
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="Only project that the token may see and use. Default: all.")
    ] = None,
    json: Json = False,
) -> None:
    """Create a token. The token is printed only once."""
    if name is None and user is None:
        raise fail("name the user of the token: --user for an existing one, --name for a new one")
    try:
        end = None if expires is None else end_of(expires, datetime.now(UTC))
        wanted = TokenCreate(
            name=name or user or "",
            role=role if user is not None else role or "member",
            user=user,
            project=project,
            expires_at=end,
        )
    except InvalidLifetimeError as error:
        raise fail(f"--expires: {error}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        option = OPTIONS.get(str(fault["loc"][0]), fault["loc"][0])
        raise fail(f"--{option}: {message_of(fault)}") from error
    by = DirectAccess.of_this_process()
    made = with_session(lambda session: tokens.create(session, wanted, by))
    show(json, made.model_dump(mode="json"), made.secret)


@token.command("list")
def list_tokens(json: Json = False) -> None:
    """List the tokens of all users, including revoked ones."""
    items = [item.model_dump(mode="json") for item in with_session(tokens.list_all).items]
    if json or not items:
        show(json, items, "No tokens.")
    else:
        console().print(tokens_view(items))


@token.command("revoke")
def revoke_token(
    token_id: Annotated[
        uuid.UUID,
        typer.Argument(metavar="TOKEN_ID", help="ID of the token, from `pricetag token list`."),
    ],
    json: Json = False,
) -> None:
    """Revoke a token; it stops working at once."""
    by = DirectAccess.of_this_process()
    gone = with_session(lambda session: tokens.revoke(session, token_id, by))
    show(json, gone.model_dump(mode="json"), f"'{gone.name}' is revoked.")


@balances.command("check")
def check_balances(json: Json = False) -> None:
    """Compare the running balances of budgets with the sums over all attempts and open runs.

    Exit code 1 means that a balance is wrong.
    """

    async def wrong(database: Database, part: Part) -> int:
        async with database.session_scope() as session:
            return await upkeep.wrong_sums(session, part)

    if _over_balances(wrong, json=json, mended=False):
        raise typer.Exit(1)


@balances.command("rebuild")
def rebuild_balances(json: Json = False) -> None:
    """Rebuild the running balances of budgets from all attempts and open runs.

    The server may keep running. If the command is interrupted, run it again.
    """
    _over_balances(upkeep.mend, json=json, mended=True)


def _over_balances(
    use: Callable[[Database, Part], Awaitable[int]], *, json: bool, mended: bool
) -> int:
    """Does something to each part of the balances, with progress; the number of wrong sums."""

    async def over(database: Database) -> dict[str, int]:
        async with database.session_scope() as session:
            parts = await upkeep.parts(session)
        wrong: dict[str, int] = {}
        for number, part in enumerate(parts, 1):
            wrong[part.name] = count = await use(database, part)
            state = f"{count} wrong sums{' mended' if mended else ''}" if count else "right"
            if not json:
                typer.echo(f"{number}/{len(parts)}  {part.name}: {state}")
        return wrong

    wrong = with_database(over)
    count = sum(wrong.values())
    text = "All balances equal what they sum up."
    if count:
        remedy = "are mended" if mended else f"are wrong: {upkeep.REMEDY}"
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
                state = f"{len(differing)} sums differ" if differing else "right"
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
    text = (
        f"{len(wrong)} of {blocks} blocks are damaged."
        if wrong
        else f"All {blocks} blocks are right."
    )
    show(json, {"blocks": blocks, "wrong": wrong}, text)
    if wrong:
        raise typer.Exit(1)


def show(json: bool, data: Any, text: str) -> None:
    """Prints the data as JSON, or the text."""
    typer.echo(json_module.dumps(data, indent=2) if json else text)


def with_session(use: Callable[[Session], Awaitable[Result]]) -> Result:
    """Runs a function in one database transaction."""

    async def in_session(database: Database) -> Result:
        async with database.session_scope() as session:
            return await use(session)

    return with_database(in_session)


def with_database(use: Callable[[Database], Awaitable[Result]]) -> Result:
    """Runs a function on the database."""
    settings = read_settings()
    try:
        return asyncio.run(_on_database(resolve_database_url(settings), use))
    except PricetagError as error:
        raise fail(error.message) from error
    except DATABASE_FAULTS as error:
        raise fail(f"the database cannot be reached: {error}") from error
    except SCHEMA_FAULTS as error:
        url = resolve_database_url(settings)
        if (fault := asyncio.run(_on_database(url, _migration_fault))) is not None:
            raise fail(fault) from error
        raise
    finally:
        release(settings.data_dir)


async def _migration_fault(database: Database) -> str | None:
    """How the database's schema differs from the one of this version."""
    from app.services.readiness import NotMigratedError, check

    try:
        async with database.session_scope() as session:
            await check(session)
    except NotMigratedError as error:
        return error.message
    return None


async def _on_database(url: str, use: Callable[[Database], Awaitable[Result]]) -> Result:
    database = Database(url, application_name="pricetag command", pool_size=1)
    try:
        return await use(database)
    finally:
        await database.dispose()
