"""A store in a bucket, through fsspec."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from app.artifact_store.stores import (
    CHUNK_BYTES,
    OBJECTS,
    Content,
    ContentDiffersError,
    ObjectMissingError,
    ObjectStore,
    StoppedError,
    StoreError,
    checked,
)

PART_BYTES = 64 << 20
"""Size of the parts in which large objects are sent: S3 takes up to 10,000, which are 640 GB."""


class BucketStore(ObjectStore):
    """A store in a bucket of an object store, where an object appears only when it is whole.

    Args:
        address: Its address, for messages.
        file_system: The fsspec file system, without a cache of listings.
        root: Bucket and prefix.
    """

    def __init__(self, address: str, file_system: Any, root: str) -> None:
        self.address = address
        self._fs = file_system
        self._root = root.rstrip("/")

    def has(self, content: Content) -> bool:
        with self._faults():
            try:
                info = self._fs.info(self._path(content.sha256))
            except FileNotFoundError:
                return False
            return bool(info["type"] == "file" and info["size"] == content.size_bytes)

    def put(self, chunks: Iterable[bytes], content: Content) -> None:
        path = self._path(content.sha256)
        with self._faults():
            # Closing a file that is written completes it, even after an error: it is committed
            # here, once its content was compared.
            file = self._fs.open(path, "wb", block_size=PART_BYTES, autocommit=False)
            try:
                for chunk in checked(chunks, content):
                    file.write(chunk)
                file.close()
                file.commit()
            except BaseException:
                file.discard()
                with suppress(AttributeError):  # a file in memory has nothing to complete
                    file.closed = True
                raise

    def chunks(self, sha256: str) -> Iterator[bytes]:
        with self._faults():
            try:
                with self._fs.open(
                    self._path(sha256), "rb", block_size=16 * CHUNK_BYTES, cache_type="readahead"
                ) as file:
                    while chunk := file.read(CHUNK_BYTES):
                        yield chunk
            except FileNotFoundError:
                raise ObjectMissingError(
                    f"the artifact store {self.address} has no object {sha256}"
                ) from None

    def listed(self, prefix: str) -> list[Content]:
        with self._faults():
            try:
                infos = self._fs.find(f"{self._root}/{OBJECTS}/{prefix}", detail=True)
            except FileNotFoundError:
                return []
            return [
                Content(posixpath.basename(name), int(info["size"]))
                for name, info in infos.items()
                if len(posixpath.basename(name)) == 64
            ]

    def written_at(self, sha256: str) -> datetime | None:
        with self._faults():
            try:
                at: datetime = self._fs.modified(self._path(sha256))
            except FileNotFoundError:
                return None
            return at if at.tzinfo is not None else at.replace(tzinfo=UTC)

    def remove(self, sha256: str) -> None:
        with self._faults():
            try:
                self._fs.rm_file(self._path(sha256))
            except FileNotFoundError:
                return

    def _path(self, sha256: str) -> str:
        return f"{self._root}/{OBJECTS}/{sha256[:2]}/{sha256}"

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Gives the errors of fsspec and its clients, which have no common class, one name."""
        try:
            yield
        except (StoreError, ContentDiffersError, StoppedError, GeneratorExit):
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise StoreError(f"the artifact store {self.address}: {reason}") from error
