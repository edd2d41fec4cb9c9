"""Artifacts move to the store and are read from there; what nothing refers to is removed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from typer.testing import CliRunner

from app.artifact_store.cache import Cache
from app.artifact_store.stores import Content, FolderStore, ObjectStore, StoreError
from app.cli import commands
from app.repositories.attempts import stored
from app.repositories.price_tags import upstreams
from app.services.attempts import collecting, execution
from app.services.attempts.storing import WaitingArtifact
from app.settings import get_settings
from models import Artifact, Paper, PaperRun, Run, Study, StudyRun, StudyTrial, User
from tests.support.api import Api, problem
from tests.support.executions import JournalMaker, claimed, make_run
from tests.support.supervised import node_config
from workers.attempt.fetching import Fetcher, FetchError
from workers.attempt.releases import Releases
from workers.attempt.uploads import Uploads
from workers.store import Store

WEIGHTS = b"weights" * 1000
CARD = b'{"what": "a model"}'
FOLDER = "stage-00-train"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Lab:
    """A node with a worker's artifact folder, a store, and the server that reads it."""

    def __init__(self, api: Api, root: Path) -> None:
        self.api = api
        self.config = node_config(root, name="node")
        self.store = FolderStore(root / "store")
        self.store.root.mkdir()
        self.records = Store(api.database, self.config)
        api.settings.artifacts_url = str(self.store.root)

    def uploads(self, records: Any = None) -> Uploads:
        lock = self.config.data_dir / "workers" / "uploads.lock"
        return Uploads(self.config.artifacts_dir, lock, self.store, records or self.records)

    def file(self, run_id: UUID, name: str) -> Path:
        return self.config.artifacts_dir / str(run_id) / "1" / FOLDER / name

    def objects(self) -> set[str]:
        return {path.name for path in self.store.root.glob("objects/*/*")}

    async def publishes(self, files: dict[str, bytes], **values: Any) -> UUID:
        """A run that succeeded on the node, and published a model."""
        async with self.api.database.session_scope() as session:
            run = await make_run(session, **values)
            claim = await claimed(session, run.id)
            journal = JournalMaker(claim.attempt_id)
            journal.start()
            journal.stage("0", 0, 0.0, 2.0, "train")
            for name, data in files.items():
                path = self.file(run.id, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                journal.add(
                    "artifact", 2.0, key="0", name=name, size_bytes=len(data),
                    path=f"{run.id}/1/{FOLDER}/{name}", sha256=sha256(data),
                    card={"what": "a model"} if name == "model.safetensors" else None,
                )  # fmt: skip
            journal.add("end", 3.0, status="succeeded", reason=None)
            await execution.ingest(session, claim.attempt_id, journal.records)
            return run.id

    async def places(self, run_id: UUID) -> list[tuple[str, str, str | None]]:
        response = await self.api.viewer.get(f"/v1/runs/{run_id}/artifacts")
        return sorted(
            (item["name"], item["place"], item["place_reason"]) for item in response.json()["items"]
        )

    async def download(self, run_id: UUID, name: str) -> Any:
        items = (await self.api.viewer.get(f"/v1/runs/{run_id}/artifacts")).json()["items"]
        (item,) = [each for each in items if each["name"] == name]
        return await self.api.viewer.get(item["download_url"])

    async def clean(self, *, is_removing: bool, days: int = 30) -> tuple[set[str], set[str]]:
        """Hashes of registered and of unregistered contents that are found or removed."""
        before = datetime.now(UTC) - timedelta(days=days)
        hashes: dict[bool, set[str]] = {True: set(), False: set()}
        database = self.api.database
        async for step in collecting.unneeded(database, before, is_removing=is_removing):
            hashes[True].update(content.sha256 for content in step.contents)
        grace = timedelta(hours=24)
        async for step in collecting.unregistered(
            database, self.store, grace, is_removing=is_removing
        ):
            hashes[False].update(content.sha256 for content in step.contents)
        return hashes[True], hashes[False]

    def age(self) -> None:
        """All objects were written long ago."""
        for path in self.store.root.glob("objects/*/*"):
            os.utime(path, (0, 0))


@pytest.fixture
def lab(api: Api, tmp_path: Path) -> Lab:
    return Lab(api, tmp_path)


MODEL = {"config.json": b"{}", "model.safetensors": WEIGHTS}


async def test_equal_weights_of_two_runs_are_stored_once_and_downloaded(lab: Lab) -> None:
    first = await lab.publishes(MODEL | {"card.json": CARD})
    second = await lab.publishes(MODEL)
    assert await lab.places(second) == [(name, "folder", None) for name in sorted(MODEL)]
    assert await lab.uploads().one_round() == 5
    assert lab.objects() == {sha256(data) for data in (*MODEL.values(), CARD)}
    assert not (lab.config.artifacts_dir / str(first)).exists()
    assert await lab.places(second) == [(name, "store", None) for name in sorted(MODEL)]
    response = await lab.download(second, "model.safetensors")
    assert (response.status_code, response.content) == (200, WEIGHTS)
    assert response.headers["content-disposition"] == 'attachment; filename="model.safetensors"'
    assert await lab.uploads().one_round() == 0
    path = lab.store.local_path(sha256(WEIGHTS))
    assert path is not None
    path.chmod(0o600)
    path.write_bytes(b"x" * len(WEIGHTS))
    problem(await lab.download(second, "model.safetensors"), 404, "artifact-damaged")
    path.unlink()
    problem(await lab.download(second, "model.safetensors"), 404, "artifact-not-here")
    lab.store.root.rename(lab.store.root.with_name("away"))
    problem(await lab.download(second, "config.json"), 503, "artifact-store-unreachable")


class Dying:
    """The worker is killed when it would note what it has stored."""

    def __init__(self, records: Store) -> None:
        self._records = records

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    async def note_stored(self, artifact: WaitingArtifact, store: ObjectStore) -> bool:
        raise KeyboardInterrupt


async def test_a_worker_that_dies_before_it_notes_an_upload_loses_nothing(lab: Lab) -> None:
    run_id = await lab.publishes(MODEL)
    with pytest.raises(KeyboardInterrupt):
        await lab.uploads(Dying(lab.records)).one_round()
    assert len(lab.objects()) == 1
    assert all(lab.file(run_id, name).is_file() for name in MODEL)
    assert {place for _, place, _ in await lab.places(run_id)} == {"folder"}
    assert await lab.uploads().one_round() == 2
    assert {place for _, place, _ in await lab.places(run_id)} == {"store"}


async def test_what_cannot_be_stored_stays_and_says_why(lab: Lab, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(WEIGHTS)
    run_id = await lab.publishes(dict.fromkeys(("changed", "gone", "link", "path"), WEIGHTS))
    lab.file(run_id, "changed").write_bytes(b"other")
    for name in ("gone", "link"):
        lab.file(run_id, name).unlink()
    lab.file(run_id, "link").symlink_to(secret)
    async with lab.api.database.session_scope() as session:
        change = update(Artifact).where(Artifact.name == "path").values(path="../secret")
        await session.execute(change)
    assert await lab.uploads().one_round() == 0
    reasons = {name: reason or "" for name, _, reason in await lab.places(run_id)}
    assert "changed after it was registered" in reasons["changed"]
    assert "not in the artifact folder" in reasons["gone"]
    assert "cannot be read" in reasons["link"]
    assert "not in the folder of its attempt" in reasons["path"]
    assert lab.objects() == set()
    assert secret.exists()
    assert lab.file(run_id, "changed").exists()


def upstream(run_id: UUID, files: dict[str, bytes]) -> dict[str, Any]:
    return {
        "run_id": str(run_id),
        "stage": "train",
        "folder": f"{run_id}/1/{FOLDER}",
        "files": {name: sha256(data) for name, data in files.items()},
    }


async def test_a_model_of_another_machine_is_fetched_once(lab: Lab, tmp_path: Path) -> None:
    run_id = await lab.publishes(MODEL)
    other = Cache(tmp_path / "other-cache", 10**9)
    fetcher = Fetcher(tmp_path / "other", lab.store, other, lab.records.stored_sizes)
    work = tmp_path / "work"
    (tmp_path / "other").mkdir()
    with pytest.raises(FetchError, match="neither in the artifact store"):
        await fetcher.fetch(upstream(run_id, MODEL), work, lambda: False)
    own = Fetcher(lab.config.artifacts_dir, lab.store, other, lab.records.stored_sizes)
    before = await own.fetch(upstream(run_id, MODEL), work, lambda: False)
    assert before is not None
    assert before.fetched_bytes == 0
    await lab.uploads().one_round()
    sizes = []
    for _ in range(2):
        fetched = await fetcher.fetch(upstream(run_id, MODEL), work, lambda: False)
        assert fetched is not None
        assert {file.name: file.read_bytes() for file in fetched.folder.iterdir()} == MODEL
        sizes.append(fetched.fetched_bytes)
    assert sizes == [len(WEIGHTS) + 2, 0]


async def ends(lab: Lab, run_id: UUID, days_ago: int) -> None:
    async with lab.api.database.session_scope() as session:
        at = datetime.now(UTC) - timedelta(days=days_ago)
        await session.execute(update(Run).where(Run.id == run_id).values(finished_at=at))


async def test_what_a_paper_or_a_price_tag_refers_to_stays(lab: Lab) -> None:
    names = ("old", "new", "paper", "base", "input", "rule")
    runs = {name: await lab.publishes({"model.safetensors": name.encode()}) for name in names}
    runs["twin"] = await lab.publishes({"model.safetensors": b"paper"})
    recipe = {
        "task": "classification",
        "data": {"train": "a.tsv", "validation": "b.tsv"},
        "model": {"run": str(runs["base"])},
        "stages": [{"kind": "quantize"}],
    }
    await lab.uploads().one_round()
    for name, run_id in runs.items():
        await ends(lab, run_id, 1 if name == "new" else 100)
    await lab.api.post_run(recipe=recipe)
    async with lab.api.database.session_scope() as session:
        user = (await session.execute(select(User.id).limit(1))).scalar_one()
        for name, rule in (("paper", None), ("rule", {"tags": []})):
            run = await session.get_one(Run, runs[name])
            paper = Paper(project_id=run.project_id, created_by=user, title=name, rule=rule)
            session.add(paper)
            await session.flush()
            if rule is None:
                session.add(PaperRun(paper_id=paper.id, run_id=run.id))
        inputs = [{"role": "model", "path": "m", "sha256": sha256(b"input")}]
        await session.execute(
            text("UPDATE attempts SET environment = jsonb_build_object('inputs', CAST(:i AS jsonb))"
                 " WHERE run_id = :r"),
            {"i": json.dumps(inputs), "r": runs["new"]},
        )  # fmt: skip
    lab.age()
    everything = lab.objects()
    assert (await lab.clean(is_removing=False))[0] == {sha256(b"old")}
    assert lab.objects() == everything
    removed, objects = await lab.clean(is_removing=True)
    assert removed == objects == {sha256(b"old")}
    assert lab.objects() == everything - removed
    gone = problem(await lab.download(runs["old"], "model.safetensors"), 404, "artifact-removed")
    assert "removed on 20" in gone["detail"]
    page = await lab.api.viewer.get(f"/runs/{runs['old']}", headers={"Accept": "text/html"})
    assert "removed on 20" in page.text
    assert "/content" not in page.text
    assert (await lab.download(runs["twin"], "model.safetensors")).content == b"paper"
    body = {"name": "late", "project": "p", "experiment": "e"}
    late = recipe | {"model": {"run": str(runs["old"])}}
    response = await lab.api.member.post("/v1/runs", json=body | {"recipe": late})
    assert "that is still there" in problem(response, 422, "invalid-upstream")["detail"]
    again = await lab.publishes({"model.safetensors": b"old"})
    await lab.uploads().one_round()
    assert (await lab.download(again, "model.safetensors")).content == b"old"


STATE = {"training-optimizer.pt": b"moments" * 1000, "training-training.json": b'{"step": 4}'}


async def of_study(lab: Lab, run_id: UUID, status: str) -> None:
    """Makes a run the only trial of a study with a status."""
    async with lab.api.database.session_scope() as session:
        run = await session.get_one(Run, run_id)
        user = (await session.execute(select(User.id).limit(1))).scalar_one()
        study = Study(
            project_id=run.project_id, experiment="e", name=status, spec={}, status=status,
            created_by=user, body_sha256="0" * 64,
        )  # fmt: skip
        session.add(study)
        await session.flush()
        session.add(StudyTrial(study_id=study.id, number=0, bracket=0, trial_values={}))
        await session.flush()
        session.add(StudyRun(study_id=study.id, trial=0, rung=0, run_id=run_id))


@pytest.mark.parametrize("is_stored", [False, True])
async def test_the_states_of_an_ended_study_go_and_its_models_stay(
    lab: Lab, is_stored: bool
) -> None:
    runs = {
        name: await lab.publishes(
            MODEL | {key: name.encode() + data for key, data in STATE.items()}
        )
        for name in ("ended", "running", "paper", "continued", "alone")
    }
    for name, run_id in runs.items():
        if name != "alone":
            await of_study(lab, run_id, "running" if name == "running" else "finished")
    recipe = {
        "task": "classification",
        "data": {"train": "a.tsv", "validation": "b.tsv"},
        "model": {"run": str(runs["continued"])},
        "stages": [{"kind": "quantize"}],
    }
    await lab.api.post_run(recipe=recipe)
    async with lab.api.database.session_scope() as session:
        run = await session.get_one(Run, runs["paper"])
        user = (await session.execute(select(User.id).limit(1))).scalar_one()
        paper = Paper(project_id=run.project_id, created_by=user, title="t", rule=None)
        session.add(paper)
        await session.flush()
        session.add(PaperRun(paper_id=paper.id, run_id=run.id))
    if is_stored:
        await lab.uploads().one_round()
    releases = Releases(lab.config.artifacts_dir, lab.records, lab.store if is_stored else None)
    assert (await releases.one_round(), await releases.one_round()) == (len(STATE), 0)
    here = "store" if is_stored else "folder"
    for name, run_id in runs.items():
        places = {file: place for file, place, _ in await lab.places(run_id)}
        state_place = "removed" if name == "ended" else here
        assert places == dict.fromkeys(MODEL, here) | dict.fromkeys(STATE, state_place), name
        for file, data in STATE.items():
            is_there = (
                sha256(name.encode() + data) in lab.objects()
                if is_stored
                else lab.file(run_id, file).exists()
            )
            assert is_there == (name != "ended"), (name, file)
    assert (await lab.download(runs["ended"], "model.safetensors")).content == WEIGHTS
    problem(await lab.download(runs["ended"], "training-optimizer.pt"), 404, "artifact-removed")
    late = await lab.api.post_run(recipe=recipe | {"model": {"run": str(runs["ended"])}})
    async with lab.api.database.session_scope() as session:
        (row,) = await upstreams.of_run(session, UUID(late))
    assert row.files == {name: sha256(data) for name, data in MODEL.items()}


async def test_an_object_without_an_artifact_stays_for_a_day(lab: Lab) -> None:
    content = Content(sha256(CARD), len(CARD))
    lab.store.put([CARD], content)
    assert await lab.clean(is_removing=True) == (set(), set())
    lab.age()
    assert await lab.clean(is_removing=False) == (set(), {content.sha256})
    assert lab.objects() == {content.sha256}
    assert await lab.clean(is_removing=True) == (set(), {content.sha256})
    assert lab.objects() == set()


async def test_cleaning_continues_after_it_was_killed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await lab.publishes(MODEL)
    await lab.uploads().one_round()
    await ends(lab, run_id, 100)
    lab.age()

    def killed(sha256: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(lab.store, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            await lab.clean(is_removing=True)
    assert len(lab.objects()) == 2
    problem(await lab.download(run_id, "config.json"), 404, "artifact-removed")
    registered, objects = await lab.clean(is_removing=True)
    assert (registered, len(objects), lab.objects()) == (set(), 2, set())


async def test_an_artifact_is_not_noted_while_its_object_is_removed(
    committed_api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker finds an object that the cleaning is about to remove, and stores it again."""
    lab = Lab(committed_api, tmp_path)
    lab.store.put([WEIGHTS], Content(sha256(WEIGHTS), len(WEIGHTS)))
    lab.age()
    removing, may_remove = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    remove = lab.store.remove

    def slowly(sha256: str) -> None:
        loop.call_soon_threadsafe(removing.set)
        asyncio.run_coroutine_threadsafe(may_remove.wait(), loop).result()
        remove(sha256)

    monkeypatch.setattr(lab.store, "remove", slowly)
    cleaning = asyncio.create_task(lab.clean(is_removing=True))
    await removing.wait()
    publishing = asyncio.create_task(lab.publishes({"model.safetensors": WEIGHTS}))
    async with committed_api.database.session_scope() as session:
        waits = (
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'artifacts'::regclass"
        )
        while not (await session.execute(text(waits))).scalar_one():
            await asyncio.sleep(0.02)
    may_remove.set()
    await cleaning
    run_id = await publishing
    assert lab.objects() == set()
    assert await lab.uploads().one_round() == 1
    assert lab.objects() == {sha256(WEIGHTS)}
    assert (await lab.download(run_id, "model.safetensors")).content == WEIGHTS


async def test_damaged_and_missing_objects_are_found(lab: Lab) -> None:
    await lab.publishes(MODEL | {"card.json": CARD})
    await lab.uploads().one_round()
    path = lab.store.local_path(sha256(WEIGHTS))
    assert path is not None
    path.chmod(0o600)
    path.write_bytes(b"other")
    lab.store.remove(sha256(CARD))
    faults = {
        checked.content.sha256: checked.fault
        async for checked in collecting.check(lab.api.database, lab.store)
    }
    assert faults[sha256(b"{}")] is None
    assert faults[sha256(CARD)] == "is missing"
    assert "SHA-256" in (faults[sha256(WEIGHTS)] or "")


async def test_a_store_that_is_away_moves_nothing(lab: Lab) -> None:
    run_id = await lab.publishes(MODEL)
    lab.store.root.rename(lab.store.root.with_name("away"))
    with pytest.raises(StoreError):
        await lab.uploads().one_round()
    assert await lab.places(run_id) == [(name, "folder", None) for name in sorted(MODEL)]
    async with lab.api.database.session_scope() as session:
        assert await stored.stored_sizes(session, [sha256(WEIGHTS)]) == {}


@pytest.fixture
def settings_of_test() -> Iterator[None]:
    """Settings that are read again afterwards."""
    yield
    get_settings.cache_clear()


@pytest.mark.usefixtures("settings_of_test")
def test_the_commands_count_remove_and_check(
    migrated_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICETAG_DATABASE_URL", migrated_database_url)
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path / "data"))
    get_settings.cache_clear()
    run = CliRunner().invoke
    missing = run(commands, ["artifacts", "clean"])
    assert (missing.exit_code, "set PRICETAG_ARTIFACTS_URL" in missing.output) == (1, True)
    store = FolderStore(tmp_path / "store")
    monkeypatch.setenv("PRICETAG_ARTIFACTS_URL", str(store.root))
    get_settings.cache_clear()
    away = run(commands, ["artifacts", "clean"])
    assert (away.exit_code, "is not a folder" in away.output) == (1, True)
    store.root.mkdir()
    store.put([CARD], Content(sha256(CARD), len(CARD)))
    assert "\n0 files without an artifact" in run(commands, ["artifacts", "clean"]).output
    path = store.local_path(sha256(CARD))
    assert path is not None
    os.utime(path, (0, 0))
    listed = run(commands, ["artifacts", "clean", "--older-than", "90d"])
    assert "1 file without an artifact: 19.0 bytes" in listed.output
    assert "with --delete" in listed.output
    assert path.exists()
    removed = run(commands, ["artifacts", "clean", "--delete", "--json"])
    assert json.loads(removed.output)["unregistered"] == 1
    assert not path.exists()
    checked = run(commands, ["artifacts", "check"])
    assert (checked.exit_code, checked.output) == (
        0,
        "0 files of the artifact store checked, all correct.\n",
    )
    wrong = run(commands, ["artifacts", "clean", "--older-than", "soon"])
    assert (wrong.exit_code, "--older-than" in wrong.output) == (2, True)
