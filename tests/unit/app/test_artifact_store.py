"""Objects are whole or absent, and a copy on this machine is what was registered."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from app.artifact_store.address import folder_of, open_store
from app.artifact_store.cache import Cache
from app.artifact_store.remote import BucketStore
from app.artifact_store.stores import (
    Content,
    ContentDiffersError,
    FolderStore,
    ObjectMissingError,
    ObjectStore,
    StoppedError,
    StoreError,
    checked,
)

WEIGHTS = b"weights" * 1000


def content_of(data: bytes) -> Content:
    return Content(hashlib.sha256(data).hexdigest(), len(data))


def folder_store(tmp_path: Path) -> ObjectStore:
    (tmp_path / "store").mkdir(exist_ok=True)
    return FolderStore(tmp_path / "store")


def bucket_store(tmp_path: Path) -> ObjectStore:
    """A bucket as fsspec keeps it in memory; unlike S3, it lists an object that is not whole."""
    return BucketStore("s3://lab/x", fsspec.filesystem("memory"), f"/{uuid.uuid4()}/pricetag")


STORES = pytest.mark.parametrize("make", [folder_store, bucket_store])
Make = Callable[[Path], ObjectStore]


@STORES
def test_a_content_is_stored_under_its_hash(make: Make, tmp_path: Path) -> None:
    store, content = make(tmp_path), content_of(WEIGHTS)
    prefix = content.sha256[:2]
    assert not store.has(content)
    assert (store.listed(prefix), store.written_at(content.sha256)) == ([], None)
    with pytest.raises(ObjectMissingError):
        list(store.chunks(content.sha256))
    for _ in range(2):
        store.put([WEIGHTS[:100], WEIGHTS[100:]], content)
    assert store.has(content)
    assert not store.has(Content(content.sha256, 1))
    assert store.listed(prefix) == [content]
    assert store.written_at(content.sha256) is not None
    assert b"".join(checked(store.chunks(content.sha256), content)) == WEIGHTS
    for _ in range(2):
        store.remove(content.sha256)
    assert not store.has(content)


@STORES
def test_another_content_and_a_stopped_one_are_not_stored(make: Make, tmp_path: Path) -> None:
    store, content = make(tmp_path), content_of(WEIGHTS)
    with pytest.raises(ContentDiffersError):
        store.put([WEIGHTS, b"more"], content)

    def stopped() -> Iterator[bytes]:
        yield WEIGHTS[:100]
        raise StoppedError

    with pytest.raises(StoppedError):
        store.put(stopped(), content)
    assert not store.has(content)


KILLED = """
import sys, time
from pathlib import Path
from app.artifact_store.stores import Content, FolderStore
def chunks():
    yield b"weights" * 500
    print("half", flush=True)
    time.sleep(3600)
FolderStore(Path(sys.argv[1])).put(chunks(), Content(sys.argv[2], int(sys.argv[3])))
"""


def test_a_killed_upload_leaves_a_draft_and_no_object(tmp_path: Path) -> None:
    store, content = folder_store(tmp_path), content_of(WEIGHTS)
    arguments = [str(tmp_path / "store"), content.sha256, str(content.size_bytes)]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not store.has(content)
    assert store.listed(content.sha256[:2]) == []
    store.put([WEIGHTS], content)
    assert store.has(content)
    assert store.clear_drafts(older_than_s=3600.0) == 0
    assert store.clear_drafts(older_than_s=-1.0) == 1


def test_a_folder_that_is_not_mounted_is_an_error(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "absent")
    for use in (
        lambda: store.has(content_of(WEIGHTS)),
        lambda: store.put([WEIGHTS], content_of(WEIGHTS)),
        lambda: store.listed("00"),
    ):
        with pytest.raises(StoreError, match="not a folder"):
            use()
    assert not (tmp_path / "absent").exists()


class Counting(FolderStore):
    """Counts reads."""

    reads = 0

    def chunks(self, sha256: str) -> Iterator[bytes]:
        self.reads += 1
        return super().chunks(sha256)


def test_an_object_that_several_need_is_fetched_once(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    store, content = Counting(tmp_path / "store"), content_of(WEIGHTS)
    store.put([WEIGHTS], content)

    def place(number: int) -> bool:
        cache = Cache(tmp_path / "cache", 10**9)
        return cache.place(store, content, tmp_path / "work" / str(number) / "model")

    with ThreadPoolExecutor(8) as threads:
        fetched = list(threads.map(place, range(8)))
    assert (store.reads, sum(fetched)) == (1, 1)
    copies = [path.read_bytes() for path in (tmp_path / "work").glob("*/model")]
    assert copies == [WEIGHTS] * 8


def test_a_damaged_copy_is_fetched_again_and_a_damaged_object_is_an_error(tmp_path: Path) -> None:
    store, content = folder_store(tmp_path), content_of(WEIGHTS)
    cache = Cache(tmp_path / "cache", 10**9)
    store.put([WEIGHTS], content)
    copy = cache.get(store, content)
    copy.write_bytes(b"x" * len(WEIGHTS))
    assert cache.get(store, content).read_bytes() == WEIGHTS
    object_ = store.local_path(content.sha256)
    assert object_ is not None
    object_.chmod(0o600)
    object_.write_bytes(b"x" * len(WEIGHTS))
    copy.unlink()
    with pytest.raises(ContentDiffersError):
        cache.get(store, content)
    assert not copy.exists()


def test_copies_unused_for_longest_are_removed_and_what_was_placed_stays(tmp_path: Path) -> None:
    store, cache = folder_store(tmp_path), Cache(tmp_path / "cache", 2 * len(WEIGHTS))
    contents = []
    for number in range(3):
        data = bytes([number]) * len(WEIGHTS)
        store.put([data], content_of(data))
        contents.append(content_of(data))
        cache.place(store, contents[-1], tmp_path / "work" / str(number))
        os.utime(tmp_path / "cache" / contents[-1].sha256[:2] / contents[-1].sha256, (number,) * 2)
    kept = {path.name for path in (tmp_path / "cache").glob("??/*")}
    assert kept == {content.sha256 for content in contents[1:]}
    assert (tmp_path / "work/0").stat().st_size == len(WEIGHTS)


def test_addresses_are_folders_or_buckets() -> None:
    assert folder_of("/shared/pricetag") == Path("/shared/pricetag")
    assert folder_of("file:///shared/a%20b") == Path("/shared/a b")
    assert folder_of("s3://lab/pricetag") is None
    for wrong in ("shared", "ftp://lab/x", "s3://", "s3://key:secret@lab", "file://host/x", ""):
        with pytest.raises(ValueError, match="must be a folder"):
            folder_of(wrong)
    assert isinstance(open_store("/shared"), FolderStore)
