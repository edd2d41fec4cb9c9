"""``pricetag backup`` and ``restore``: the service's data as one folder of hashed files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from app.artifact_store.stores import StoreError
from app.backup.errors import BackupError
from app.backup.making import Made, Place, make
from app.backup.manifest import Kind, Manifest, absent
from app.cli.support import DATABASE_FAULTS, Json, fail, read_settings, show
from app.db import resolve_database_url
from app.embedded_postgres import has_cluster, release
from pricetag.cli.console import complain
from pricetag.tag.figures import counted, with_unit

SHOWN_COUNTS = {"runs": "run", "attempts": "attempt", "price_tags": "price tag"}
KINDS: dict[Kind, str] = {
    "artifact": "artifacts",
    "object": "objects of the artifact store",
    "journal": "journals of workers",
    "local": "files of local runs",
}
SHOWN_ABSENT = 20
"""Maximum number of artifacts that are listed because a backup does not have them."""


def backup(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="New folder of the backup, or that of an unfinished one to continue.",
        ),
    ],
    json: Json = False,
) -> None:
    """Back up the service: its database, artifacts and journals, in a new folder.

    Server and workers may keep running: the database is that of one moment, and everything else
    belongs to it. Interrupted, the command continues with the same folder; only a finished backup
    has a manifest. Exit code 1 also if an artifact is missing or differs from its registered hash:
    the backup is finished then, without it.
    """
    again = f"run `pricetag backup {folder}` again to continue it"
    with _plain_errors(again), _place(must_exist=True) as place:
        made = make(place, folder.absolute(), _reporter(json=json))
    manifest = made.manifest
    show(
        json,
        {
            "folder": str(folder),
            "sha256": made.sha256,
            **asdict(manifest),
            "stored_by_kind": {kind: made.kinds[kind] for kind in KINDS},
        },
        f"Backed up {_counts(manifest)} in {folder}: {_sizes(made)}.\n"
        f"SHA-256 of the manifest: {made.sha256}",
    )
    if made.faults:
        missing, damaged = (manifest.files.get(state, 0) for state in ("missing", "damaged"))
        complain(
            f"artifacts not in the backup: {missing} missing here, {damaged} damaged", made.faults
        )
        raise typer.Exit(1)


def restore_command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a finished backup.")],
    only_check: Annotated[
        bool, typer.Option("--check", help="Compare all hashes, and restore nothing.")
    ] = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Replace the database of the target, and move files aside that differ.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Restore a backup into the data folder and database of the settings.

    All hashes are compared first. The target must be empty and not in use. A database of an
    earlier version is upgraded. Interrupted, run the command again.
    """
    from app.backup.restoring import check, restore

    report = _reporter(json=json)
    with _plain_errors("run the command again"):
        if only_check:
            manifest = check(folder, report)
            state = "as it was made, but not complete" if _absences(manifest) else "whole"
            text = f"The backup of {manifest.created_at} is {state}: {_counts(manifest)}."
            show(json, {"folder": str(folder), **asdict(manifest)}, text)
            _say_absent(folder, manifest)
            return
        with _place() as place:
            restored = restore(folder, place, report, is_replacing=replace)
    upgraded = ""
    if restored.revision != restored.manifest.revision:
        upgraded = (
            f" The database was upgraded from migration {restored.manifest.revision} "
            f"to {restored.revision}."
        )
    moved = "".join(f"\nmoved aside: {path}" for path in restored.moved)
    show(
        json,
        {
            "folder": str(folder),
            **asdict(restored.manifest),
            "restored_revision": restored.revision,
            "moved": restored.moved,
        },
        f"Restored {_counts(restored.manifest)} of {restored.manifest.created_at}.{upgraded}"
        f"{moved}",
    )
    _say_absent(folder, restored.manifest)


def _reporter(*, json: bool) -> Callable[[str], None]:
    def report(line: str) -> None:
        if not json:
            typer.echo(line)

    return report


@contextmanager
def _place(*, must_exist: bool = False) -> Iterator[Place]:
    """The database and folders of the settings; the embedded database runs in the block.

    Args:
        must_exist: Whether an embedded database that is not there is an error; it is created
            otherwise.

    Raises:
        BackupError: If it must be there and is not.
    """
    settings = read_settings()
    if must_exist and settings.database_url is None and not has_cluster(settings.data_dir):
        raise BackupError(
            f"the data folder {settings.data_dir} has no database, so there is nothing to back up: "
            "is PRICETAG_DATA_DIR that of the server?"
        )
    try:
        url = resolve_database_url(settings)
        yield Place(url, settings.artifacts_root, settings.data_dir, settings.artifact_store())
    finally:
        release(settings.data_dir)


@contextmanager
def _plain_errors(remedy: str) -> Iterator[None]:
    try:
        yield
    except BackupError as error:
        complain(str(error), error.details)
        raise typer.Exit(1) from error
    except StoreError as error:
        raise fail(f"{error}. When this is solved, {remedy}") from error
    except KeyboardInterrupt:
        raise fail(f"interrupted: {remedy}") from None
    except DATABASE_FAULTS as error:
        raise fail(f"the database cannot be reached: {error}") from error
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise fail(f"{place}{error.strerror}. When this is solved, {remedy}") from error


def _counts(manifest: Manifest) -> str:
    counts = [counted(manifest.counts.get(table, 0), noun) for table, noun in SHOWN_COUNTS.items()]
    return f"{', '.join(counts[:-1])} and {counts[-1]}"


def _sizes(made: Made) -> str:
    def size(size_bytes: Any) -> str:
        return with_unit(float(size_bytes), "bytes")

    manifest = made.manifest
    files = counted(manifest.files.get("stored", 0), "file")
    kinds = ", ".join(
        f"{noun}: {made.kinds[kind]:,}"
        for kind, noun in KINDS.items()
        if kind != "object" or made.kinds[kind]
    )
    return (
        f"database {size(manifest.database.size_bytes)}, {files} "
        f"{size(manifest.files_bytes)} ({kinds})"
    )


def _absences(manifest: Manifest) -> int:
    """Number of registered artifacts that a backup does not have."""
    return sum(manifest.files.get(state, 0) for state in ("missing", "damaged"))


def _say_absent(folder: Path, manifest: Manifest) -> None:
    """Names on stderr what was not on the machine when the backup was made."""
    if not _absences(manifest):
        return
    missing, damaged = (manifest.files.get(state, 0) for state in ("missing", "damaged"))
    complain(
        f"artifacts not in this backup: {missing} missing when it was made, {damaged} damaged",
        absent(folder, SHOWN_ABSENT),
    )
