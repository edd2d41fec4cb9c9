"""Checks a backup, and restores it.

In this order, so that an interrupted restore can be repeated, and never looks finished:

1. Every hash is compared, before anything is changed.
2. Files are put into place: each is whole or absent. What is there already stays.
3. The database is loaded in one transaction. Before its last line, the database is as it was; after
   it, the database has a mark, by which a restore that is interrupted later continues.
4. The schema is upgraded to this version's, and the mark removed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from alembic.script import ScriptDirectory

from app import migrate
from app.artifact_store.stores import Content
from app.backup import postgres
from app.backup.errors import BackupError
from app.backup.making import JOURNALS, LOCAL, Place
from app.backup.manifest import DUMP, FILES, Entry, Kind, Manifest, Part, entries, read_manifest
from app.backup.objects import DRAFT_SUFFIX, chunks_of, object_path, part_of
from app.backup.progress import Progress, Report
from pricetag.atomic_files import replaced

SHOWN_FAULTS = 20


@dataclass(slots=True)
class Restored:
    """A restored backup.

    Attributes:
        manifest: Its manifest.
        revision: Migration of the database now.
        moved: What was moved aside, by its new path.
    """

    manifest: Manifest
    revision: str
    moved: list[str] = field(default_factory=list)


def check(folder: Path, report: Report) -> Manifest:
    """Compares every hash of a backup.

    Raises:
        BackupError: If it is not finished, a part differs, or it is from a later version.
    """
    manifest = read_manifest(folder)
    _known(manifest.revision)
    faults = [
        fault
        for name, part in ((DUMP, manifest.database), (FILES, manifest.list))
        if (fault := _fault(folder / name, name, part))
    ]
    report(f"database: {'differs' if faults else 'whole'}")
    if not faults:
        faults = _faults_of_files(folder, manifest, report)
    if faults:
        raise BackupError(f"{folder} is damaged: nothing was restored", faults[:SHOWN_FAULTS])
    return manifest


def _faults_of_files(folder: Path, manifest: Manifest, report: Report) -> list[str]:
    progress = Progress("files", report, manifest.files.get("stored", 0))
    faults = []
    checked: set[bytes] = set()
    for entry in _stored(folder):
        key = bytes.fromhex(entry.sha256)
        if key not in checked:
            checked.add(key)
            part = Part(entry.size_bytes, entry.sha256)
            if fault := _fault(object_path(folder, entry.sha256), entry.path, part):
                faults.append(fault)
        progress.file(entry.size_bytes)
    progress.end()
    return faults


def _fault(path: Path, name: str, expected: Part) -> str | None:
    """How a file differs from what the manifest or the list states; None if it does not."""
    try:
        part = part_of(path)
    except FileNotFoundError:
        return f"{name}: {path} is missing"
    if part.size_bytes != expected.size_bytes:
        return f"{name}: has {part.size_bytes:,} bytes, not {expected.size_bytes:,}"
    return None if part.sha256 == expected.sha256 else f"{name}: its SHA-256 differs"


def _stored(folder: Path) -> Iterator[Entry]:
    return (entry for entry in entries(folder) if entry.state == "stored")


def _known(revision: str) -> None:
    """Rejects a backup whose migration this version does not have."""
    script = ScriptDirectory.from_config(migrate.alembic_config())
    if revision not in {each.revision for each in script.walk_revisions()}:
        raise BackupError(
            f"the backup is at migration {revision}; this version has migrations up to "
            f"{script.get_current_head()}: restore it with the version that made it, or a later one"
        )


def restore(folder: Path, place: Place, report: Report, *, is_replacing: bool) -> Restored:
    """Restores a backup into an empty place.

    Args:
        folder: Folder of the backup.
        place: The target.
        report: Receives lines of progress.
        is_replacing: Whether a target that is not empty is accepted. Its database is replaced;
            its files are moved aside where they differ from those of the backup.

    Raises:
        BackupError: If the backup is damaged, the target is not empty or in use, or the database
            cannot be loaded.
        OSError: If a file cannot be written.
    """
    manifest = check(folder, report)
    target = _Target(folder, place)
    mark = manifest.database.sha256
    is_loaded = not is_replacing and postgres.is_loaded(place.database_url, mark, manifest.counts)
    with postgres.guarded(
        place.database_url, migrate.ADVISORY_LOCK, may_have_tables=is_replacing or is_loaded
    ):
        moved = target.cleared(is_replacing=is_replacing)
        target.put_files(manifest, report)
        if is_loaded:
            report("database: loaded by an earlier call, which was interrupted")
        else:
            progress = Progress("database, as SQL", report)
            postgres.load(
                place.database_url,
                folder / DUMP,
                manifest.counts,
                mark=mark,
                is_replacing=is_replacing,
                sized=progress.sized,
            )
            progress.end()
    report("statistics and schema")
    postgres.analyze(place.database_url)
    migrate.upgrade(place.database_url)
    postgres.finish(place.database_url)
    head = ScriptDirectory.from_config(migrate.alembic_config()).get_current_head()
    return Restored(manifest, head or manifest.revision, moved)


class _Target:
    """The folders that a backup is restored into."""

    def __init__(self, folder: Path, place: Place) -> None:
        self._folder = folder
        self._store = place.store
        self._roots: dict[Kind, Path] = {
            "artifact": place.artifacts,
            "journal": place.data_dir / JOURNALS,
            "local": place.data_dir / LOCAL,
        }

    def cleared(self, *, is_replacing: bool) -> list[str]:
        """Moves aside what differs from the backup; returns the new paths.

        Journals belong to the runs of their database: they are moved with their folder. Artifacts
        are named by their run, and stay unless one of the backup is in their place.

        Raises:
            BackupError: If there is something, and it may not be replaced.
        """
        wanted = self._wanted()
        strange: list[Path] = []
        for kind, root in self._roots.items():
            files = [path for path in _files(root) if not _is_same(path, wanted[kind].get(path))]
            if kind == "artifact" and is_replacing:
                strange += [path for path in files if path in wanted[kind]]
            elif files and is_replacing:
                strange.append(root)
            else:
                strange += files
        if strange and not is_replacing:
            raise BackupError(
                f"the target is not empty: {strange[0]} is not in the backup. Choose another "
                "data folder (PRICETAG_DATA_DIR), or move such files aside with --replace"
            )
        return [str(_moved_aside(path)) for path in strange]

    def put_files(self, manifest: Manifest, report: Report) -> None:
        """Puts the files of the backup into place; what is there already stays."""
        progress = Progress("files put into place", report, manifest.files.get("stored", 0))
        for entry in _stored(self._folder):
            source = object_path(self._folder, entry.sha256)
            if entry.kind == "object":
                self._put_object(source, Content(entry.sha256, entry.size_bytes))
            elif not (path := self._path(entry)).exists():
                _put(source, path, entry)
            progress.file(entry.size_bytes)
        progress.end()

    def _put_object(self, source: Path, content: Content) -> None:
        """Puts an object into the artifact store, where others may be: all have their hash."""
        assert self._store is not None  # see _wanted
        if not self._store.has(content):
            with source.open("rb") as file:
                self._store.put(chunks_of(file), content)

    def _path(self, entry: Entry) -> Path:
        return self._roots[entry.kind] / entry.path

    def _wanted(self) -> dict[Kind, dict[Path, Entry]]:
        wanted: dict[Kind, dict[Path, Entry]] = {kind: {} for kind in self._roots}
        for entry in _stored(self._folder):
            if entry.kind != "object":
                wanted[entry.kind][self._path(entry)] = entry
            elif self._store is None:
                raise BackupError(
                    "the backup has objects of an artifact store, and the target has none: set "
                    "PRICETAG_ARTIFACTS_URL to a folder or bucket"
                )
        return wanted


def _files(root: Path) -> Iterator[Path]:
    """The files below a folder, without drafts."""
    for folder, _, names in os.walk(root):
        for name in names:
            if not (name.startswith(".") and name.endswith(DRAFT_SUFFIX)):
                yield Path(folder) / name


def _is_same(path: Path, entry: Entry | None) -> bool:
    if entry is None or path.stat().st_size != entry.size_bytes:
        return False
    return part_of(path).sha256 == entry.sha256


def _moved_aside(path: Path) -> Path:
    """Renames a file or folder, so that nothing is deleted."""
    aside = path.with_name(f"{path.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    try:
        return path.rename(aside)
    except OSError as error:
        raise BackupError(
            f"{path} cannot be moved aside ({error.strerror}): move it yourself"
        ) from error


def _put(source: Path, path: Path, entry: Entry) -> None:
    with replaced(path) as draft:
        with draft.open("wb") as file, source.open("rb") as content:
            for chunk in chunks_of(content):
                file.write(chunk)
        draft.chmod(entry.mode)
        with suppress(OSError):  # some file systems keep no times
            os.utime(draft, ns=(entry.mtime_ns, entry.mtime_ns))
