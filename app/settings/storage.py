"""Where data and artifacts are kept, and what jobs may read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

from app.artifact_store.address import folder_of, open_store
from app.artifact_store.cache import Cache
from app.artifact_store.stores import ObjectStore

POSTGRES_SCHEMES = ("postgresql://", "postgres://", "postgresql+psycopg://")


def default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "pricetag"


class StorageSettings(BaseSettings):
    """Database, data folder, artifacts, data roots."""

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

    @field_validator("database_url")
    @classmethod
    def _postgres_only(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(POSTGRES_SCHEMES):
            raise ValueError("must be a postgresql:// URL")
        return value

    @field_validator("data_roots", mode="before")
    @classmethod
    def _split_paths(cls, value: Any) -> Any:
        return [p for p in value.split(os.pathsep) if p] if isinstance(value, str) else value

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
    def _store_outside(self) -> Self:
        folder = None if self.artifacts_url is None else folder_of(self.artifacts_url)
        if folder is not None and folder.resolve().is_relative_to(self.artifacts_root.resolve()):
            raise ValueError("artifacts_url must not be inside the artifact folder (artifacts_dir)")
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
