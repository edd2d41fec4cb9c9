"""Addresses of artifact stores: a folder, or a bucket of an S3-compatible store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.artifact_store.remote import BucketStore
from app.artifact_store.stores import FolderStore, ObjectStore, StoreError

BUCKET_SCHEME = "s3"

FORMS = "must be a folder (/shared/pricetag, file:///shared/pricetag) or s3://BUCKET/PREFIX"


def folder_of(address: str) -> Path | None:
    """The folder of an address; None for a bucket.

    Raises:
        ValueError: If the address has neither form.
    """
    parts = urlsplit(address)
    if not parts.scheme and address.startswith(("/", "~")):
        return Path(address).expanduser()
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return Path(unquote(parts.path))
    if parts.scheme == BUCKET_SCHEME and parts.netloc and "@" not in parts.netloc:
        if parts.query or parts.fragment:
            raise ValueError(FORMS)
        return None
    raise ValueError(FORMS)


def open_store(address: str) -> ObjectStore:
    """The store at an address; the store itself is not contacted yet.

    Raises:
        StoreError: If a package is missing.
        ValueError: If the address has another form.
    """
    folder = folder_of(address)
    if folder is not None:
        return FolderStore(folder)
    try:
        import fsspec
        import s3fs  # noqa: F401 - fsspec would report its absence only in part
    except ImportError as error:
        raise StoreError(
            f"the artifact store {address} needs s3fs: pip install 'pricetag[s3]'"
        ) from error
    file_system = fsspec.filesystem(
        BUCKET_SCHEME, use_listings_cache=False, skip_instance_cache=True
    )
    parts = urlsplit(address)
    return BucketStore(address, file_system, f"{parts.netloc}{parts.path}")
