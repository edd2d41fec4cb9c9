"""``pricetag worker``: takes runs of a pool and executes them on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from app.artifact_store.stores import StoreError
from app.db import Database, resolve_database_url
from app.settings import Settings, SettingsError, get_settings, require_job_user
from pricetag.cli.single import run_single
from pricetag.log_lines import formatter
from pricetag.metering import MeterSettingError, doctor, host_choice, prepare
from pricetag.metering.amd_names import is_amd
from pricetag.metering.devices import list_accelerators, visible_accelerators
from pricetag.metering.machine import git_commit, node_name
from pricetag.metering.mig import resolve_usable, usable_devices
from pricetag.metering.nvml_devices import Device, resolve_visible
from pricetag.metering.nvml_errors import LibraryUnavailableError
from pricetag.one_line import hidden_in
from pricetag.recipes.run_spec import POOL_PATTERN
from workers.attempt.fetching import Fetcher
from workers.attempt.job_variables import check_names
from workers.attempt.releases import Releases
from workers.attempt.uploads import Uploads
from workers.job import program_user
from workers.node.device_locks import Held, hold
from workers.node.identity import NodeConfig, worker_identity
from workers.node.stop_signals import StopSignals, deadline_s
from workers.store import Store
from workers.worker import Worker

logger = logging.getLogger("pricetag.worker")

Level = Literal["debug", "info", "warning", "error"]

ALIVE_INTERVAL_S = 5.0
ALIVE_LIMIT_S = 30.0


def worker(
    pool: Annotated[str, typer.Option(help="Pool whose runs this worker executes.")] = "default",
    gpus: Annotated[
        str,
        typer.Option(
            help="Accelerators to use: all, none, or indices and UUIDs, e.g. 0,1,GPU-5f3c..."
        ),
    ] = "all",
    cpu_slots: Annotated[
        int,
        typer.Option(
            min=0, help="Number of runs without accelerators to execute at the same time."
        ),
    ] = 1,
    data_root: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder with data and models that jobs may read (repeatable), in addition to "
            "PRICETAG_DATA_ROOTS.",
        ),
    ] = None,
    allow_commands: Annotated[
        bool, typer.Option(help="Allow stages of the kind command, which run any program.")
    ] = False,
    allow_hub: Annotated[
        bool, typer.Option(help="Allow models and data sets from the Hugging Face hub.")
    ] = True,
    job_user: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="System user that programs of command stages run as; the worker must run as root. "
            "With 'root', these programs can administer the service. Default: "
            "PRICETAG_JOB_USER, or the worker's user unless that is root.",
        ),
    ] = None,
    job_env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Environment variable of the worker that jobs may see (repeatable), in addition "
            "to PRICETAG_JOB_ENV.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of this node. Default: PRICETAG_NODE_NAME, else the host name."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Check whether a worker of this node is alive; the exit code is 1 if not.",
        ),
    ] = False,
    log_level: Annotated[Level, typer.Option(help="Least severe messages to log.")] = "info",
) -> None:
    """Run a worker, which executes the runs of a pool and meters them, until interrupted.

    Ctrl-C lets running jobs save their state; they continue when a worker starts again.
    """
    settings = _settings()
    node = name or settings.node_name or node_name()
    _check_names(node, pool)
    alive = settings.data_dir / "workers" / f"{node}.alive"
    if check:
        if _is_alive(alive):
            raise typer.Exit(0)
        reason = f"no worker of node {node!r} was alive in the last {ALIVE_LIMIT_S:.0f} s"
        typer.echo(f"pricetag: {reason}, says {alive}", err=True)
        raise typer.Exit(1)
    handler = logging.StreamHandler()
    handler.setFormatter(
        formatter(settings.log_format, "%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    logging.basicConfig(level=log_level.upper(), handlers=[handler])
    for noisy in ("procrastinate", "httpx", "codecarbon"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    selected = _devices(gpus)
    config = _config(settings, node, pool, data_root or [], allow_commands, allow_hub)
    config = replace(
        config,
        job_env=_job_env(settings, job_env or []),
        job_user=_job_user(job_user or settings.job_user, config.allow_commands),
    )
    with contextlib.suppress(KeyboardInterrupt), hold(alive.parent, node, selected) as locked:
        devices = _ours(gpus, locked)
        if not devices and cpu_slots == 0:
            raise typer.BadParameter(
                "no device and no CPU slot: this worker could not run any job; "
                "select devices with --gpus, or set --cpu-slots"
            )
        asyncio.run(_serve(settings, config, devices, cpu_slots, alive))
    _flush_output()


def _settings() -> Settings:
    """The settings; exits with one line that names the invalid one."""
    try:
        host_choice(os.environ)
        settings = get_settings()
        settings.artifact_store()
    except (SettingsError, MeterSettingError, StoreError) as error:
        typer.echo(f"pricetag: {error}", err=True)
        raise typer.Exit(1) from error
    return settings


def _check_names(node: str, pool: str) -> None:
    if (hidden := hidden_in(node)) is not None:
        raise typer.BadParameter(
            f"--name or PRICETAG_NODE_NAME: {node!r} contains {hidden}, which is invisible or "
            "changes how the name is shown; remove it"
        )
    if not re.fullmatch(POOL_PATTERN, pool):
        raise typer.BadParameter(
            f"--pool {pool!r}: no run can name this pool; use up to 63 letters, digits, dots, "
            "hyphens and underscores"
        )


def _config(
    settings: Settings,
    node: str,
    pool: str,
    data_roots: list[Path],
    allow_commands: bool,
    allow_hub: bool,
) -> NodeConfig:
    roots = [*settings.data_roots, *(root.expanduser().absolute() for root in data_roots)]
    for root in roots:
        if not root.is_dir():
            raise typer.BadParameter(f"data root {root} is not a folder")
    config = NodeConfig(
        name=node,
        worker=worker_identity(node),
        pool=pool,
        data_dir=settings.data_dir,
        artifacts_dir=settings.artifacts_root,
        data_roots=tuple(roots),
        allow_commands=allow_commands or pool in settings.allow_commands_pools,
        allow_hub=allow_hub,
        lease_s=settings.lease_s,
        heartbeat_timeout_s=settings.heartbeat_timeout_s,
        stop_grace_s=settings.stop_grace_s,
        git_commit=git_commit(Path(__file__).parent),
        site=settings.site,
        gpu_share=settings.gpu_share,
        host_cores_per_job=settings.host_cores_per_job,
    )
    for folder in (config.journal_dir, config.work_dir, config.artifacts_dir):
        folder.mkdir(parents=True, exist_ok=True)
    return config


def _job_env(settings: Settings, names: list[str]) -> tuple[str, ...]:
    try:
        return check_names([*settings.job_env, *names])
    except ValueError as error:
        raise typer.BadParameter(f"--job-env or PRICETAG_JOB_ENV: {error}") from error


def _job_user(name: str | None, allows_commands: bool) -> str | None:
    try:
        require_job_user(name, allows_commands=allows_commands)
        user = program_user.check(name)
        program_user.check_python(user)
        return user
    except SettingsError as error:
        raise typer.BadParameter(f"--allow-commands: {error}") from error
    except ValueError as error:
        raise typer.BadParameter(f"--job-user or PRICETAG_JOB_USER: {error}") from error


def _devices(gpus: str) -> list[Device]:
    """The devices selected by ``--gpus``; each must be visible to this process."""
    if gpus == "none":
        return []
    try:
        present = list_accelerators()
    except LibraryUnavailableError as error:
        raise typer.BadParameter(f"devices cannot be used: {error}") from error
    selected = _select(gpus, present)
    if len({is_amd(device.uuid) for device in selected}) > 1:
        raise typer.BadParameter(
            "NVIDIA and AMD devices need separate workers: select them with --gpus"
        )
    return selected


def _ours(gpus: str, locked: Held) -> list[Device]:
    """The devices that this worker has locked.

    Two workers on one device would each charge the whole device to a job.
    """
    if locked.elsewhere:
        names = ", ".join(device.uuid for device in locked.elsewhere)
        if gpus != "all":
            message = f"--gpus {gpus}: another worker of this node uses {names}"
            raise typer.BadParameter(message)
        logger.warning("devices used by another worker of this node: %s", names)
    return locked.ours


def _select(gpus: str, present: list[Device]) -> list[Device]:
    usable = usable_devices(present)
    if gpus == "all":
        return resolve_usable(visible_accelerators(os.environ, present), usable)
    named = resolve_visible(gpus, present)
    if len(named) < len(gpus.split(",")):
        present_names = ", ".join(f"{device.index} ({device.uuid})" for device in present) or "none"
        raise typer.BadParameter(f"--gpus {gpus}: no such device; devices present: {present_names}")
    return resolve_usable(named, usable)


async def _serve(
    settings: Settings, config: NodeConfig, devices: list[Device], cpu_slots: int, alive: Path
) -> None:
    url = await asyncio.to_thread(resolve_database_url, settings)
    database = Database(url, application_name="pricetag-worker", pool_size=3)
    store = Store(database, config)
    uploads: Uploads | None = None
    fetcher: Fetcher | None = None
    objects = settings.artifact_store()
    if objects is not None:
        lock = config.data_dir / "workers" / "uploads.lock"
        uploads = Uploads(config.artifacts_dir, lock, objects, store)
        fetcher = Fetcher(
            config.artifacts_dir, objects, settings.artifact_cache, store.stored_sizes
        )
        logger.info("artifact store: %s", objects.address)
    served = Worker(
        config,
        store,
        devices,
        cpu_slots=cpu_slots,
        database_url=lambda: resolve_database_url(settings),
        examine=lambda: doctor.examine().as_dict(),
        node_meter=settings.node_meter == "on",
        releases=Releases(config.artifacts_dir, store, objects),
        uploads=uploads,
        fetcher=fetcher,
    )
    loop = asyncio.get_running_loop()
    StopSignals(served.stop, deadline_s(config.stop_grace_s)).install(loop)
    beat = asyncio.create_task(_beat(alive))
    warm_up = asyncio.create_task(asyncio.to_thread(prepare))
    logger.info(
        "worker %s: pool %s, devices: %d, CPU slots: %d, commands %s",
        config.name,
        config.pool,
        len(devices),
        cpu_slots,
        "allowed" if config.allow_commands else "not allowed",
    )
    if config.allow_commands:
        logger.info("isolation: %s", program_user.isolation(config.job_user))
    try:
        await served.run()
    finally:
        beat.cancel()
        await warm_up
        with contextlib.suppress(OSError):
            alive.unlink(missing_ok=True)
        await database.dispose()


async def _beat(alive: Path) -> None:
    while True:
        try:
            alive.parent.mkdir(parents=True, exist_ok=True)
            alive.touch()
        except OSError as error:
            logger.warning("the alive file %s cannot be written: %s", alive, error)
        await asyncio.sleep(ALIVE_INTERVAL_S)


def _flush_output() -> None:
    """Ignores a full log disk, which would make Python exit with status 120."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)


def _is_alive(alive: Path) -> bool:
    try:
        return time.time() - alive.stat().st_mtime < ALIVE_LIMIT_S
    except OSError:
        return False


def main() -> None:
    """Parse the command line of ``pricetag worker`` and run it."""
    run_single(worker, "worker")
