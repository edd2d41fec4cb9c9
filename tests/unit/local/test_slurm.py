"""Jobs of a Slurm cluster, from environments and answers that a real one has given."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pricetag.accounting.bill.scheduled import elapsed_s
from pricetag.accounting.units import joules_to_kwh
from pricetag.cli.local_runs import verify_local
from pricetag.cli.metered import _of_job, _slurm_task
from pricetag.local import slurm_node
from pricetag.local.cleaning import delete
from pricetag.local.request import Request
from pricetag.local.runs import LocalRun, LocalRuns, write_result
from pricetag.local.settling import settled
from pricetag.local.slurm import SlurmTask, per_node, read_task
from pricetag.local.slurm_node import Neighbors, accelerators_of_job, host_ratio
from pricetag.metering.journal import Journal
from tests.support.local_runs import POWER_W, records
from tests.support.patience import PATIENCE_S
from tests.support.slurm import on_node

ROOT = Path(__file__).parents[3]
RECORDED: Mapping[str, Mapping[str, str]] = json.loads(
    (ROOT / "tests/data/slurm/environments.json").read_text()
)["environments"]
ENERGY_KWH = joules_to_kwh(10 * POWER_W)


def task(name: str) -> SlurmTask:
    read = read_task(RECORDED[name])
    assert read is not None
    return read


def test_one_task_meters_each_node_and_all_of_a_job_are_one_run() -> None:
    tasks = [task(f"two_nodes_task_{index}") for index in range(4)]
    assert [each.meters for each in tasks] == [True, False, True, False]
    assert [each.node for each in tasks] == ["a", "a", "b", "b"]
    batch = task("two_nodes_batch")
    assert (batch.meters, batch.step, batch.nodes) == (True, "batch", 2)
    assert {each.run_id for each in [*tasks, batch]} == {batch.run_id}
    # The meter of a node knows the processes of its own step and node, and no others.
    marked = [{f"{name}={value}" for name, value in RECORDED[name_].items()} for name_ in RECORDED]
    assert sum(set(tasks[0].marks) <= environment for environment in marked) == 2
    assert sum(set(batch.marks) <= environment for environment in marked) == 4  # node a


def test_a_restart_is_the_same_run_and_a_task_of_an_array_its_own() -> None:
    first, second = task("requeue_first"), task("requeue_second")
    assert (first.restart, second.restart) == (0, 1)
    assert first.run_id == second.run_id
    third, fourth = task("array_index_3"), task("array_index_4")
    assert third.run_id != fourth.run_id
    assert {*third.tags} == {"slurm-job:4", "slurm-array:3", "slurm-index:3"}
    assert replace(first, cluster="other").run_id != first.run_id


def test_the_account_is_the_project_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRICETAG_PROJECT", raising=False)
    array = task("array_index_4")
    plain = Request("sweep", "program", ("true",), tags=("night",))
    request = _of_job(plain, array)
    assert (request.origin, request.project, request.run_id) == ("slurm", "text", array.run_id)
    assert request.tags == ("night", *array.tags)
    assert _of_job(replace(plain, project="vision"), array).project == "vision"
    assert _of_job(plain, task("single")).project is None  # the job has no account
    monkeypatch.setenv("PRICETAG_PROJECT", "named")
    assert _of_job(plain, array).project is None  # that of the settings
    assert SlurmTask.from_record(json.loads(json.dumps(request.job))) == array


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SLURM_JOB_ID": "7"}, "without SLURMD_NODENAME"),
        ({"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "a", "SLURM_NNODES": "3"}, "job's 3 nodes"),
        ({"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "a", "SLURM_NNODES": "1"}, ""),
        ({}, ""),
    ],
)
def test_what_is_not_metered_of_a_job_is_stated_at_once(
    variables: Mapping[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    _slurm_task()
    said = capsys.readouterr().err.strip()
    assert message in said if message else not said


def test_outside_the_nodes_of_a_job_there_is_no_task() -> None:
    assert read_task({}) is None
    assert read_task({"SLURM_JOB_ID": "9"}) is None  # the shell of salloc on a login node
    assert per_node("2(x2),1") == [2, 2, 1]
    with pytest.raises(ValueError, match="list of numbers"):
        per_node("2x2")


@pytest.mark.parametrize(
    ("cpus", "affinity", "total", "expected"),
    [
        (64, 1.0, None, 1.0),  # the whole machine
        (16, 0.25, None, 0.25),  # bound to its CPUs
        (16, 0.5, None, 0.5),  # ... which are cores of two threads each
        (16, 1.0, 64, 0.25),  # not bound
        (16, 1.0, 32, 0.5),  # not bound, cores of two threads each
        (32, 1.0, 32, 1.0),
        (16, 1.0, None, 0.25),  # the controller does not answer
        (None, 0.25, None, 0.25),
    ],
)
def test_the_share_of_a_node_is_that_of_the_job(
    monkeypatch: pytest.MonkeyPatch,
    cpus: int | None,
    affinity: float,
    total: int | None,
    expected: float,
) -> None:
    monkeypatch.setattr(slurm_node, "_cpus_of_node", lambda node: total)
    assert host_ratio(replace(task("single"), cpus=cpus), affinity, 64) == expected


def test_accelerators_are_those_of_the_job_and_not_of_the_task_alone() -> None:
    bound = task("gpu_per_task_0")
    assert (bound.gpus, RECORDED["gpu_per_task_0"]["CUDA_VISIBLE_DEVICES"]) == (2, "0")

    def of(one: SlurmTask, everything: str, visible: str, **more: bool) -> tuple[str, int]:
        how = {"is_limited": True, "is_whole_node": False, **more}
        listed, unseen = accelerators_of_job(one, list(everything), list(visible), **how)
        return "".join(listed), unseen

    assert of(bound, "ABCD", "A") == ("AB", 0)  # by their indices
    assert of(bound, "CD", "C") == ("CD", 0)  # a container of devices shows those of the job
    assert of(bound, "A", "A") == ("A", 1)  # one that shows those of the task: stated, not hidden
    alone = task("gpu_per_task_without_batch_0")
    assert of(alone, "ABCD", "A") == ("A", 1)
    assert of(task("one_gpu"), "ABCD", "C") == ("C", 0)
    none = task("single")
    assert of(none, "AB", "AB", is_limited=False) == ("", 0)
    assert of(none, "AB", "AB", is_limited=False, is_whole_node=True) == ("AB", 0)


def script(name: str, spool: Path, **variables: str) -> None:
    """Runs a script as slurmd does: nearly without environment."""
    done = subprocess.run(
        [ROOT / "deploy/slurm" / name],
        env={
            "PRICETAG_SLURM_SPOOL": str(spool),
            "PRICETAG_SLURM_LIMIT_S": str(PATIENCE_S),
            **variables,
        },
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_prolog_and_epilog_note_who_else_used_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = tmp_path / "spool"
    monkeypatch.setenv("PRICETAG_SLURM_SPOOL", str(spool))
    single = task("single")

    def job(job_id: str, node: str = "a") -> dict[str, str]:
        return {
            "SLURM_JOB_ID": job_id,
            "SLURMD_NODENAME": node,
            "SLURM_JOB_RESTART_COUNT": "0",
        }

    script("prolog.sh", spool, **job("7"))
    script("epilog.sh", spool, **job("7"))
    script("prolog.sh", spool, **job(single.job_id))
    script("prolog.sh", spool, **job("8"))
    script("prolog.sh", spool, **job("9", "b"))
    script("epilog.sh", spool, **job("8"))
    (spool / "a.6.0").write_text("start 100\nend 200\n")
    (spool / "a.5.0").write_text("start 100\n")  # its node went down
    end_s = float((spool / "a.8.0").read_text().split()[-1])
    neighbors = Neighbors(single, end_s + 0.5).record(end_s + 60)
    assert neighbors["other_jobs"] == []
    neighbors = Neighbors(single, end_s).record(end_s + 60)
    assert neighbors["other_jobs"] in (["7", "8"], ["8"])  # in the same second
    assert (neighbors["other_jobs_source"], neighbors["other_jobs_reason"]) == (
        "notes of Prolog and Epilog",
        None,
    )
    script("prolog.sh", Path("/proc/nowhere"), **job("7"))  # cannot be written: still 0
    script("epilog.sh", Path("/proc/nowhere"), **job("7"))
    script("prolog.sh", spool)


def test_without_notes_the_controller_is_asked_and_its_silence_is_stated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICETAG_SLURM_SPOOL", str(tmp_path / "none"))
    monkeypatch.setattr(slurm_node, "TIMEOUT_S", PATIENCE_S)
    monkeypatch.setenv("PATH", str(tmp_path))
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho 12\necho 1\n")
    squeue.chmod(0o755)
    neighbors = Neighbors(task("single"), 0.0).record(1.0)
    assert (neighbors["other_jobs"], neighbors["other_jobs_source"]) == (
        ["12"],
        "squeue at the start and the end",
    )
    squeue.write_text("#!/bin/sh\nexit 1\n")
    neighbors = Neighbors(task("single"), 0.0).record(1.0)
    assert neighbors["other_jobs"] is None
    assert neighbors["other_jobs_reason"] == "squeue failed with exit code 1"
    squeue.unlink()
    neighbors = Neighbors(task("single"), 0.0).record(1.0)
    assert neighbors["other_jobs_reason"] == "squeue: No such file or directory"


def test_time_that_nodes_share_is_counted_once() -> None:
    assert elapsed_s([(0.0, 10.0), (1.0, 10.0), (20.0, 5.0)]) == 16.0
    assert elapsed_s([(None, 10.0), (None, 10.0)]) == 20.0
    assert elapsed_s([(3.3, 0.1)]) == 0.1


def test_the_nodes_of_a_job_are_one_price_tag() -> None:
    nodes = [
        on_node("a", restart=0, nodes=2, begin_s=0),
        on_node("b", restart=0, nodes=2, begin_s=2),
    ]
    document = settled(*nodes)
    tag = document["price_tag"]
    assert tag["it_energy_kwh"]["value"] == pytest.approx(2 * ENERGY_KWH)
    assert tag["duration_s"]["value"] == 12.0  # two nodes of ten seconds, two seconds apart
    assert tag["power_w"]["value"] == pytest.approx(2 * 10 * POWER_W / 12)
    assert [(each["number"], each["node"]) for each in tag["attempts"]] == [(1, "a"), (2, "b")]
    assert [each["it_energy_kwh"]["value"] for each in tag["attempts"]] == [
        pytest.approx(ENERGY_KWH)
    ] * 2
    assert not {"several_attempts", "nodes_unmetered", "node_shared"} & {*tag["flags"]}
    assert [device["count"] for device in tag["hardware"]["devices"]] == [2]
    alone = settled(nodes[0])["price_tag"]
    assert "nodes_unmetered" in alone["flags"]


def test_a_restart_is_another_attempt_and_the_last_one_says_how_the_job_ended() -> None:
    first = on_node("a", restart=0, nodes=1, begin_s=0, status="cancelled")
    again = on_node("b", restart=1, nodes=1, begin_s=100)
    document = settled(again, first)
    tag = document["price_tag"]
    assert (document["run"]["status"], tag["duration_s"]["value"]) == ("succeeded", 20.0)
    assert "several_attempts" in tag["flags"]
    assert [each["status"] for each in tag["attempts"]] == ["cancelled", "succeeded"]
    failed = on_node("c", restart=1, nodes=2, begin_s=100, status="failed")
    assert settled(again, first, failed)["run"]["status"] == "failed"


@pytest.mark.parametrize(
    ("evidence", "is_flagged"),
    [
        ({"is_whole_node": False, "other_jobs": ["8"]}, True),
        ({"is_whole_node": False, "other_jobs": None}, True),  # nobody knows
        ({"is_whole_node": False, "other_jobs": []}, False),
        ({"is_whole_node": True, "other_jobs": ["8"]}, True),  # a node that is oversubscribed
        ({"is_whole_node": True, "other_jobs": None}, False),
    ],
)
def test_a_shared_node_is_flagged(evidence: Mapping[str, Any], is_flagged: bool) -> None:
    tag = settled(on_node("a", restart=0, nodes=1, begin_s=0, **evidence))["price_tag"]
    assert ("node_shared" in tag["flags"]) == is_flagged
    assert tag["attempts"][0]["scheduler"]["other_jobs"] == evidence["other_jobs"]
    unseen = settled(on_node("a", restart=0, nodes=1, begin_s=0, unseen_gpus=1))["price_tag"]
    assert "accelerators_unseen" in unseen["flags"]


def plant(folder: Path, content: list[dict[str, Any]]) -> Path:
    start = content[0]
    place = folder / f"{start['run_id']}.{start['attempt_id'][:8]}"
    journal = Journal.create(place, start["attempt_id"])
    journal.append_all(content)
    if content[-1]["type"] == "end":
        write_result(place, journal)
    journal.close()
    return place


def test_the_parts_of_a_job_in_one_data_folder_are_one_local_run(tmp_path: Path) -> None:
    first = on_node("a", restart=0, nodes=2, begin_s=0)
    second = on_node("b", restart=0, nodes=2, begin_s=2)
    plant(tmp_path, second[:-1])
    plant(tmp_path, first)
    runs = LocalRuns(tmp_path)
    (running,) = runs.all()
    assert (running.run["status"], running.price_tag) == ("running", None)
    for folder in tmp_path.glob("*"):
        if folder.name.endswith(second[0]["attempt_id"][:8]):
            (folder / f"{second[0]['attempt_id']}.jsonl").unlink()
    plant(tmp_path, second)
    (run,) = runs.find(str(first[0]["run_id"])[:8])
    assert isinstance(run, LocalRun)
    assert run.price_tag is not None
    assert run.price_tag["it_energy_kwh"]["value"] == pytest.approx(2 * ENERGY_KWH)
    assert verify_local(run)["outcome"] == "verified"
    text = run.parts[1].journal.read_text()
    run.parts[1].journal.write_text(text.replace('"counter_j":400.0', '"counter_j":390.0'))
    assert verify_local(run)["outcome"] != "verified"
    delete(run)
    assert runs.all() == []


def test_a_run_of_no_job_keeps_its_folder_and_its_only_attempt() -> None:
    request = Request("alone", "program")
    assert request.folder_name == request.run_id
    assert "scheduler" not in settled(records())["price_tag"]["attempts"][0]
    assert os.sep not in _of_job(request, task("single")).folder_name
