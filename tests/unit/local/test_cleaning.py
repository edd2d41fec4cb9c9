"""Old local runs are deleted when somebody asks for it, and those on a server alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pricetag.cli.app import run as pricetag
from pricetag.local.cleaning import ASIDE, delete
from pricetag.local.pushing import PUSHED
from pricetag.local.runs import LocalRuns, write_result
from pricetag.metering.journal import Journal
from tests.support.commands import Captured, complaint, said
from tests.support.local_runs import ATTEMPT_ID, records, start_record

PUSHED_ID = "0000aaaa-0000-4000-8000-000000000001"
CHANGED_ID = "0000bbbb-0000-4000-8000-000000000002"
OWN_ID = "0000cccc-0000-4000-8000-000000000003"
RUNNING_ID = "0000dddd-0000-4000-8000-000000000004"
OLD = "2026-03-04T05:06:07+00:00"
NEW_ID = "0000eeee-0000-4000-8000-000000000005"


def plant(local: Path, run_id: str, *, at: str = OLD, ends: bool = True) -> Path:
    """A local run whose records have this time."""
    content = [start_record(run_id), *records(ends=ends)[1:]]
    journal = Journal.create(local / run_id, ATTEMPT_ID)
    journal.append_all([record | {"at": at} for record in content])
    if ends:
        write_result(local / run_id, journal)
    journal.close()
    return local / run_id


def push(folder: Path, more_bytes: int = 0) -> None:
    (journal,) = folder.glob("*.jsonl")
    size_bytes = journal.stat().st_size + more_bytes
    (folder / PUSHED).write_text(json.dumps({"http://lab": {"size_bytes": size_bytes}}))


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path))
    folder = tmp_path / "local"
    push(plant(folder, PUSHED_ID))
    push(plant(folder, CHANGED_ID), more_bytes=1)  # not what is here now
    plant(folder, OWN_ID)
    push(plant(folder, NEW_ID, at=datetime.now(UTC).isoformat()))
    return folder


def left(local: Path) -> set[str]:
    return {path.name for path in local.iterdir()}


def test_old_runs_are_listed_and_deleted_only_on_request(local: Path, capsys: Captured) -> None:
    everything = left(local)
    assert pricetag(["clean", "--older-than", "90d", "--json"]) == 0
    listed = said(capsys)
    assert [run["id"] for run in listed["runs"]] == [PUSHED_ID]
    assert (listed["deleted"], listed["not_pushed"], listed["size_bytes"] > 0) == (False, 2, True)
    assert pricetag(["clean", "--older-than", "2026-03-04"]) == 0
    assert capsys.readouterr().out == "No local run is that old.\n"
    assert left(local) == everything
    assert pricetag(["clean", "--older-than", "90d", "--delete"]) == 0
    out = capsys.readouterr().out
    assert f"{PUSHED_ID[:8]}  2026-03-04  planted\n1 local run deleted, " in out
    assert "2 old runs not on a server: push them (`pricetag push --all`)" in out
    assert left(local) == everything - {PUSHED_ID}
    assert pricetag(["clean", "--older-than", "8w", "--delete", "--not-pushed"]) == 0
    assert left(local) == {NEW_ID}
    capsys.readouterr()
    assert pricetag(["clean", "--older-than", "soon"]) == 2
    message = complaint(capsys)
    assert "--older-than: 'soon' is neither an age such as 12h, 90d or 8w" in message


def test_a_run_whose_deletion_was_interrupted_is_whole_or_gone(
    local: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = LocalRuns(local)
    (run,) = runs.find(PUSHED_ID)

    def killed(path: Path, **options: Any) -> None:
        if not options:  # the last step
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("pricetag.local.cleaning.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            delete(run)
    assert runs.find(PUSHED_ID) == []
    assert (local.parent / ASIDE / PUSHED_ID).exists()
    assert pricetag(["clean", "--older-than", "90d", "--delete"]) == 0
    assert not (local.parent / ASIDE).exists()


def test_a_run_that_has_not_ended_stays(local: Path, capsys: Captured) -> None:
    content = [start_record(RUNNING_ID), *records(ends=False)[1:]]
    journal = Journal.create(local / RUNNING_ID, ATTEMPT_ID)
    journal.append_all(content)  # its meter is alive: the journal is locked
    assert pricetag(["clean", "--older-than", "0001-01-02", "--delete", "--not-pushed"]) == 0
    assert pricetag(["clean", "--older-than", "1h", "--delete", "--not-pushed"]) == 0
    assert left(local) == {RUNNING_ID, NEW_ID}
    journal.close()
