"""The server and the token: from options, ``PRICETAG_*``, the file, or this machine, in this order.

The file is the one ``PRICETAG_CONFIG`` names, else ``pricetag.toml`` in the current folder;
its table ``[client]`` has ``url`` and ``token``. A server that runs on this machine leaves
its address in ``server.json`` of the data folder.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pricetag.cli.console import EXIT_USAGE, CliError
from pricetag.configuration import ConfigurationError, data_dir, read_config

CLIENT_KEYS = frozenset({"url", "token", "push"})
"""Keys of the table ``[client]``."""


class NoServerError(CliError):
    """No server is named, and none runs on this machine."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The server to connect to; its printed forms never contain the token."""

    url: str
    token: str | None = field(repr=False)


def resolve(
    url: str | None, token: str | None, environ: Mapping[str, str] = os.environ
) -> Connection:
    """The connection that options, environment and files together name.

    Raises:
        CliError: If no server is named and none runs here, or a file cannot be read.
    """
    settings = _config(environ)
    client = settings.get("client", {})
    if not isinstance(client, dict):
        raise CliError("[client] in the configuration file must be a table", EXIT_USAGE)
    if unknown := sorted(set(client) - CLIENT_KEYS):
        near = difflib.get_close_matches(unknown[0], CLIENT_KEYS, 1)
        hint = f"did you mean '{near[0]}'?" if near else "known keys: push, token, url"
        raise CliError(f"[client] has no key '{unknown[0]}' ({hint})", EXIT_USAGE)
    address = url or environ.get("PRICETAG_URL") or client.get("url")
    if not address:
        address = _local_server(data_dir(environ, settings))
    if not str(address).startswith(("http://", "https://")):
        raise CliError(f"{address!r} is not an http(s) address; use http://...", EXIT_USAGE)
    secret = token or environ.get("PRICETAG_TOKEN") or client.get("token")
    return Connection(str(address).rstrip("/"), str(secret or "").strip() or None)


def data_roots(environ: Mapping[str, str]) -> list[Path]:
    """The folders that jobs of this machine's workers may read; empty if none is set.

    Raises:
        CliError: If the configuration file cannot be read.
    """
    named = environ.get("PRICETAG_DATA_ROOTS")
    listed = named or _config(environ).get("data_roots")
    paths = listed.split(os.pathsep) if isinstance(listed, str) else listed or []
    return [Path(str(path)).expanduser().absolute() for path in paths if path]


def _config(environ: Mapping[str, str]) -> dict[str, Any]:
    try:
        return read_config(environ)
    except ConfigurationError as error:
        raise CliError(str(error), EXIT_USAGE) from error


def _local_server(folder: Path) -> str:
    path = folder / "server.json"
    try:
        url = json.loads(path.read_text(encoding="utf-8"))["url"]
    except FileNotFoundError:
        raise NoServerError(
            "no server to connect to: use --url, set PRICETAG_URL, or start one with "
            f"`pricetag serve` (none is registered in the data folder {folder})",
            EXIT_USAGE,
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CliError(f"{path} contains no address of a server: {error}") from error
    return str(url)
