"""Configuration of server and worker: ``PRICETAG_*`` variables, then ``pricetag.toml``."""

from __future__ import annotations

import difflib
import os
import tomllib
from decimal import Decimal
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from app.artifact_store.address import folder_of, open_store
from app.artifact_store.cache import Cache
from app.artifact_store.stores import ObjectStore
from pricetag.catalog import currency_codes, grid_factor
from pricetag.field_messages import message_of

POSTGRES_SCHEMES = ("postgresql://", "postgres://", "postgresql+psycopg://")


def config_file() -> Path:
    """The file in ``PRICETAG_CONFIG``, or else ``pricetag.toml`` in the current folder."""
    named = os.environ.get("PRICETAG_CONFIG")
    if not named:
        return Path("pricetag.toml")
    path = Path(named).expanduser()
    if not path.is_file():
        raise ValueError(f"PRICETAG_CONFIG names {path}, which is not a file")
    return path


def default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "pricetag"


class Settings(BaseSettings):
    """All settings, with units in their names.

    An unknown key in the file is an error, so that a misspelled one is noticed; the table
    ``[client]`` belongs to the command line.
    """

    model_config = SettingsConfigDict(
        env_prefix="PRICETAG_", extra="forbid", validate_default=False, env_ignore_empty=True
    )

    database_url: Annotated[
        str | None,
        Field(
            description="PostgreSQL database, `postgresql://...`. Default: the embedded "
            "PostgreSQL 18 in the data folder."
        ),
    ] = None
    data_dir: Annotated[
        Path,
        Field(
            default_factory=default_data_dir,
            description="Folder of the database, journals, checkpoints and artifacts.",
        ),
    ]
    artifacts_dir: Annotated[
        Path | None,
        Field(
            description="Folder of artifacts; put it on a file system that server and workers "
            "share. Default: `artifacts` in the data folder."
        ),
    ] = None
    artifacts_url: Annotated[
        str | None,
        Field(
            description="Artifact store of all servers and workers, which has each content once: a "
            "folder that exists (`/shared/pricetag`), or `s3://BUCKET/PREFIX` (needs "
            "`pricetag[s3]`; credentials and endpoint as for other S3 clients: "
            "`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ...). Workers move their artifacts there. "
            "Default: artifacts stay in the artifact folder."
        ),
    ] = None
    artifact_cache_gb: Annotated[
        float,
        Field(
            gt=0,
            description="Size in GB (10^9 bytes) of the copies of the artifact store's files on a "
            "machine (`artifact-cache` in the data folder), above which those unused for longest "
            "are removed.",
        ),
    ] = 20.0
    data_roots: Annotated[
        list[Path], NoDecode, Field(description="Folders that jobs may read, separated by `:`.")
    ] = []

    host: Annotated[str, Field(description="Address that the server listens on.")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="Port of the server; 0 picks a free one.")
    ] = 8000
    max_body_bytes: Annotated[
        int, Field(gt=0, description="Maximum size of a request body, bytes.")
    ] = 1_000_000
    log_format: Annotated[
        Literal["text", "json"],
        Field(
            description="Form of the log of server and worker: `text`, or `json`, an object per "
            "line with the IDs of the request, run and attempt that it is about."
        ),
    ] = "text"

    lease_s: Annotated[  # renewed once a second
        float,
        Field(
            ge=5,
            description="Seconds without contact to the database after which a worker's jobs "
            "may be started elsewhere. Stored with every run that a worker takes, so that "
            "workers may differ.",
        ),
    ] = 900.0
    heartbeat_timeout_s: Annotated[
        float,
        Field(
            gt=0, description="Seconds without a heartbeat after which a job is killed and retried."
        ),
    ] = 600.0
    stop_grace_s: Annotated[
        float,
        Field(ge=0, description="Seconds that a stopped job has to save its state."),
    ] = 30.0
    sweep_s: Annotated[
        float,
        Field(
            gt=0,
            description="Seconds between the server's checks for lost attempts and missing "
            "queue entries.",
        ),
    ] = 15.0
    node_name: Annotated[
        str | None, Field(description="Name of a worker's node. Default: the host name.")
    ] = None
    allow_commands_pools: Annotated[
        list[str],
        NoDecode,
        Field(
            description="Comma-separated pools whose workers run `command` stages (any program)."
        ),
    ] = []
    job_user: Annotated[
        str | None,
        Field(
            description="User that the programs of `command` stages run as; the worker must run "
            "as root, and then needs a user to run them: `root` accepts that they can administer "
            "the service. Default: the worker's user."
        ),
    ] = None
    job_env: Annotated[
        list[str],
        NoDecode,
        Field(
            description="Comma-separated environment variables of a worker that its jobs see, "
            "in addition to the [allow-list](../how-to/isolation.md)."
        ),
    ] = []
    max_metrics: Annotated[
        int,
        Field(
            ge=0,
            description="Maximum number of stored metrics per attempt; further ones are dropped "
            "and counted. Quality metrics, which appear on the price tag, count separately "
            "(1,000).",
        ),
    ] = 100_000
    max_artifacts: Annotated[
        int,
        Field(
            ge=0,
            description="Maximum number of registered artifacts per attempt; further files stay "
            "in their folder, unregistered and counted.",
        ),
    ] = 10_000

    max_journal_bytes: Annotated[
        int,
        Field(
            gt=0,
            description="Maximum size of the journal of a run that no queue started, bytes. It "
            "arrives in parts of at most `PRICETAG_MAX_BODY_BYTES`.",
        ),
    ] = 10_000_000_000
    journal_silence_days: Annotated[
        float,
        Field(
            gt=0,
            le=36_500,
            description="Days without a new part after which a run whose journal has not arrived "
            "to its end is ended as failed, with what has arrived.",
        ),
    ] = 7.0

    site: Annotated[
        str,
        Field(
            min_length=1,
            max_length=100,
            description="Site of a worker: its factors price the worker's attempts.",
        ),
    ] = "default"
    gpu_share: Annotated[
        int,
        Field(ge=1, le=64, description="Number of jobs that may share one device at a time."),
    ] = 1
    host_cores_per_job: Annotated[
        float | None,
        Field(
            gt=0,
            description="CPU cores reserved per job, at most an equal part of the machine. "
            "Default: an equal part.",
        ),
    ] = None
    node_meter: Annotated[
        Literal["on", "off"],
        Field(
            description="Whether one worker per machine meters it all the time, so that idle "
            "energy and baselines are known."
        ),
    ] = "on"

    pue: Annotated[
        float | None,
        Field(
            ge=1.0,
            le=10.0,
            description="Power usage effectiveness of the site. Default: 1.54, marked `assumed`.",
        ),
    ] = None
    grid_zone: Annotated[
        str | None,
        Field(
            description="Electricity of the site, by ISO country code. Default: the world's "
            "mean, marked `assumed`."
        ),
    ] = None
    grid_g_per_kwh: Annotated[
        float | None,
        Field(
            ge=0.0,
            le=5000.0,
            description="The site's own carbon intensity (g CO2e/kWh), instead of a zone.",
        ),
    ] = None
    grid_year: Annotated[
        int | None,
        Field(ge=1990, le=2100, description="Year of the site's own carbon intensity."),
    ] = None
    grid_source: Annotated[
        str | None, Field(description="Source of the site's own carbon intensity.")
    ] = None
    electricity_per_kwh: Annotated[
        Decimal | None, Field(ge=0, description="Electricity tariff per kWh, in the currency.")
    ] = None
    currency: Annotated[
        str, Field(pattern=r"^[A-Z]{3}$", description="Currency of the tariff (ISO 4217).")
    ] = "USD"
    electricity_maps_token: Annotated[
        SecretStr | None,
        Field(
            description="Electricity Maps token for `pricetag carbon fetch`. Default: the "
            "provider is off."
        ),
    ] = None
    electricity_maps_url: Annotated[
        str, Field(pattern=r"^https?://", description="Address of the Electricity Maps API.")
    ] = "https://api.electricitymaps.com/v3"
    uk_carbon_intensity_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://",
            description="Address of Great Britain's Carbon Intensity API for forecasts, e.g. "
            "`https://api.carbonintensity.org.uk`; it needs no account. Default: the provider is "
            "off.",
        ),
    ] = None
    watttime_user: Annotated[
        str | None,
        Field(
            description="WattTime account for forecasts of marginal intensities. Default: the "
            "provider is off."
        ),
    ] = None
    watttime_password: Annotated[
        SecretStr | None, Field(description="Password of the WattTime account.")
    ] = None
    watttime_url: Annotated[
        str, Field(pattern=r"^https?://", description="Address of the WattTime API.")
    ] = "https://api.watttime.org"

    public_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s?#]+$",
            description="Address of the dashboard in browsers, for an identity provider's way "
            "back, e.g. `https://lab.example.org/pricetag`; its path is a prefix that a proxy may "
            "keep.",
        ),
    ] = None
    trusted_proxies: Annotated[
        list[str],
        NoDecode,
        Field(
            description="Comma-separated addresses or networks of proxies whose "
            "`X-Forwarded-Proto`, `X-Forwarded-For` and `X-Forwarded-Prefix` are believed."
        ),
    ] = ["127.0.0.1", "::1"]
    remote_user_proxies: Annotated[
        list[str],
        NoDecode,
        Field(
            description="Comma-separated addresses or networks of proxies that sign users in: "
            "their `Remote-User` and `Remote-Groups` (comma-separated) are believed. Only they "
            "may be able to reach the server, and they must drop these headers of browsers. "
            "Default: none."
        ),
    ] = []
    oidc_issuer: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s?#]+$",
            description="Issuer of the identity provider (OpenID Connect) that users sign in "
            "with, exactly as it names itself. Default: the provider is off.",
        ),
    ] = None
    oidc_client_id: Annotated[
        str | None, Field(description="Client ID of this server at the identity provider.")
    ] = None
    oidc_client_secret: Annotated[
        SecretStr | None,
        Field(description="Client secret. Default: a public client, which has none."),
    ] = None
    oidc_name: Annotated[
        str, Field(min_length=1, max_length=60, description="Name of the provider on its button.")
    ] = "single sign-on"
    oidc_scope: Annotated[
        str, Field(description="Scopes requested from the provider, separated by spaces.")
    ] = "openid profile email"
    oidc_groups_claim: Annotated[
        str, Field(description="Claim of the ID token with the user's groups.")
    ] = "groups"
    group_roles: Annotated[
        dict[str, Literal["viewer", "member", "admin"]],
        NoDecode,
        Field(
            description="Roles of groups of the provider or proxy, e.g. `staff=member,it=admin`; "
            "the highest counts, at every sign-in. Without this setting, roles are changed by "
            "administrators alone."
        ),
    ] = {}
    default_role: Annotated[
        Literal["viewer", "member"] | None,
        Field(
            description="Role of users of the provider or proxy whose groups have none. Default: "
            "they cannot sign in."
        ),
    ] = None

    client: dict[str, Any] = {}

    @field_validator("database_url")
    @classmethod
    def _postgres_only(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(POSTGRES_SCHEMES):
            raise ValueError("must be a postgresql:// URL")
        return value

    @field_validator("currency")
    @classmethod
    def _currency_in_use(cls, value: str) -> str:
        if value not in currency_codes():
            raise ValueError("must be the ISO 4217 code of a currency in use, such as EUR")
        return value

    @field_validator("grid_zone")
    @classmethod
    def _zone_in_catalog(cls, value: str | None) -> str | None:
        return None if value is None else grid_factor(value).zone

    @field_validator("data_roots", mode="before")
    @classmethod
    def _split_paths(cls, value: Any) -> Any:
        return [p for p in value.split(os.pathsep) if p] if isinstance(value, str) else value

    @field_validator("allow_commands_pools", "job_env", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [name.strip() for name in value.split(",") if name.strip()]
        return value

    @field_validator("trusted_proxies", "remote_user_proxies", mode="before")
    @classmethod
    def _split_addresses(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        for address in value:
            ip_network(address, strict=False)
        return value

    @field_validator("group_roles", mode="before")
    @classmethod
    def _split_roles(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [part.strip() for part in value.split(",") if part.strip()]
        if not all("=" in pair for pair in pairs):
            raise ValueError("must be GROUP=ROLE pairs, separated by commas")
        split = [pair.rpartition("=") for pair in pairs]
        return {group.strip(): role.strip() for group, _, role in split}

    @field_validator("data_dir", "artifacts_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("artifacts_url")
    @classmethod
    def _store_address(cls, value: str | None) -> str | None:
        if value is not None:
            folder_of(value)
        return value

    @field_validator("data_roots")
    @classmethod
    def _absolute_roots(cls, value: list[Path]) -> list[Path]:
        return [path.expanduser().absolute() for path in value]

    @model_validator(mode="after")
    def _one_grid(self) -> Self:
        if self.grid_zone is not None and self.grid_g_per_kwh is not None:
            raise ValueError("set grid_zone or grid_g_per_kwh, not both")
        if self.grid_g_per_kwh is None and (self.grid_year or self.grid_source):
            raise ValueError("grid_year and grid_source describe grid_g_per_kwh: set that too")
        return self

    @model_validator(mode="after")
    def _store_outside(self) -> Self:
        folder = None if self.artifacts_url is None else folder_of(self.artifacts_url)
        if folder is not None and folder.resolve().is_relative_to(self.artifacts_root.resolve()):
            raise ValueError("artifacts_url must not be inside the artifact folder (artifacts_dir)")
        return self

    @model_validator(mode="after")
    def _whole_provider(self) -> Self:
        if self.oidc_issuer is not None and not (self.oidc_client_id and self.public_url):
            raise ValueError("oidc_issuer also needs oidc_client_id and public_url")
        return self

    @property
    def artifacts_root(self) -> Path:
        """Folder of the artifacts, in ``<run_id>/<attempt>/...``."""
        return self.artifacts_dir or self.data_dir / "artifacts"

    @property
    def artifact_cache(self) -> Cache:
        """Copies of the artifact store's files on this machine."""
        return Cache(self.data_dir / "artifact-cache", int(self.artifact_cache_gb * 1e9))

    def artifact_store(self) -> ObjectStore | None:
        """The artifact store; None if artifacts stay in their folder.

        Raises:
            StoreError: If a package is missing.
        """
        return None if self.artifacts_url is None else open_store(self.artifacts_url)

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
