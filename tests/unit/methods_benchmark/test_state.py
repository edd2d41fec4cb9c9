"""The state folder: finished runs are kept, a failed one can be tried again."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.methods import catalog as catalogs
from benchmarks.methods import execute, prove
from benchmarks.methods.execute import Executor
from benchmarks.methods.inputs import dev_labels, prepare
from benchmarks.methods.plan import Budget, Trial, fingerprint
from benchmarks.methods.proof_page import write_proof
from benchmarks.methods.state import Record, State
from pricetag.tag.figure import Figure
from pricetag.wire import ApiError

CATALOG = catalogs.read()
BUDGET = Budget()
TRIAL = Trial(0, "sst2", "teacher")
SCORE = {"score": Figure(0.8, None, None, "", "counted")}


def record(trial: Trial = TRIAL, mark: str = "a", status: str = "succeeded") -> Record:
    return Record(trial, mark, status, "id", 3.0, SCORE, seen={"model_stage": "train"})


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


def test_records_are_read_as_they_were_kept(state: State) -> None:
    kept = [record(), record(status="failed"), record(Trial(1, "cola", "teacher"))]
    for one in kept:
        state.keep(one)
    assert [r for records in state.records().values() for r in records] == kept
    assert State(state.folder).newest({TRIAL: "a"}) == {TRIAL: kept[1]}


def test_a_record_of_another_description_does_not_count(state: State) -> None:
    state.keep(record(mark="old"))
    assert state.newest({TRIAL: "new"}) == {}


def test_a_line_that_was_cut_off_is_skipped(state: State) -> None:
    state.keep(record())
    with (state.folder / "runs.jsonl").open("a") as file:
        file.write(record(mark="b").as_json()[:50])
    assert state.newest({TRIAL: "a"}) == {TRIAL: record()}


def test_failures_are_counted_for_each_description(state: State) -> None:
    for mark in ("a", "a", "b"):
        state.keep(record(mark=mark, status="failed"))
    assert [state.tries(TRIAL, mark) for mark in ("a", "b", "c")] == [2, 1, 0]


def test_conditions_are_kept(state: State) -> None:
    with pytest.raises(FileNotFoundError, match="has no runs yet"):
        state.budget()
    state.write_about({"budget": asdict(Budget(examples=7)), "inputs": {"sst2": "x"}})
    assert state.budget() == Budget(examples=7)


def test_inputs_are_the_same_examples_for_all(tmp_path: Path) -> None:
    source, model = tmp_path / "sst2", tmp_path / "encoder"
    for folder in (source, model):
        folder.mkdir()
    (model / "config.json").write_text("{}")
    lines = [f"sentence {number}\t1\n" for number in range(40)]
    (source / "train.tsv").write_text("sentence\tlabel\n" + "".join(lines))
    (source / "dev.tsv").write_text("sentence\tlabel\n" + "".join(lines[:9]))
    hashes = [
        prepare(tmp_path / place, {"sst2": source}, model, lambda _: Budget(examples=10))
        for place in ("one", "other", "other")
    ]
    assert hashes[0] == hashes[1] == hashes[2]
    head, *drawn = (tmp_path / "one" / "sst2" / "train.tsv").read_text().splitlines(keepends=True)
    assert head == "sentence\tlabel\n"
    assert len(set(drawn)) == 10
    assert set(drawn) <= set(lines)
    assert dev_labels(tmp_path / "one", "sst2") == ["1"] * 9
    assert dev_labels(tmp_path / "one", "cola") == []
    more = prepare(tmp_path / "third", {"sst2": source}, model, lambda _: Budget(examples=11))
    assert more != hashes[0]


class FakeService:
    """A service on which the named runs fail."""

    def __init__(self, *failing: str, rejected: str = "") -> None:
        self.failing, self.rejected = failing, rejected
        self.posted: list[tuple[dict[str, Any], str]] = []

    def create_run(self, run: dict[str, Any], *, idempotency_key: str) -> dict[str, Any]:
        self.posted.append((run, idempotency_key))
        if run["name"] == self.rejected:
            raise ApiError(422, "invalid-recipe", "rejected", [])
        return {"id": f"id of {run['name']}"}

    def get_run(self, run_id: str) -> dict[str, Any]:
        failed = run_id.removeprefix("id of ") in self.failing
        reason = {"code": "out-of-memory", "message": "too large"}
        status = "failed" if failed else "succeeded"
        return {"id": run_id, "status": status, "status_reason": reason if failed else None}

    @property
    def names(self) -> list[str]:
        return [run["name"] for run, _ in self.posted]


NAMES = ("teacher", "student-labels", "student-labels-bf16", "prune-heads-50")
TRIALS = [Trial(0, "sst2", name) for name in NAMES]


def executor(
    state: State, service: FakeService, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> Executor:
    monkeypatch.setattr(execute, "figures_of", lambda *args: SCORE)
    link = SimpleNamespace(tag="a price tag")
    monkeypatch.setattr(Executor, "_tags", lambda *args: ([link], None))
    monkeypatch.setattr(execute, "conditions_of", lambda tag: {"sentences": f"those of {tag}"})
    seen = {"model_stage": "last stage", "attempts": 2, "verification": "verified"}
    monkeypatch.setattr(Executor, "_seen", lambda *args: seen)
    client: Any = service
    return Executor(client, CATALOG, BUDGET, {"sst2": "inputs"}, state, **options)


def statuses(records: list[Record]) -> dict[str, str]:
    return {record.trial.name: record.status for record in records}


def test_a_failure_stops_only_what_starts_from_it(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = FakeService("student-labels")
    records = executor(state, service, monkeypatch).run(TRIALS)
    assert statuses(records) == {
        "teacher": "succeeded",
        "student-labels": "failed",
        "prune-heads-50": "succeeded",
    }
    errors = [record.error for record in records if record.status == "failed"]
    assert errors == ["failed: out-of-memory: too large"]
    run, _ = service.posted[1]
    assert run["recipe"]["model"] == {"run": "id of teacher", "stage": "last stage"}


def test_a_rejected_run_does_not_stop_the_others(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = FakeService(rejected="student-labels")
    records = executor(state, service, monkeypatch).run(TRIALS)
    assert statuses(records)["student-labels"] == "failed"
    assert statuses(records)["prune-heads-50"] == "succeeded"


def test_it_continues_where_it_was_and_tries_failures_only_on_request(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor(state, FakeService("student-labels"), monkeypatch).run(TRIALS)
    again = FakeService()
    executor(state, again, monkeypatch).run(TRIALS)
    assert again.names == []
    retried = FakeService()
    records = executor(state, retried, monkeypatch, retry=True).run(TRIALS)
    assert retried.names == ["student-labels", "student-labels-bf16"]
    assert set(statuses(records).values()) == {"succeeded"}


def test_an_interrupted_run_has_the_same_key_and_a_retried_one_another(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    for service in (FakeService("teacher"), FakeService()):
        executor(state, service, monkeypatch, retry=True).run(TRIALS[:1])
        keys.append(service.posted[0][1])
    assert len(set(keys)) == 2
    other = State(state.folder / "other")
    service = FakeService()
    executor(other, service, monkeypatch).run(TRIALS[:1])
    assert service.posted[0][1] == keys[0]


def test_long_runs_have_one_seed_unless_others_start_from_them(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [Trial(seed, "sst2", name) for seed in (0, 1) for name in ("teacher", "prune-heads-50")]
    service = FakeService()
    executor(state, service, monkeypatch, seed_limit_s=-1.0).run(both)
    assert service.names == ["teacher", "prune-heads-50", "teacher"]


def test_a_run_without_end_is_canceled(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "LOOK_S", 0.0)
    service = Endless()
    records = executor(state, service, monkeypatch, run_limit_s=0.0).run(TRIALS[:1])
    assert records[0].error == "canceled after 0 s"
    assert service.canceled == ["id of teacher"]


class Endless(FakeService):
    """A service whose runs never end."""

    def __init__(self) -> None:
        super().__init__()
        self.canceled: list[str] = []

    def get_run(self, run_id: str) -> dict[str, Any]:
        return super().get_run(run_id) | {"status": "running"}

    def cancel_run(self, run_id: str) -> None:
        self.canceled.append(run_id)


def test_a_fault_in_the_figures_does_not_stop_the_others(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = executor(state, FakeService(), monkeypatch)
    monkeypatch.setattr(execute, "figures_of", lambda *args: 1 / 0)
    records = running.run(TRIALS)
    assert [(r.trial.name, r.error) for r in records] == [
        (name, "ZeroDivisionError('division by zero')") for name in ("teacher",)
    ]


def test_a_worker_that_has_ended_is_started_again() -> None:
    class Ended:
        def __init__(self, code: int | None) -> None:
            self.code = code

        def poll(self) -> int | None:
            return self.code

    class Fake:
        def __init__(self, *codes: int | None) -> None:
            self.workers = [Ended(code) for code in codes]
            self.started: list[Any] = []

        def start_worker(self, *options: str, environment: dict[str, str]) -> None:
            self.started.append((options, environment))

    for codes, starts in (((), 1), ((1,), 1), ((None,), 0), ((1, None), 0)):
        service: Any = Fake(*codes)
        execute.Workers(service, 2).ensure()
        assert service.started == [(("--gpus", "none"), {"OMP_NUM_THREADS": "2"})] * starts


# ---- --prove ----


def progress(done: int) -> dict[str, Any]:
    return {"done": done, "total": 8, "unit": "steps"}


class Interrupted(FakeService):
    """A service whose run trains for a while; what is measured is 0.8."""

    reloaded = 0.8

    def __init__(self, *steps: int) -> None:
        super().__init__()
        self.steps = list(steps)

    def get_run(self, run_id: str) -> dict[str, Any]:
        if not self.steps:
            recipe = self.posted[0][0]["recipe"]
            stage = {"kind": "train", "start_s": 1.0, "end_s": 3.0}
            attempts = [{"stages": [stage]}]
            ended = {"recipe": recipe, "name": "teacher", "attempts": attempts, "progress": None}
            return super().get_run(run_id) | ended
        done = self.steps.pop(0)
        stage = {"kind": "train", "end_s": None}
        recipe = self.posted[0][0]["recipe"]
        running = {"status": "running", "recipe": recipe, "progress": progress(done)}
        return running | {"id": run_id, "attempts": [{"stages": [stage]}]}

    def wait(self, run_id: str) -> dict[str, Any]:
        return {"id": run_id}

    def create_run(self, run: dict[str, Any], *, idempotency_key: str = "") -> dict[str, Any]:
        return super().create_run(run, idempotency_key=idempotency_key)

    def metrics(self, run_id: str) -> list[dict[str, Any]]:
        value = self.reloaded if "reloaded" in run_id else 0.8
        return [{"name": "accuracy", "split": "validation", "value": value}]


@pytest.mark.parametrize(
    ("steps", "reloaded", "killed", "holds"),
    [
        ((0, 0, 1, 2), 0.8, 1, True),
        ((0, 0, 1, 5), 0.8, 1, True),
        ((0, 0, 1), 0.8, 0, False),  # over before a quarter of its steps was seen
        ((0, 2), 0.7, 1, False),
    ],
)
def test_a_proved_run_is_killed_after_a_step_and_loaded_again(
    state: State,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: tuple[int, ...],
    reloaded: float,
    killed: int,
    holds: bool,
) -> None:
    monkeypatch.setattr(prove, "LOOK_S", 0.0)
    pids: list[int] = []
    monkeypatch.setattr("os.killpg", lambda pid, number: pids.append(pid))
    service = Interrupted(*steps)
    service.reloaded = reloaded
    client: Any = service
    proof = prove.Proof(client, lambda: 12345, tmp_path)
    records = executor(state, service, monkeypatch, proof=proof).run(TRIALS[:1])
    assert pids == [12345] * killed
    keys = {key for run, key in service.posted if "model" in run["recipe"]["model"]}
    assert len(keys) == (1 if killed else execute.MOST_KILLS)
    source = service.posted[-1][0]["recipe"]["model"]
    assert source == {"run": "id of teacher", "stage": "last stage"}
    assert prove.summary(records)[1] is holds
    if killed:
        assert f"in train at {steps[-1]} of 8 steps; 2 attempts" in prove.summary(records)[0][0]


def test_a_run_that_was_not_killed_is_due_again_with_retry(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service: Any = FakeService()
    whole = Record(TRIAL, "mark", "succeeded", seen={"attempts": 1, "verification": "verified"})
    proof = prove.Proof(service, lambda: None, tmp_path)
    for retry, due in ((True, True), (False, False)):
        running = executor(state, service, monkeypatch, proof=proof, retry=retry)
        assert running._is_due(whole) is due
    assert executor(state, service, monkeypatch, retry=True)._is_due(whole) is False


def test_conditions_are_kept_with_each_run(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    running = executor(state, FakeService(), monkeypatch)
    records = running.run(TRIALS[:1])
    assert records[0].conditions == {"sentences": "those of a price tag"}
    older = replace(records[0], conditions={}, figures={})
    running.read_again({TRIAL: older})
    newest = state.newest({TRIAL: records[0].fingerprint})
    assert newest == {TRIAL: records[0]}


def test_the_proof_says_what_was_shown_of_each_run(state: State, tmp_path: Path) -> None:
    killed = {"stage": "train", "done": 4.0, "total": 16.0, "unit": "steps"}
    seen = {
        "killed": killed,
        "attempts": 2,
        "verification": "verified",
        "reloaded": {"accuracy": (0.75, 0.75)},
    }
    state.write_about({"budget": asdict(Budget(examples=256)), "inputs": {"sst2": "inputs"}})
    mark = fingerprint(CATALOG, state.budget(), TRIAL, "inputs")
    state.keep(Record(TRIAL, mark, "succeeded", "id", 3.0, SCORE, seen=seen))
    text = write_proof(CATALOG, state, tmp_path / "docs").read_text()
    assert "1 of 1 runs were killed, resumed and loaded as intended, of 1 methods." in text
    row = "| teacher | `train` | in train at 4 of 16 steps | 2 | verified | same scores"
    assert row in text


def test_a_failed_run_proves_nothing(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    records = executor(state, FakeService("teacher"), monkeypatch).run(TRIALS[:1])
    assert prove.summary(records)[1] is False
