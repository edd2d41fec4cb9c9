"""Makes a backup of a running service.

In this order, so that the parts belong together although everybody keeps working:

1. Journals that a worker still writes are opened. An open file stays readable when its worker
   sends it to the database and removes it.
2. A snapshot of the database is taken: the dump and the list of artifacts are of this moment.
3. The journals are read: each has at least the records that the snapshot does not have yet.
4. Artifacts are copied, from their folder or the artifact store. They do not change after they
   are registered; each is compared with its registered hash.
5. The manifest is written. A backup that is killed before has none; the next call with the same
   folder continues it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import pricetag
from app.artifact_store.stores import Content, FolderStore, ObjectStore
from app.backup import postgres
from app.backup.errors import BackupError
from app.backup.manifest import (
    DUMP,
    FILES,
    MANIFEST,
    OBJECTS,
    Entry,
    Kind,
    Manifest,
    State,
    read_manifest,
)
from app.backup.objects import DRAFT_SUFFIX, chunks_of, object_path, part_of, put, whole_lines
from app.backup.progress import Progress, Report
from pricetag.atomic_files import replaced

ARTIFACTS = f".artifacts{DRAFT_SUFFIX}"
DRAFTS = f".*{DRAFT_SUFFIX}"
JOURNALS = "journal"
LOCAL = "local"
SUFFIX = ".jsonl"
"""Ends the names of journals that are not, or not wholly, in the database."""

SHOWN_FAULTS = 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service has its data.

    Attributes:
        database_url: Its database.
        artifacts: Folder of the artifacts.
        data_dir: Data folder, with the journals.
        store: Artifact store; None if it has none.
    """

    database_url: str
    artifacts: Path
    data_dir: Path
    store: ObjectStore | None = None


@dataclass(slots=True)
class Made:
    """A finished backup.

    Attributes:
        manifest: Its manifest.
        sha256: Hash of the manifest.
        faults: A line for some of the files that are not in it.
        kinds: Numbers of stored files by kind; a local run has several.
    """

    manifest: Manifest
    sha256: str
    faults: list[str] = field(default_factory=list)
    kinds: Counter[Kind] = field(default_factory=Counter)


def make(place: Place, folder: Path, report: Report) -> Made:
    """Makes a backup in a new folder, or continues one there.

    Args:
        place: What is backed up.
        folder: Folder of the backup.
        report: Receives lines of progress.

    Raises:
        BackupError: If the folder has something else, or a part cannot be backed up.
        OSError: If a file cannot be read or written.
    """
    _check_outside(folder, place)
    with _claimed(folder), ExitStack() as stack:
        journals = _open_journals(place.data_dir / JOURNALS, stack)
        with postgres.snapshot(place.database_url) as taken:
            report(f"snapshot of the database at {taken.taken_at}")
            counts = taken.counts()
            artifacts = _list_artifacts(folder / ARTIFACTS, taken)
            progress = Progress("database", report)
            with replaced(folder / DUMP) as draft:
                postgres.dump(place.database_url, taken, draft, progress.sized)
            progress.end()
        files = _Files(folder)
        with replaced(folder / FILES) as draft, draft.open("w", encoding="utf-8") as lines:
            for entry in _journals(folder, journals, report):
                lines.write(files.counted(entry))
            for entry in _local_runs(folder, place.data_dir / LOCAL, report):
                lines.write(files.counted(entry))
            for entry in _artifacts(folder, place, artifacts, report):
                lines.write(files.counted(entry))
        (folder / ARTIFACTS).unlink()
        manifest = Manifest(
            created_at=taken.taken_at,
            pricetag=pricetag.__version__,
            revision=taken.revision,
            postgres=taken.postgres,
            counts=counts,
            files={str(state): number for state, number in files.states.items()},
            files_bytes=files.size_bytes,
            database=part_of(folder / DUMP),
            list=part_of(folder / FILES),
        )
        return Made(manifest, manifest.write(folder), files.faults, files.kinds)


@dataclass(slots=True)
class _Files:
    folder: Path
    states: Counter[State] = field(default_factory=Counter)
    size_bytes: int = 0
    faults: list[str] = field(default_factory=list)
    kinds: Counter[Kind] = field(default_factory=Counter)

    def counted(self, entry: Entry) -> str:
        """Counts an entry; returns its line of the list."""
        self.states[entry.state] += 1
        if entry.state == "stored":
            self.size_bytes += entry.size_bytes
            self.kinds[entry.kind] += 1
        elif len(self.faults) < SHOWN_FAULTS:
            self.faults.append(f"{entry.path} is {entry.state}")
        return entry.line()


def _check_outside(folder: Path, place: Place) -> None:
    """Rejects a folder that would be lost together with what it backs up.

    Raises:
        BackupError: If it is the data folder, that of the artifacts or the artifact store, or
            inside one of them.
    """
    roots = [("data folder", place.data_dir), ("folder of artifacts", place.artifacts)]
    if isinstance(place.store, FolderStore):
        roots.append(("artifact store", place.store.root))
    for name, root in roots:
        if folder.resolve().is_relative_to(root.expanduser().resolve()):
            raise BackupError(
                f"{folder} is in the {name} {root}, and would be lost with it: choose a folder "
                "elsewhere, best on another disk"
            )


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """The folder of one backup alone, without drafts of an earlier call.

    A folder that was made for a backup that could not begin is removed.
    """
    if folder.exists() and not folder.is_dir():
        raise BackupError(f"{folder} is a file, not a folder: choose a new folder")
    is_new = not folder.exists()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    present = {path.name for path in folder.iterdir() if not path.name.endswith(DRAFT_SUFFIX)}
    if present - {MANIFEST, DUMP, FILES, OBJECTS}:
        raise BackupError(f"{folder} is not empty: choose a new folder")
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if MANIFEST in present:
            made = read_manifest(folder)
            raise BackupError(
                f"{folder} is a finished backup of {made.created_at}: choose another folder"
            )
        (folder / OBJECTS).mkdir(exist_ok=True)
        for draft in (*folder.glob(DRAFTS), *(folder / OBJECTS).glob(DRAFTS)):
            draft.unlink()
        yield
        os.fsync(handle)
    except BackupError:
        if is_new:
            _remove_empty(folder)
        raise
    except BlockingIOError:
        raise BackupError(f"another process is making a backup in {folder}") from None
    finally:
        os.close(handle)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # it has something
        (folder / OBJECTS).rmdir()
        folder.rmdir()


def _open_journals(folder: Path, stack: ExitStack) -> list[tuple[str, BinaryIO]]:
    """The journals of attempts that are not, or not wholly, in the database.

    Those that were sent in whole are left: the database has every record.
    """
    opened: list[tuple[str, BinaryIO]] = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            opened.append((path.name, stack.enter_context(path.open("rb"))))
        except FileNotFoundError:  # sent at this moment, before the snapshot
            continue
    return opened


def _list_artifacts(path: Path, taken: postgres.Snapshot) -> int:
    """Writes a line for each registered artifact; returns their number."""
    number = 0
    with path.open("w", encoding="utf-8") as lines:
        for artifact in taken.artifacts():
            lines.write(json.dumps(artifact) + "\n")
            number += 1
    return number


def _journals(
    folder: Path, journals: list[tuple[str, BinaryIO]], report: Report
) -> Iterator[Entry]:
    progress = Progress("journals", report, len(journals))
    for name, file in journals:
        yield _stored(folder, "journal", name, file)
        progress.file(os.fstat(file.fileno()).st_size)
    progress.end()


def _local_runs(folder: Path, local: Path, report: Report) -> Iterator[Entry]:
    paths = sorted(local.iterdir()) if local.is_dir() else []
    runs = [path for path in paths if path.is_dir()]
    progress = Progress("local runs", report, len(runs), "runs")
    for run in runs:
        size_bytes = 0
        # The result first: where there is one, the journal has its end.
        for path in sorted(run.iterdir(), key=lambda each: (each.suffix != ".json", each.name)):
            if path.name.startswith(".") or not path.is_file():
                continue
            try:
                with path.open("rb") as file:
                    entry = _stored(folder, "local", f"{run.name}/{path.name}", file)
            except FileNotFoundError:  # a note that is removed when its run is settled
                continue
            size_bytes += entry.size_bytes
            yield entry
        progress.file(size_bytes)
    progress.end()


def _stored(folder: Path, kind: Kind, path: str, file: BinaryIO) -> Entry:
    status = os.fstat(file.fileno())
    is_journal = path.endswith(SUFFIX)
    part = put(folder, whole_lines(file) if is_journal else chunks_of(file))
    mode = status.st_mode & 0o777
    return Entry(kind, path, part.size_bytes, part.sha256, mode, status.st_mtime_ns)


def _artifacts(folder: Path, place: Place, number: int, report: Report) -> Iterator[Entry]:
    progress = Progress("artifacts", report, number)
    objects: set[bytes] = set()
    with (folder / ARTIFACTS).open(encoding="utf-8") as lines:
        for line in lines:
            path, size_bytes, sha256, is_stored = json.loads(line)
            progress.file(size_bytes)
            if not is_stored:
                entry = Entry("artifact", path, size_bytes, sha256)
                yield _artifact(folder, place, entry)
            elif (key := bytes.fromhex(sha256)) not in objects:
                objects.add(key)
                yield _object(folder, place.store, Entry("object", sha256, size_bytes, sha256))
    progress.end()


def _artifact(folder: Path, place: Place, registered: Entry) -> Entry:
    """Stores the content of an artifact, unless an earlier artifact or call has."""
    try:
        with (place.artifacts / registered.path).open("rb") as file:
            status = os.fstat(file.fileno())
            if not object_path(folder, registered.sha256).exists():
                part = put(folder, chunks_of(file), registered.sha256)
                if part.sha256 != registered.sha256:
                    return replace(registered, state="damaged")
    except (FileNotFoundError, NotADirectoryError):
        # A worker may have moved it to the store since the snapshot; there is its content.
        return _object(folder, place.store, registered)
    return replace(registered, mode=status.st_mode & 0o777, mtime_ns=status.st_mtime_ns)


def _object(folder: Path, store: ObjectStore | None, registered: Entry) -> Entry:
    """Stores the content of an object of the artifact store, unless an earlier call has.

    Raises:
        StoreError: If the store cannot be reached.
    """
    if store is None or not store.has(Content(registered.sha256, registered.size_bytes)):
        return replace(registered, state="missing")
    if not object_path(folder, registered.sha256).exists():
        part = put(folder, store.chunks(registered.sha256), registered.sha256)
        if part.sha256 != registered.sha256:
            return replace(registered, state="damaged")
    return replace(registered, mode=0o644)
