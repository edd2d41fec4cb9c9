"""Backups are of one moment, survive being killed, and are restored whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from app.artifact_store.stores import Content, FolderStore, checked
from app.backup import postgres
from app.backup.errors import BackupError
from app.backup.making import SUFFIX, Place, make
from app.backup.manifest import DUMP, FILES, MANIFEST, Entry, read_manifest
from app.backup.objects import object_path
from app.backup.restoring import check, restore
from app.cli import commands
from app.db import Database, libpq_url
from app.services.health.readiness import head_revision
from app.settings import Settings, get_settings
from models import Artifact, Attempt, Run
from pricetag.metering.journal import SUFFIX as JOURNAL_SUFFIX
from pricetag.metering.journal_mark import MARKED_MODE
from tests.support.api import finished_run, serving
from tests.support.patience import PATIENCE_S
from tests.support.revisions import downgrade

CONTENT = b"weights" * 1000
LINES = [b'{"seq":0}\n', b'{"seq":1}\n', b'{"seq":2}\n']
JOURNAL = f"5d7a0000-0000-4000-8000-000000000001{SUFFIX}"
FILES_BY_STATE = {"stored": 5, "missing": 3, "damaged": 1}
"""Finished runs register a model each, which is not on the disk here."""
LOCAL = "0c1d0000-0000-4000-8000-000000000002"


def quiet(line: str) -> None:
    """Nobody reads the progress."""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def artifacts(attempt_id: UUID) -> list[tuple[Artifact, bytes | None]]:
    """Registered artifacts, with what is on the disk: two equal ones, a removed and a changed."""
    on_disk = {"a.bin": CONTENT, "sub/b.bin": CONTENT, "gone.bin": None, "changed.bin": b"other"}
    return [
        (
            Artifact(
                attempt_id=attempt_id,
                stage_key=None,
                name=name,
                path=f"{attempt_id}/1/{name}",
                size_bytes=len(CONTENT),
                sha256=sha256(CONTENT if name != "changed.bin" else b"this"),
            ),
            content,
        )
        for name, content in on_disk.items()
    ]


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


async def filled(url: str, folder: Path) -> Place:
    """A service with two finished runs, artifacts, a journal that is written, a local run."""
    database = Database(url)
    place = Place(url, folder / "artifacts", folder / "data")
    try:
        async with database.session_scope() as session:
            for _ in range(2):
                await finished_run(session)
            attempt_id = (await session.execute(select(Attempt.id).limit(1))).scalar_one()
            for artifact, content in artifacts(attempt_id):
                session.add(artifact)
                if content is not None:
                    write(place.artifacts / artifact.path, content)
    finally:
        await database.dispose()
    journal = write(place.data_dir / "journal" / JOURNAL, b"".join(LINES[:2]))
    journal.chmod(MARKED_MODE)
    write(place.data_dir / "journal" / f"sent{SUFFIX}.shipped", LINES[0])
    write(place.data_dir / "journal" / "5d7a.child.json", b"{}")
    write(place.data_dir / "local" / LOCAL / f"x{SUFFIX}", LINES[0])
    write(place.data_dir / "local" / LOCAL / "run.json", b"{}")
    return place


def one_value(url: str, query: str) -> Any:
    with psycopg.connect(libpq_url(url)) as connection:
        (value,) = connection.execute(query.encode()).fetchone() or (None,)
        return value


def has_tables(url: str) -> bool:
    return bool(one_value(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"))


async def outcomes(place: Place) -> list[str]:
    """What the server on a database says about each price tag, as `pricetag verify` prints it."""
    database = Database(place.database_url)
    settings = Settings(database_url=place.database_url, data_dir=place.data_dir)
    try:
        async with serving(database, settings) as api:
            async with database.session_scope() as session:
                ids = (await session.execute(select(Run.id))).scalars().all()
            answers = [
                await api.viewer.get(f"/v1/runs/{run_id}/price-tag/verification") for run_id in ids
            ]
            return [answer.json()["outcome"] for answer in answers]
    finally:
        await database.dispose()


def writing_after_the_snapshot(place: Place) -> Callable[[str], None]:
    """The service continues: runs are renamed, a journal grows, is sent, and removed."""

    def report(line: str) -> None:
        if not line.startswith("snapshot"):
            return
        with psycopg.connect(libpq_url(place.database_url)) as connection:
            connection.execute("UPDATE runs SET name = 'later'")
        journal = place.data_dir / "journal" / JOURNAL
        with journal.open("ab") as file:
            file.write(LINES[2] + b'{"se')
        journal.rename(journal.with_name(f"{JOURNAL}.shipped")).unlink()

    return report


async def test_objects_of_the_artifact_store_are_backed_up_once_and_restored(
    migrated_database_url: str, fresh_database_url: str, tmp_path: Path
) -> None:
    source = await filled(migrated_database_url, tmp_path / "source")
    stores = [FolderStore(tmp_path / name) for name in ("store", "target-store")]
    for store in stores:
        store.root.mkdir()
    content = Content(sha256(CONTENT), len(CONTENT))
    stores[0].put([CONTENT], content)
    moved = "UPDATE artifacts SET stored_at = now() WHERE name IN ('a.bin', 'sub/b.bin')"
    with psycopg.connect(libpq_url(source.database_url)) as connection:
        connection.execute(moved)
        # Moved after the snapshot: its row says that it is in the folder.
        connection.execute("UPDATE artifacts SET path = 'moved' WHERE name = 'gone.bin'")
        connection.execute("UPDATE artifacts SET removed_at = now() WHERE name = 'changed.bin'")
    source = replace(source, store=stores[0])
    folder = tmp_path / "backup"
    made = await asyncio.to_thread(make, source, folder, quiet)
    kinds = {"object": 1, "artifact": 1, "journal": 1, "local": 2}
    assert (made.kinds, made.manifest.files) == (kinds, {"stored": 5, "missing": 2})
    target = Place(fresh_database_url, tmp_path / "t" / "artifacts", tmp_path / "t" / "data")
    with pytest.raises(BackupError, match="PRICETAG_ARTIFACTS_URL"):
        await asyncio.to_thread(restore, folder, target, quiet, is_replacing=False)
    assert not has_tables(fresh_database_url)
    target = replace(target, store=stores[1])
    await asyncio.to_thread(restore, folder, target, quiet, is_replacing=False)
    assert b"".join(checked(stores[1].chunks(content.sha256), content)) == CONTENT
    assert (target.artifacts / "moved").read_bytes() == CONTENT
    assert one_value(fresh_database_url, "SELECT count(stored_at) FROM artifacts") == 2


async def test_a_backup_of_a_running_service_is_restored_and_verifies(
    migrated_database_url: str, fresh_database_url: str, tmp_path: Path
) -> None:
    source = await filled(migrated_database_url, tmp_path / "source")
    folder = tmp_path / "backup"
    made = await asyncio.to_thread(make, source, folder, writing_after_the_snapshot(source))
    assert made.manifest.files == FILES_BY_STATE
    assert sorted(fault.partition("/1/")[2] for fault in made.faults) == [
        "changed.bin is damaged",
        "gone.bin is missing",
        *2 * ["model.safetensors is missing"],
    ]
    assert len(list((folder / "objects").glob("*/*"))) == 4  # equal artifacts are stored once
    assert folder.stat().st_mode & 0o077 == 0
    target = Place(fresh_database_url, tmp_path / "new" / "artifacts", tmp_path / "new")
    restored = await asyncio.to_thread(restore, folder, target, quiet, is_replacing=False)
    assert (restored.revision, restored.moved) == (head_revision(), [])
    assert await outcomes(target) == ["verified", "verified"]
    assert one_value(target.database_url, "SELECT count(*) FROM runs WHERE name = 'later'") == 0
    check_files(source, target)
    await check_targets_that_are_not_empty(folder, target)


def check_files(source: Place, target: Place) -> None:
    journal = target.data_dir / "journal" / JOURNAL
    assert journal.read_bytes() == b"".join(LINES)  # with the record after the snapshot
    assert journal.stat().st_mode & 0o777 == MARKED_MODE
    assert [path.name for path in journal.parent.iterdir()] == [JOURNAL]
    for place in (source.data_dir / "local", source.artifacts):
        root = target.data_dir / "local" if place.name == "local" else target.artifacts
        for path in (each for each in place.rglob("*") if each.is_file()):
            copy = root / path.relative_to(place)
            if path.name == "changed.bin":
                assert not copy.exists()
                continue
            assert copy.read_bytes() == path.read_bytes()
            assert copy.stat().st_mtime_ns == path.stat().st_mtime_ns
            assert copy.stat().st_mode == path.stat().st_mode


async def check_targets_that_are_not_empty(folder: Path, target: Place) -> None:
    with pytest.raises(BackupError, match=r"the target database is not empty: .*--replace"):
        restore(folder, target, quiet, is_replacing=False)
    local = target.data_dir / "local" / LOCAL / "run.json"
    local.write_text("changed")
    with (
        psycopg.connect(libpq_url(target.database_url), application_name="pricetag server"),
        pytest.raises(BackupError, match=r"is in use \(pricetag server\): stop"),
    ):
        restore(folder, target, quiet, is_replacing=True)
    assert local.read_text() == "changed"
    with psycopg.connect(libpq_url(target.database_url)) as connection:
        connection.execute("DELETE FROM price_tags")
    restored = await asyncio.to_thread(restore, folder, target, quiet, is_replacing=True)
    (moved,) = restored.moved
    assert (Path(moved) / LOCAL / "run.json").read_text() == "changed"
    assert local.read_text() == "{}"
    assert await outcomes(target) == ["verified", "verified"]


def test_names_of_journals_are_those_of_the_worker() -> None:
    assert SUFFIX == JOURNAL_SUFFIX


async def test_a_damaged_backup_is_not_restored(
    migrated_database_url: str, fresh_database_url: str, tmp_path: Path
) -> None:
    source = await filled(migrated_database_url, tmp_path / "source")
    folder = tmp_path / "backup"
    made = make(source, folder, quiet).manifest
    assert check(folder, quiet) == made
    target = Place(fresh_database_url, tmp_path / "new" / "artifacts", tmp_path / "new")
    with pytest.raises(BackupError, match="has no tables yet"):
        make(target, tmp_path / "none", quiet)
    assert not (tmp_path / "none").exists()
    content = object_path(folder, sha256(CONTENT))
    for path, message in ((folder / DUMP, DUMP), (folder / FILES, FILES), (content, ".bin: ")):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(BackupError, match="nothing was restored") as raised:
            restore(folder, target, quiet, is_replacing=False)
        assert [line.endswith("its SHA-256 differs") for line in raised.value.details] == [True]
        assert message in raised.value.details[0]
        assert not (tmp_path / "new").exists()
        assert not has_tables(fresh_database_url)
        path.write_bytes(whole)
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace('"runs": 2', '"runs": 3'))
    with pytest.raises(BackupError, match="was changed after it was written"):
        check(folder, quiet)
    (folder / MANIFEST).write_text(text)
    replace(read_manifest(folder), revision="9999").write(folder)
    with pytest.raises(BackupError, match=f"at migration 9999; .* up to {head_revision()}"):
        check(folder, quiet)
    # Whole, but without a row that was counted: what was loaded is undone.
    replace(made, counts={**made.counts, "runs": 3}).write(folder)
    with pytest.raises(BackupError, match="table runs does not have the 3 rows of the backup"):
        restore(folder, target, quiet, is_replacing=False)
    assert not has_tables(fresh_database_url)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x"])
def test_a_path_out_of_its_folder_is_rejected(path: str) -> None:
    with pytest.raises(BackupError, match="has an invalid line"):
        Entry.read(replace(Entry("artifact", "a", 1, "0" * 64), path=path).line())


def interrupted(url: str) -> None:
    raise KeyboardInterrupt


def test_a_backup_of_an_earlier_version_is_upgraded(
    migrated_database_url: str,
    fresh_database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = asyncio.run(filled(migrated_database_url, tmp_path / "source"))
    downgrade(migrated_database_url, "-1")
    folder = tmp_path / "backup"
    assert make(source, folder, quiet).manifest.revision < head_revision()
    target = Place(fresh_database_url, tmp_path / "new" / "artifacts", tmp_path / "new")
    with monkeypatch.context() as patched:
        patched.setattr(postgres, "analyze", interrupted)
        with pytest.raises(KeyboardInterrupt):
            restore(folder, target, quiet, is_replacing=False)
    lines: list[str] = []  # the same call continues
    restored = restore(folder, target, lines.append, is_replacing=False)
    assert restored.revision == head_revision()
    assert "database: loaded by an earlier call, which was interrupted" in lines
    with pytest.raises(BackupError, match="the target database is not empty"):
        restore(folder, target, quiet, is_replacing=False)
    assert asyncio.run(outcomes(target)) == ["verified", "verified"]


# Each child continues, and kills itself when it puts a file into place, a later one each time; the
# first child of a restore does so when the database is loaded, but not yet committed.
KILLED = """
import os, signal, sys, time
from pathlib import Path
import psycopg
from app.backup import making, postgres, restoring
from app.db import libpq_url

folder, url, root, what = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4]
place = making.Place(url, root / "artifacts", root / "data")
put, checks = Path.replace, postgres._checks

def work(last):
    left = [last]
    def count(self, target):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return put(self, target)
    def last_moment(counts):
        if last == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return checks(counts)
    if what == "restore" and last == 1:
        postgres._checks = last_moment
    else:
        Path.replace = count
    if what == "make":
        making.make(place, folder, lambda line: None)
    else:
        restoring.restore(folder, place, lambda line: None, is_replacing=False)

def check_unfinished():
    if what == "make":
        assert not (folder / "manifest.json").exists()
        return
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        while connection.execute(query).fetchone()[0] > 1:
            time.sleep(0.05)
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        assert connection.execute(tables).fetchone()[0] == 0

killed = 0
while True:
    child = os.fork()
    if child == 0:
        work(killed + 1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        break
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    killed += 1
    check_unfinished()
print(killed)
"""


def killed_again_and_again(folder: Path, place: Place, what: str) -> int:
    """Runs the work in children that are killed, until one ends; the number of the others."""
    arguments = [str(folder), place.database_url, str(place.data_dir.parent), what]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_killed_backup_has_no_manifest_and_continues(
    migrated_database_url: str, fresh_database_url: str, tmp_path: Path
) -> None:
    source = asyncio.run(filled(migrated_database_url, tmp_path / "source"))
    folder = tmp_path / "backup"
    with pytest.raises(BackupError, match="is not a backup"):
        check(tmp_path, quiet)
    # Four contents (the journal's and the local run's, one artifact), the dump, the list, the
    # manifest; each later child finds what the earlier ones have put.
    killed = killed_again_and_again(folder, source, "make")
    assert killed >= 3
    manifest = check(folder, quiet)
    assert manifest.files == FILES_BY_STATE
    assert [path for path in folder.rglob("*.part")] == []
    with pytest.raises(BackupError, match=r"is a finished backup of .*: choose another folder"):
        make(source, folder, quiet)
    (folder / MANIFEST).unlink()
    with pytest.raises(BackupError, match=r"was not finished\. `pricetag backup .*` continues it"):
        check(folder, quiet)
    manifest.write(folder)
    target = Place(fresh_database_url, tmp_path / "new" / "artifacts", tmp_path / "new" / "data")
    assert killed_again_and_again(folder, target, "restore") >= 1
    assert asyncio.run(outcomes(target)) == ["verified", "verified"]


def test_the_commands_name_folders_and_problems(
    migrated_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = asyncio.run(filled(migrated_database_url, tmp_path / "source"))
    monkeypatch.setenv("PRICETAG_DATABASE_URL", source.database_url)
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(source.data_dir))
    monkeypatch.setenv("PRICETAG_ARTIFACTS_DIR", str(source.artifacts))
    get_settings.cache_clear()
    next(source.artifacts.rglob("changed.bin")).unlink()
    folder = tmp_path / "backup"
    run = CliRunner().invoke
    made = run(commands, ["backup", str(folder)])
    assert made.exit_code == 1  # artifacts are missing
    assert f"Backed up 2 runs, 2 attempts and 2 price tags in {folder}: " in made.output
    assert "artifacts not in the backup: 4 missing here, 0 damaged" in made.output
    kinds = "(artifacts: 2, journals of workers: 1, files of local runs: 2)"
    assert f"5 files 14.0 kB {kinds}" in made.output
    checked = run(commands, ["restore", str(folder), "--check", "--json"])
    assert (checked.exit_code, json.loads(checked.stdout)["counts"]["runs"]) == (0, 2)
    assert "artifacts not in this backup: 4 missing when it was made, 0 damaged" in checked.stderr
    assert "gone.bin was missing" in checked.stderr
    rejected = run(commands, ["restore", str(folder)])
    assert rejected.exit_code == 1
    assert "the target database is not empty" in rejected.output
    (tmp_path / "file").write_text("")
    for place, message in (
        ("source", "is not empty"),
        ("file", "is a file, not a folder"),
        ("source/data/own", "would be lost with it"),
    ):
        rejected = run(commands, ["backup", str(tmp_path / place)])
        assert rejected.exit_code == 1
        assert message in rejected.output
    wrong = tmp_path / "wrong"
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(wrong))
    monkeypatch.delenv("PRICETAG_DATABASE_URL")
    get_settings.cache_clear()
    rejected = run(commands, ["backup", str(tmp_path / "empty")])
    assert rejected.exit_code == 1
    assert "has no database, so there is nothing to back up" in rejected.output
    assert not wrong.exists()
    assert not (tmp_path / "empty").exists()
