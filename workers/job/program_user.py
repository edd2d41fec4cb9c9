"""The user that a command's program runs as, if it is not the worker's."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def check(name: str | None) -> str | None:
    """Returns the user that a worker can run programs as; None if that is the worker's own.

    Args:
        name: Name of the user; root, as the worker's own user, accepts that nothing is hidden.

    Raises:
        ValueError: If there is no such user, or the worker does not run as root.
    """
    if name is None:
        return None
    if os.geteuid() != 0:
        raise ValueError(f"only a worker that runs as root can run programs as {name!r}")
    return None if _entry(name).pw_uid == 0 else name


def check_python(name: str | None) -> None:
    """Raises ``ValueError`` if that user cannot run the worker's Python, which programs use."""
    if name is None:
        return
    try:
        subprocess.run([sys.executable, "-c", ""], check=True, cwd="/", **popen_options(name))
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(
            f"user {name!r} cannot run {sys.executable}, which commands use ({error}); install "
            "Pricetag in a folder that this user may read"
        ) from error


def isolation(name: str | None) -> str:
    """The isolation of the programs of commands from the worker, in one line for its log."""
    if name is not None:
        return (
            f"programs run as {name!r}; isolated: the worker's environment, memory, processes, "
            "private files and database; not isolated: devices, network, memory, disk space"
        )
    if os.geteuid() == 0:
        return (
            "programs run as root (--job-user root); isolated: nothing but their environment; "
            "not isolated: the database credentials and everything else on this machine"
        )
    return (
        f"programs run as {_own_name()!r}, the worker's own user, since only root can change "
        "users; isolated: the worker's environment and memory; not isolated: its files, the "
        "embedded database, its processes, devices, network, memory, disk space"
    )


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may run as a number
        return str(os.geteuid())


def popen_options(name: str | None) -> dict[str, Any]:
    """Arguments of ``subprocess.Popen`` that start a program as that user."""
    if name is None:
        return {}
    entry = _entry(name)
    groups = os.getgrouplist(name, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}


def variables(name: str | None) -> Mapping[str, str]:
    """Environment variables that identify the user."""
    if name is None:
        return {}
    return {"HOME": _entry(name).pw_dir, "USER": name, "LOGNAME": name}


def open_to(name: str | None, folder: Path, events: Path | None) -> None:
    """Gives the user its program's start folder, and access to the event socket."""
    if name is None:
        return
    entry = _entry(name)
    for place, folders, files in os.walk(folder):
        for child in [place, *(os.path.join(place, item) for item in (*folders, *files))]:
            os.chown(child, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    for parent in folder.parents:  # may be entered, not listed
        if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
        if (parent / "journal").is_dir():
            break  # the data folder: the folders above it are the administrator's
    if events is not None and events.exists():
        os.chown(events, entry.pw_uid, entry.pw_gid)
        events.parent.chmod(0o711)


def _entry(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise ValueError(f"user {name!r} not found on this machine") from None
