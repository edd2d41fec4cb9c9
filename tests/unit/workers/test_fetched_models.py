"""A job finds the model of an earlier run where its worker put it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from app.artifact_store.cache import Cache
from app.artifact_store.stores import Content, FolderStore, StoreError
from tests.support.supervised import of, supervise
from workers.attempt import fetching
from workers.attempt.fetching import Fetcher
from workers.attempt.launch import Launch
from workers.attempt.processes import ChildProcess
from workers.job import published
from workers.job.request import Job

WEIGHTS = b"weights"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
UPSTREAM = {
    "run_id": "1",
    "stage": "train",
    "folder": "1/1/stage-00-train",
    "files": {"model.safetensors": SHA256},
}
RECIPE: dict[str, Any] = {"stages": [{"kind": "measure"}]}


class Recording:
    """Keeps the job instead of starting it."""

    job: Job | None = None

    async def start(self, launch: Launch) -> ChildProcess:
        self.job = Job.from_dict(json.loads(Path(launch.argv[-1]).read_text()) | {"hashes": None})
        raise RuntimeError("not started")


async def stored_sizes(hashes: Sequence[str]) -> dict[str, int]:
    return {sha256: len(WEIGHTS) for sha256 in hashes}


def fetcher_of(tmp_path: Path, store: FolderStore) -> Fetcher:
    return Fetcher(tmp_path / "artifacts", store, Cache(tmp_path / "cache", 10**9), stored_sizes)


async def test_a_job_starts_with_the_model_that_its_worker_fetched(tmp_path: Path) -> None:
    store, starter = FolderStore(tmp_path / "store"), Recording()
    store.root.mkdir()
    store.put([WEIGHTS], Content(SHA256, len(WEIGHTS)))
    records, work_dir = await supervise(
        tmp_path, RECIPE, starter, upstream=UPSTREAM, fetcher=fetcher_of(tmp_path, store)
    )
    assert starter.job is not None
    folder = published.find(starter.job)
    assert folder == (work_dir / "upstream").resolve()
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    lines = [record["text"] for record in of(records, "log")]
    assert any("7 bytes from the artifact store" in line for line in lines)


class Away(FolderStore):
    """A store that cannot be reached at first.

    Args:
        root: Its folder.
        failures: Number of reads that fail.
    """

    def __init__(self, root: Path, failures: int) -> None:
        super().__init__(root)
        self.failures = failures

    def chunks(self, sha256: str) -> Any:
        self.failures -= 1
        if self.failures >= 0:
            raise StoreError("the artifact store is away")
        return super().chunks(sha256)


@pytest.mark.parametrize(
    ("failures", "code"), [(1, "supervisor-failed"), (9, "artifact-store-unreachable")]
)
async def test_a_store_that_is_away_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, code: str
) -> None:
    monkeypatch.setattr(fetching, "PAUSES_S", (0.0, 0.0))
    store, starter = Away(tmp_path / "store", failures), Recording()
    store.root.mkdir()
    store.put([WEIGHTS], Content(SHA256, len(WEIGHTS)))
    records, _ = await supervise(
        tmp_path, RECIPE, starter, upstream=UPSTREAM, fetcher=fetcher_of(tmp_path, store)
    )
    (end,) = of(records, "end")
    assert (end["status"], end["reason"]["code"]) == ("interrupted", code)
    assert (starter.job is None) == (code == "artifact-store-unreachable")


async def test_a_damaged_object_ends_the_run(tmp_path: Path) -> None:
    store, starter = FolderStore(tmp_path / "store"), Recording()
    store.root.mkdir()
    store.put([WEIGHTS], Content(SHA256, len(WEIGHTS)))
    path = store.local_path(SHA256)
    assert path is not None
    path.chmod(0o600)
    path.write_bytes(b"other")
    records, _ = await supervise(
        tmp_path, RECIPE, starter, upstream=UPSTREAM, fetcher=fetcher_of(tmp_path, store)
    )
    (end,) = of(records, "end")
    assert (end["status"], end["reason"]["code"]) == ("failed", "artifact-changed")
    assert starter.job is None
