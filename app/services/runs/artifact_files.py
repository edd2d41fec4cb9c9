"""Files of artifacts on the server's machine: in its artifact folder, or from the store."""

from __future__ import annotations

from pathlib import Path

from app.artifact_store.stores import (
    Content,
    ContentDiffersError,
    ObjectMissingError,
    StoreError,
    verify,
)
from app.schemas.series import ArtifactRead
from app.services.errors import NotFoundError, PricetagError
from app.settings import Settings

FIELD = "artifact_id"


class ArtifactNotHereError(NotFoundError):
    """The artifact is registered, but its file is not on the server's machine."""

    code = "artifact-not-here"


class ArtifactRemovedError(NotFoundError):
    """The content of the artifact was removed to save space."""

    code = "artifact-removed"


class ArtifactDamagedError(NotFoundError):
    """The artifact store has another content under the artifact's hash."""

    code = "artifact-damaged"


class StoreUnreachableError(PricetagError):
    """The artifact store cannot be read now."""

    code = "artifact-store-unreachable"
    status = 503


class ArtifactFiles:
    """Finds the files of artifacts; blocks on file systems and networks.

    Args:
        settings: Configuration of this process.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._verified: dict[Path, tuple[int, int, int]] = {}  # files of the store, as verified

    def path(self, described: ArtifactRead) -> Path:
        """The file with the content of an artifact.

        Raises:
            ArtifactRemovedError: If its content was removed.
            ArtifactNotHereError: If it is not on this machine, and not in a store that this
                server uses.
            ArtifactDamagedError: If the store has another content.
            StoreUnreachableError: If the store cannot be read.
        """
        if described.place == "removed":
            raise ArtifactRemovedError(
                f"'{described.name}' was removed to save space: {described.place_reason}.",
                field=FIELD,
            )
        if described.place == "store":
            return self._in_store(described)
        return self._in_folder(described)

    def _in_folder(self, described: ArtifactRead) -> Path:
        base = self._settings.artifacts_root.resolve()
        path = (base / described.path).resolve()
        if not path.is_relative_to(base) or not path.is_file():
            raise ArtifactNotHereError(
                f"'{described.name}' was written on node '{described.node}', and its file is not "
                "in the server's artifact folder. Share PRICETAG_ARTIFACTS_DIR between the two, "
                "or use an artifact store (PRICETAG_ARTIFACTS_URL).",
                field=FIELD,
            )
        return path

    def _in_store(self, described: ArtifactRead) -> Path:
        content = Content(described.sha256, described.size_bytes)
        try:
            store = self._settings.artifact_store()
            if store is None:
                raise ArtifactNotHereError(
                    f"'{described.name}' is in the artifact store, which this server does not "
                    "use: set PRICETAG_ARTIFACTS_URL as on the workers.",
                    field=FIELD,
                )
            path = store.local_path(content.sha256)
            if path is None:
                return self._settings.artifact_cache.get(store, content)
            if not store.has(content):
                raise ObjectMissingError(f"{store.address} has no object {content.sha256}")
            self._verify_once(path, content)
        except ObjectMissingError as error:
            raise ArtifactNotHereError(
                f"'{described.name}' is registered as stored, but {error}.", field=FIELD
            ) from error
        except ContentDiffersError as error:
            raise ArtifactDamagedError(
                f"'{described.name}' is damaged in the artifact store: it has {error}.",
                field=FIELD,
            ) from error
        except (StoreError, OSError) as error:
            raise StoreUnreachableError(f"'{described.name}' cannot be read: {error}.") from error
        return path

    def _verify_once(self, path: Path, content: Content) -> None:
        """Compares a file with its hash, unless it is as it was when that was done."""
        status = path.stat()
        state = (status.st_ino, status.st_size, status.st_mtime_ns)
        if self._verified.get(path) == state:
            return
        verify(path, content)
        self._verified[path] = state
