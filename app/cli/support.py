"""What the administrator's commands share: settings, output, the database, errors of one line."""

from __future__ import annotations

import asyncio
import json as json_module
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from app.db import Database, Session, resolve_database_url
from app.embedded_postgres import EmbeddedPostgresError, release
from app.repositories.outage import OUTAGES, SCHEMA_FAULTS
from app.services.errors import PricetagError
from app.settings import Settings, SettingsError, get_settings

Result = TypeVar("Result")

DATABASE_FAULTS: tuple[type[Exception], ...] = (EmbeddedPostgresError, *OUTAGES)

Json = Annotated[bool, typer.Option("--json", help="Print JSON only.")]


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
            raise fail(f"{fault}{_place(settings)}") from error
        raise
    finally:
        release(settings.data_dir)


def _place(settings: Settings) -> str:
    """The data folder of the database; empty for a database with an address."""
    if settings.database_url:
        return ""
    return f" Data folder: {settings.data_dir}; PRICETAG_DATA_DIR selects another one."


async def _migration_fault(database: Database) -> str | None:
    """How the database's schema differs from the one of this version."""
    from app.services.health.readiness import NotMigratedError, check

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
