"""What a backup has: the manifest, and the list of its files.

A backup is a folder::

    manifest.json    written last: without it, the backup is not finished
    database.dump    the database, in the custom format of pg_dump
    files.jsonl      a line for each artifact and journal: path, size, SHA-256
    objects/         the content of these files, each once, named by its SHA-256

The manifest has the hashes of the dump, of the list and of itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from app.backup.errors import BackupError
from pricetag.accounting.document.canonical import content_sha256
from pricetag.atomic_files import write_whole

SCHEMA = "pricetag-backup/1"
MANIFEST = "manifest.json"
DUMP = "database.dump"
FILES = "files.jsonl"
OBJECTS = "objects"
OWN_HASH = "sha256"
HASH = re.compile(r"[0-9a-f]{64}")

Kind = Literal["artifact", "object", "journal", "local"]
State = Literal["stored", "missing", "damaged"]


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the backup itself.

    Attributes:
        size_bytes: Its size.
        sha256: Its hash, in hexadecimal.
    """

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An artifact, an object or a journal.

    Attributes:
        kind: ``artifact`` of the artifact folder; ``object`` of the artifact store; ``journal`` of
            an attempt of a worker; ``local``: of a local run.
        path: Path below the folder of its kind; of an object, its hash.
        size_bytes: Its size, as registered for an artifact.
        sha256: Its hash, as registered for an artifact.
        mode: Its permission bits; 0 where the backup does not have it.
        mtime_ns: When it was last written, in ns since 1970.
        state: ``stored``; ``missing``: not on this machine; ``damaged``: its content is not what
            was registered, and is not in the backup.
    """

    kind: Kind
    path: str
    size_bytes: int
    sha256: str
    mode: int = 0
    mtime_ns: int = 0
    state: State = "stored"

    @classmethod
    def read(cls, line: str) -> Entry:
        """An entry from a line of the list.

        Raises:
            BackupError: If the line is not an entry.
        """
        try:
            entry = cls(**json.loads(line))
            path = PurePosixPath(entry.path)
            if path.is_absolute() or ".." in path.parts or not HASH.fullmatch(entry.sha256):
                raise ValueError(line)
        except (ValueError, TypeError) as error:
            raise BackupError(f"{FILES} has an invalid line: {line.strip()[:200]}") from error
        return entry

    def line(self) -> str:
        """The line of the list."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":")) + "\n"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A finished backup.

    Attributes:
        created_at: Time of the database's snapshot, ISO 8601, UTC.
        pricetag: Version that made it.
        revision: Migration of the database.
        postgres: Major version of the PostgreSQL server.
        counts: Numbers of rows by table, by which a restored database is checked.
        files: Numbers of files by state.
        files_bytes: Size of the stored files.
        database: The dump.
        list: The list of files.
    """

    created_at: str
    pricetag: str
    revision: str
    postgres: int
    counts: Mapping[str, int]
    files: Mapping[str, int]
    files_bytes: int
    database: Part
    list: Part

    def write(self, folder: Path) -> str:
        """Writes the manifest, which finishes the backup; returns its hash."""
        content = {"schema": SCHEMA, **asdict(self)}
        own = content_sha256(content)
        write_whole(folder / MANIFEST, json.dumps(content | {OWN_HASH: own}, indent=2) + "\n")
        return own


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup.

    Raises:
        BackupError: If the folder is not a finished backup, or the manifest was changed.
    """
    path = folder / MANIFEST
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        own = content.pop(OWN_HASH, None)
        schema = content.pop("schema")
    except FileNotFoundError:
        raise BackupError(_not_a_backup(folder)) from None
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, AttributeError) as error:
        raise BackupError(f"{path} is not the manifest of a backup") from error
    if schema != SCHEMA:
        raise BackupError(f"{path} has the format {schema!r}; this version reads {SCHEMA!r}")
    if own != content_sha256({"schema": schema, **content}):
        raise BackupError(f"{path} was changed after it was written: its SHA-256 differs")
    try:
        parts = {name: Part(**content[name]) for name in ("database", "list")}
        return Manifest(**content | parts)
    except (TypeError, KeyError) as error:
        raise BackupError(f"{path} is not the manifest of a backup") from error


def _not_a_backup(folder: Path) -> str:
    if (folder / OBJECTS).is_dir():
        return (
            f"{folder} has no {MANIFEST}: this backup was not finished. "
            f"`pricetag backup {folder}` continues it"
        )
    return f"{folder} is not a backup: it has no {MANIFEST}"


def entries(folder: Path) -> Iterator[Entry]:
    """The list of files."""
    with (folder / FILES).open(encoding="utf-8") as lines:
        for line in lines:
            yield Entry.read(line)


def absent(folder: Path, most: int) -> list[str]:
    """A line for each artifact that was registered when a backup was made, and is not in it.

    Args:
        folder: Folder of the backup.
        most: Maximum number of lines.
    """
    lines = (f"{each.path} was {each.state}" for each in entries(folder) if each.state != "stored")
    return list(islice(lines, most))
