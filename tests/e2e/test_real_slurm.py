"""Jobs on a real Slurm: two nodes on this machine, for the time of the test.

It needs Slurm and munge (``apt-get install slurmctld slurmd slurm-client munge``), root, and
``TEST_REAL_SLURM=1``; everywhere else ``tests/unit/local/test_slurm.py`` proves the same rules
on what a real one has given.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pricetag.local.runs import LocalRun, LocalRuns
from tests.support.local_runs import wait_for

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    os.environ.get("TEST_REAL_SLURM") != "1"
    or os.geteuid() != 0
    or not all(map(shutil.which, PROGRAMS)),
    reason="needs a real Slurm, root and TEST_REAL_SLURM=1",
)

CONFIGURATION = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
Prolog={folder}/prolog.sh
Epilog={folder}/epilog.sh
NodeName=a NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 State=UNKNOWN
NodeName=b NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 State=UNKNOWN
PartitionName=main Nodes=a,b Default=YES MaxTime=INFINITE State=UP
"""


@dataclass
class Cluster:
    """A cluster of two nodes."""

    folder: Path
    environ: dict[str, str]

    def run(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environ, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def submit(self, body: str, *options: str) -> str:
        script = self.folder / "job.sh"
        script.write_text(f"#!/bin/sh\n{body}\n")
        output = f"--output={self.folder}/%j.out"
        return self.run("sbatch", "--parsable", output, *options, str(script))

    def settled(self, most: int, where: Callable[[LocalRun], bool]) -> list[LocalRun]:
        """The local runs for which something holds, once there are enough and all have ended."""
        runs = LocalRuns(self.folder / "data" / "local")

        def matching() -> list[LocalRun]:
            return [run for run in runs.all() if where(run)]

        wait_for(lambda: len(matching()) == most and all(run.price_tag for run in matching()))
        return matching()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("slurm")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)  # munged insists
    (folder / "state").mkdir()
    for name in ("prolog", "epilog"):
        script = folder / f"{name}.sh"
        deployed = ROOT / "deploy/slurm" / script.name
        script.write_text(f"#!/bin/sh\nPRICETAG_SLURM_SPOOL={folder}/notes exec {deployed}\n")
        script.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    ports = [free_port() for _ in range(3)]
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(host=socket.gethostname(), folder=folder, ports=ports)
    )
    own = {
        "SLURM_CONF": str(configuration),
        "PRICETAG_DATA_DIR": str(folder / "data"),
        "PRICETAG_METER_HOST": "model",
        "PRICETAG_SLURM_SPOOL": str(folder / "notes"),
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PRICETAG_", "SLURM"))}
    environ = inherited | own
    munge = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    daemons = [
        ["munged", "--foreground", "--force", f"--socket={folder}/munge.sock", *munge],
        ["slurmctld", "-D"],
        ["slurmd", "-D", "-N", "a"],
        ["slurmd", "-D", "-N", "b"],
    ]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in daemons:
            log = (folder / f"{len(started)}.log").open("wb")
            started.append(
                subprocess.Popen(command, env=environ, stdout=log, stderr=log, stdin=None)
            )
            log.close()
            if command[0] == "munged":
                wait_for((folder / "munge.sock").exists)
        made = Cluster(folder, environ)

        def is_up() -> bool:
            shown = subprocess.run(
                ["sinfo", "-h", "-o", "%t %D"], env=environ, capture_output=True, text=True
            )
            return shown.stdout.split() == ["idle", "2"]

        wait_for(is_up)
        yield made
        made.run("scancel", "--user=root")
        wait_for(lambda: made.run("squeue", "-h") == "")  # their steps end before the daemons
    finally:
        for daemon in reversed(started):
            daemon.send_signal(signal.SIGTERM)
        for daemon in started:
            daemon.wait()


def metered(code: str) -> str:
    return f'srun {sys.executable} -m pricetag run --quiet -- {sys.executable} -c "{code}"'


def scheduler(run: LocalRun) -> list[dict[str, Any]]:
    assert run.price_tag is not None
    return [attempt["scheduler"] for attempt in run.price_tag["attempts"]]


def test_two_nodes_with_two_tasks_each_are_one_run(cluster: Cluster) -> None:
    body = metered("import time; time.sleep(1)")
    job = cluster.submit(body, "--nodes=2", "--ntasks=4", "--account=vision")
    (run,) = cluster.settled(1, lambda run: f"slurm-job:{job}" in run.run["tags"])
    assert (run.run["project"], run.run["status"]) == ("vision", "succeeded")
    assert sorted(each["node"] for each in scheduler(run)) == ["a", "b"]
    assert {each["other_jobs_source"] for each in scheduler(run)} == {"notes of Prolog and Epilog"}
    assert run.price_tag is not None
    assert "nodes_unmetered" not in run.price_tag["flags"]


def test_tasks_of_an_array_share_a_node_and_say_so(cluster: Cluster) -> None:
    # Each waits until the other has begun.
    flag = cluster.folder / "begun"
    code = (
        f"import os, time; open('{flag}.' + os.environ['SLURM_ARRAY_TASK_ID'], 'w')\n"
        f"while not all(os.path.exists('{flag}.' + n) for n in '34'): time.sleep(0.1)"
    )
    cluster.submit(metered(code), "--array=3-4", "--ntasks=1", "--nodelist=a")
    runs = cluster.settled(2, lambda run: any(t.startswith("slurm-index") for t in run.run["tags"]))
    ids = {each["job_id"] for run in runs for each in scheduler(run)}
    for run in runs:
        (own,) = scheduler(run)
        assert own["other_jobs"] == sorted(ids - {own["job_id"]})
        assert run.price_tag is not None
        assert "node_shared" in run.price_tag["flags"]


def test_a_requeued_job_is_another_attempt_of_its_run(cluster: Cluster) -> None:
    begun = cluster.folder / "first"
    code = (
        f"import os, time; open(r'{begun}', 'w'); "
        "time.sleep(0 if os.environ.get('SLURM_RESTART_COUNT') else 600)"
    )
    job = cluster.submit(metered(code), "--ntasks=1", "--requeue")
    wait_for(begun.exists)
    journals = cluster.folder / "data" / "local"
    wait_for(lambda: any(job in path.read_text() for path in journals.glob("*/*.jsonl")))
    cluster.run("scontrol", "requeue", job)
    # Slurm waits two minutes before it starts a requeued job again.
    wait_for(lambda: "PENDING" in cluster.run("squeue", "-h", "-o", "%T", "-j", job))
    cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now")

    def is_repeated(run: LocalRun) -> bool:
        return f"slurm-job:{job}" in run.run["tags"] and len(run.parts) == 2

    (run,) = cluster.settled(1, is_repeated)
    assert [each["restart"] for each in scheduler(run)] == [0, 1]
    assert (run.run["status"], len(run.parts)) == ("succeeded", 2)
    assert run.price_tag is not None
    assert [each["status"] for each in run.price_tag["attempts"]] == ["cancelled", "succeeded"]
    assert "several_attempts" in run.price_tag["flags"]
