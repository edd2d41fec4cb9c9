"""`pricetag serve`: the server process with its database, address file and workers."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from app import embedded_postgres, migrate
from app.db import Database, resolve_database_url
from app.edge import connections
from app.edge.addresses import address_of
from app.edge.draining import DrainingServer
from app.main import create_app
from app.services.people import sign_in_links, tokens
from app.settings import Settings
from app.worker_processes import workers
from pricetag.atomic_files import write_whole
from pricetag.loading import loading

log = logging.getLogger("pricetag.server")

DRAIN_S = 5
"""Time for open requests at shutdown, in s."""

WORKER_STOP_MARGIN_S = 15.0
"""Time for a worker to stop, in s, in addition to the grace of its jobs."""


def address_file(settings: Settings) -> Path:
    """File with the server's address, for the command line on this machine."""
    return settings.data_dir / "server.json"


def bind(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 picks a free one.

    Raises:
        OSError: If the address is in use or unavailable; states it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns off Nagle's algorithm only on sockets of this protocol; with the algorithm,
    # every response on a kept-alive connection waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # Listening from the start, so that the address in server.json never refuses a connection.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise OSError(_unusable(host, port, error)) from error
    return listener


def _unusable(host: str, port: int, error: OSError) -> str:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{address} is already in use: stop the server there, or choose another port "
            "(--port 0 takes a free one)"
        )
    return f"{address} cannot be listened on: {error.strerror}"


def url_of(listener: socket.socket, host: str) -> str:
    """The URL of the server; a wildcard address becomes loopback."""
    return address_of(host, listener.getsockname()[1])


@contextmanager
def address_left(settings: Settings, url: str) -> Iterator[None]:
    """Publishes the server's address for the command line on this machine while it runs.

    The address of another running server with the same data folder is kept.
    """
    path = address_file(settings)
    mine = {"url": url, "pid": os.getpid()}
    other = _living_server(path, mine)
    if other is not None:
        log.warning(
            "server %s uses the same data folder %s, and commands on this machine connect to it; "
            "use --url %s for this one",
            other,
            settings.data_dir,
            url,
        )
        yield
        return
    write_whole(path, json.dumps(mine) + "\n")
    try:
        yield
    finally:
        with suppress(FileNotFoundError, ValueError):
            # A server that was started later keeps its address.
            if json.loads(path.read_text(encoding="utf-8")) == mine:
                path.unlink()


def _living_server(path: Path, mine: Mapping[str, object]) -> str | None:
    """The address of another server in the file, if its process lives and it can be reached."""
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        url, pid = str(noted["url"]), int(noted["pid"])
        address = urlsplit(url)
        if url == mine["url"] or pid == mine["pid"] or pid <= 0:
            return None  # an earlier server, whose address or process ID is ours now
        with suppress(PermissionError):  # a live process of another user
            os.kill(pid, 0)
        with socket.create_connection((address.hostname or "", address.port or 80), timeout=1.0):
            return url
    except (OSError, OverflowError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """What the server prints at its start.

    Attributes:
        token: Secret of a new admin token, if there was no admin token yet.
        link: Path of a link that signs an administrator in once.
    """

    token: str | None
    link: str | None


async def first_steps(url: str) -> FirstSteps:
    """Makes what the server prints at its start, on a database."""
    database = Database(url, application_name="pricetag setup", pool_size=1)
    try:
        async with database.session_scope() as session:
            created = await tokens.create_first_admin(session)
            code = await sign_in_links.for_an_admin(session)
    finally:
        await database.dispose()
    return FirstSteps(created.secret if created else None, f"/login/link/{code}" if code else None)


def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    migrate_first: bool,
    worker_count: int,
    worker_pool: str,
    worker_gpus: str,
    worker_commands: bool,
    access_log: bool,
) -> None:
    """Serves until SIGINT or SIGTERM, then ends everything it started.

    Raises:
        OSError: If the address cannot be bound.
        EmbeddedPostgresError: If the embedded database does not start.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(bind(host, port))
        stack.callback(embedded_postgres.release, settings.data_dir)
        database_url = resolve_database_url(settings)
        if migrate_first:
            migrate.upgrade(database_url)
        url = url_of(listener, host)
        announce(url, asyncio.run(first_steps(database_url)))
        stack.enter_context(address_left(settings, url))
        command = worker_command(worker_pool, worker_gpus, allow_commands=worker_commands)
        patience_s = settings.stop_grace_s + WORKER_STOP_MARGIN_S
        stack.enter_context(workers(command, worker_count, patience_s=patience_s))
        with loading():
            application = create_app(settings)
        config = uvicorn.Config(
            application,
            access_log=access_log,
            log_config=None,
            timeout_graceful_shutdown=DRAIN_S,
            server_header=False,
            proxy_headers=False,  # app.edge.proxies
            **connections.options(connections.raise_descriptor_limit()),
        )
        run_server(DrainingServer(config), listener)


def worker_command(pool: str, gpus: str, *, allow_commands: bool) -> list[str]:
    """The command that runs a worker of this machine.

    Args:
        pool: Pool whose runs it executes.
        gpus: Its accelerators: ``all``, ``none`` or indices.
        allow_commands: Whether it executes stages of the kind ``command``.
    """
    command = [sys.executable, "-m", "workers", "--pool", pool, "--gpus", gpus]
    return [*command, "--allow-commands"] if allow_commands else command


def run_server(server: uvicorn.Server, listener: socket.socket) -> None:
    """Runs uvicorn on our socket; a signal ends it without being raised again."""
    # After its shutdown, uvicorn raises the signal that stopped it again; our handlers below
    # catch it, so that it does not kill this process before everything has ended.
    before = {number: signal.signal(number, _ended) for number in (signal.SIGINT, signal.SIGTERM)}
    # What was loaded stays until the end: garbage collection during a large response would look
    # through all of it, for a tenth of a second.
    gc.collect()
    gc.freeze()
    # A full collection of what came later makes every request wait, for up to half a second: it
    # is rare.
    gc.set_threshold(*gc.get_threshold()[:2], 200)
    try:
        server.run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ended(number: int, frame: object) -> None:
    log.info("stopping on %s", signal.Signals(number).name)


def announce(url: str, first: FirstSteps) -> None:
    """Prints the address, a sign-in link, and the first token if one was created."""
    lines = [f"Pricetag serves {url} (API: {url}/docs)"]
    if first.link is not None:
        lines += [f"Sign in with this link, once within an hour: {url}{first.link}"]
    if first.token is not None:
        lines += [f"First administrator's token, shown only once: {first.token}"]
    else:
        lines += ["Another API token: pricetag token create --name NAME"]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
