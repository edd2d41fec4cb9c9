"""The user that a command's program runs as, if it is not the worker's."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def check(name: str | None) -> str | None:
    """Returns the name if a worker can run programs as that user.

    Raises:
        ValueError: If there is no such user, it is root, or the worker does not run as root.
    """
    if name is None:
        return None
    if os.geteuid() != 0:
        raise ValueError(f"only a worker that runs as root can run programs as {name!r}")
    if _entry(name).pw_uid == 0:
        raise ValueError(f"{name!r} is root, from whom no file can be hidden")
    return name


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
        raise ValueError(f"there is no user {name!r} on this machine") from None
