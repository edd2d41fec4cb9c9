"""Configuration of server and worker: ``PRICETAG_*`` variables, then ``pricetag.toml``."""

from __future__ import annotations

import difflib
import os
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from app.settings.factors import FactorSettings
from app.settings.serving import ServingSettings
from app.settings.sign_in import SignInSettings
from app.settings.storage import StorageSettings
from app.settings.work import WorkSettings
from pricetag.field_messages import message_of


def config_file() -> Path:
    """The file in ``PRICETAG_CONFIG``, or else ``pricetag.toml`` in the current folder."""
    named = os.environ.get("PRICETAG_CONFIG")
    if not named:
        return Path("pricetag.toml")
    path = Path(named).expanduser()
    if not path.is_file():
        raise ValueError(f"PRICETAG_CONFIG names {path}, which is not a file")
    return path


class Settings(
    SignInSettings, FactorSettings, WorkSettings, ServingSettings, StorageSettings, BaseSettings
):
    """All settings, with units in their names.

    An unknown key in the file is an error, so that a misspelled one is noticed; the table
    ``[client]`` belongs to the command line. The fields of the last group come first.
    """

    model_config = SettingsConfigDict(
        env_prefix="PRICETAG_", extra="forbid", validate_default=False, env_ignore_empty=True
    )

    client: dict[str, Any] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file())


class SettingsError(ValueError):
    """Invalid settings, listed in one line."""


ROOT_WOULD_RUN_PROGRAMS = (
    "a worker that runs as root and executes `command` stages would run their programs as root: "
    "each could read the database credentials and make itself an administrator. Run the programs "
    "as an unprivileged user with PRICETAG_JOB_USER=NAME (`pricetag worker` also takes --job-user "
    "NAME), or start the worker as a user other than root. If all authors of such runs may "
    "administer the service, accept this with PRICETAG_JOB_USER=root"
)


def require_job_user(job_user: str | None, *, allows_commands: bool) -> None:
    """Rejects a worker that would run the programs of jobs as root although nobody asked for it.

    Args:
        job_user: User of the programs; ``root`` accepts that they run as root.
        allows_commands: Whether the worker executes ``command`` stages.

    Raises:
        SettingsError: The message lists the options.
    """
    if allows_commands and job_user is None and os.geteuid() == 0:
        raise SettingsError(ROOT_WOULD_RUN_PROGRAMS)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once; ``get_settings.cache_clear()`` rereads them.

    Raises:
        SettingsError: If a setting is invalid, or the file cannot be read.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(_fault(fault) for fault in error.errors(include_url=False))
        raise SettingsError(f"the configuration is wrong: {faults}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{config_file()}: {error}") from error
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _fault(fault: ErrorDetails) -> str:
    """A wrong setting by its variable or its key in the file."""
    name = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, Settings.model_fields, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{name}: is not a known setting{hint}"
    # A validator's own message, without pydantic's prefix.
    message = fault.get("ctx", {}).get("error") or message_of(fault)
    variable = f"PRICETAG_{name.upper()}"
    return f"{variable if os.environ.get(variable) else name or 'settings'}: {message}"
