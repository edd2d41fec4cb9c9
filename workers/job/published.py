"""Finds a model that an earlier run published, and checks its hashes.

It is in the artifact folder, or where the worker put it (``fetched``) from the artifact store.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workers.job.request import Job, JobError
from workers.job.socket_reporter import sha256_of

FIELD = "recipe.model.run"


def find(job: Job) -> Path:
    """Folder of the model that the server selected when the run was posted.

    Raises:
        JobError: ``missing-artifact`` if a file is not on this machine, ``artifact-changed`` if
            a file differs from the one that was published.
    """
    if job.upstream is None:
        raise JobError("missing-artifact", "the server named no published model", FIELD)
    root = job.artifacts_dir.parent.parent
    folder = (root / str(job.upstream["folder"])).resolve()
    if (fetched := job.upstream.get("fetched")) is not None:
        root, folder = job.work_dir, Path(str(fetched)).resolve()
    if not folder.is_relative_to(root.resolve()):
        raise JobError("missing-artifact", "the published model is outside the artifacts", FIELD)
    files: Mapping[str, Any] = job.upstream["files"]
    for name, sha256 in files.items():
        _check(folder / name, str(sha256), job.upstream)
    return folder


def _check(file: Path, sha256: str, upstream: Mapping[str, Any]) -> None:
    of_run = f"'{file.name}' of stage '{upstream['stage']}' of run {upstream['run_id']}"
    if not file.is_file():
        raise JobError(
            "missing-artifact",
            f"{of_run} is not on this worker's machine: it was removed, or the run took place on "
            "another machine; share the artifact folder between them, use an artifact store "
            "(PRICETAG_ARTIFACTS_URL), or run the stages again",
            FIELD,
        )
    actual_sha256 = sha256_of(file)
    if actual_sha256 != sha256:
        raise JobError(
            "artifact-changed",
            f"{of_run} is not the file that the run published: its SHA-256 is "
            f"{actual_sha256}, not {sha256}",
            FIELD,
        )
