"""The configuration file, and the data folder that it or the environment names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class ConfigurationError(ValueError):
    """The configuration file cannot be read, or a setting is invalid.

    Attributes:
        settings: Names of the invalid settings, as they are in the file.
    """

    def __init__(self, message: str, *settings: str) -> None:
        super().__init__(message)
        self.settings = settings


def config_path(environ: Mapping[str, str]) -> Path:
    """The file that ``PRICETAG_CONFIG`` names, or else ``pricetag.toml`` in the current folder."""
    named = environ.get("PRICETAG_CONFIG")
    return Path(named).expanduser() if named else Path("pricetag.toml")


def read_config(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The settings in the configuration file; empty if there is none.

    Raises:
        ConfigurationError: If the file cannot be read.
    """
    path = config_path(environ)
    if not environ.get("PRICETAG_CONFIG") and not path.is_file():
        return {}
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def data_dir(environ: Mapping[str, str], settings: Mapping[str, Any]) -> Path:
    """The data folder of this machine.

    Args:
        environ: The environment of this process.
        settings: What :func:`read_config` returned.
    """
    named = environ.get("PRICETAG_DATA_DIR") or settings.get("data_dir")
    if named:
        return Path(str(named)).expanduser()
    base = environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "pricetag"
