"""Commands of the service's administrator, on its database: serve, migrate, sign-in, token, ..."""

from __future__ import annotations

import logging
import sys
from typing import Annotated, Literal

import typer

from app.artifact_store.stores import StoreError
from app.cli.artifacts import artifacts
from app.cli.backup import backup, restore_command
from app.cli.headline_fill import headlines
from app.cli.sign_in import sign_in
from app.cli.support import DATABASE_FAULTS, Json, fail, read_settings, show
from app.cli.tokens import token
from app.cli.upkeep import balances, fold_backlog, readings, rollups
from app.db import resolve_database_url
from app.embedded_postgres import release
from app.settings import SettingsError, require_job_user
from pricetag.cli.console import HELP_OPTIONS
from pricetag.cli.help_text import FilledGroup
from pricetag.loading import loading
from pricetag.log_lines import formatter

START_FAULTS: tuple[type[Exception], ...] = (OSError, StoreError, *DATABASE_FAULTS)

Level = Literal["debug", "info", "warning", "error"]

commands = typer.Typer(
    cls=FilledGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": HELP_OPTIONS},
)
commands.add_typer(token, name="token")
commands.add_typer(artifacts, name="artifacts")
commands.add_typer(balances, name="balances")
commands.add_typer(rollups, name="rollups")
commands.add_typer(readings, name="readings")
commands.add_typer(headlines, name="headlines")


commands.command("sign-in")(sign_in)
commands.command("backup", epilog="Example: pricetag backup /backups/lab-2026-11-30")(backup)
commands.command("restore", epilog="Example: pricetag restore /backups/lab-2026-11-30")(
    restore_command
)


@commands.command(epilog="Example: pricetag serve --with-worker 1")
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
    allow_commands: Annotated[
        bool,
        typer.Option(
            help="Allow these workers to execute stages of the kind command, which run any program."
        ),
    ] = False,
    access_log: Annotated[bool, typer.Option(help="Write every request to the log.")] = False,
    log_level: Annotated[Level, typer.Option(help="Least severe messages to log.")] = "info",
) -> None:
    """Run the server (REST API, queue and database) until interrupted.

    Without PRICETAG_DATABASE_URL, it starts an embedded PostgreSQL in the data folder. At each
    start it prints a link that signs an administrator in; at the first start, also a token.
    """
    with loading():
        from app import serving  # uvicorn and all routes: seconds that the other commands save

    settings = read_settings()
    set_up_logging(log_level, settings.log_format)
    if allow_commands and not with_worker:
        raise fail(
            "--allow-commands applies to workers started with --with-worker; add that option"
        )
    if with_worker:
        try:
            allows_commands = allow_commands or worker_pool in settings.allow_commands_pools
            require_job_user(settings.job_user, allows_commands=allows_commands)
        except SettingsError as error:
            raise fail(f"--with-worker: {error}") from error
    try:
        settings.artifact_store()
        serving.serve(
            settings,
            host=settings.host if host is None else host,
            port=settings.port if port is None else port,
            migrate_first=migrate,
            worker_count=with_worker,
            worker_pool=worker_pool,
            worker_gpus=gpus,
            worker_commands=allow_commands,
            access_log=access_log,
        )
    except START_FAULTS as error:
        raise fail(f"the server cannot start: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Why the server cannot start; a file in a folder's place by its path."""
    if isinstance(error, FileExistsError | NotADirectoryError) and error.filename:
        return f"{error.filename} is a file, or in one, where a folder is needed"
    return str(error)


def set_up_logging(level: str, log_format: str) -> None:
    """Logs one line per event to standard error, as text or as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(log_format, "%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for chatty in ("alembic", "procrastinate", "httpx", "sse_starlette"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


@commands.command()
def migrate(
    fold: Annotated[
        bool,
        typer.Option(help="Add hours that are not in the roll-ups of the energy account yet."),
    ] = True,
    json: Json = False,
) -> None:
    """Upgrade the database to this version's schema, and fill its roll-ups.

    `serve` upgrades the schema at its start, and fills the roll-ups while it runs. If the command
    is interrupted, run it again, or start the server.
    """
    from app import migrate as migrations
    from app.services.health.readiness import head_revision

    settings = read_settings()
    set_up_logging("info", settings.log_format)
    try:
        migrations.upgrade(resolve_database_url(settings))
    except DATABASE_FAULTS as error:
        raise fail(f"the database cannot be migrated: {error}") from error
    finally:
        release(settings.data_dir)
    revision = head_revision()
    if not json:
        typer.echo(f"The database is at migration {revision}.")
    folded = fold_backlog(json=json) if fold else 0
    if json:
        show(json, {"revision": revision, "folded": folded}, "")
