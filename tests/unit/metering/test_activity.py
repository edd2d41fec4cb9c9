"""CPU time of process trees: simulated processes and real ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pricetag.metering.activity import (
    TICKS_PER_S,
    HostActivity,
    ProcessTree,
    machine_busy_s,
    parse_stat,
    process_cpu_s,
)


def no_clock(pid: int) -> None:
    """Pretended processes have no clock of their own."""


@dataclass
class FakeProc:
    """A ``/proc`` with processes as a test says them; times in s."""

    root: Path
    now_s: float = 0.0

    def put(
        self,
        pid: int,
        *,
        parent: int,
        busy_s: float = 0.0,
        waited_s: float = 0.0,
        group: int | None = None,
        session: int = 1,
        start: int = 7,
        environ: bytes | None = None,
    ) -> None:
        ticks = [round(part * TICKS_PER_S) for part in (busy_s, 0.0, waited_s, 0.0)]
        fields = ["S", parent, group or pid, session, 0, -1, 0, 0, 0, 0, 0, *ticks]
        fields += [20, 0, 1, 0, start, 0]
        (self.root / str(pid)).mkdir(exist_ok=True)
        line = f"{pid} (a) b (c) " + " ".join(str(field) for field in fields)
        (self.root / str(pid) / "stat").write_text(line)
        if environ is not None:
            (self.root / str(pid) / "environ").write_bytes(environ)

    def end(self, *pids: int) -> None:
        for pid in pids:
            shutil.rmtree(self.root / str(pid))

    def tree(self, root: int) -> ProcessTree:
        tree = ProcessTree([b"MARK=1"], proc=self.root, cpu_s=no_clock, clock=self.tick)
        tree.adopt(root)
        return tree

    def tick(self) -> float:
        """Each look at the clock finds it 10 s later: new processes are always looked for."""
        self.now_s += 10.0
        return self.now_s


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    fake = FakeProc(tmp_path)
    fake.put(1, parent=0)
    fake.put(50, parent=1, busy_s=900.0)
    return fake


def test_the_fields_are_found_behind_a_name_with_brackets() -> None:
    head = b"4242 (a) weird) (name) R 17 18 19 0 -1 4194304 99 0 0 0 "
    stat = parse_stat(head + b"100 20 3 4 20 0 1 0 1284763 3133440 410")
    assert (stat.pid, stat.parent, stat.group, stat.session) == (4242, 17, 18, 19)
    assert stat.start_ticks == 1284763
    assert stat.busy_s == pytest.approx(120 / TICKS_PER_S)
    assert stat.total_s == pytest.approx(127 / TICKS_PER_S)


def test_a_live_process_is_read_by_its_own_clock_and_not_in_ticks(proc: FakeProc) -> None:
    proc.put(100, parent=50, busy_s=0.0, waited_s=0.02)
    tree = ProcessTree(proc=proc.root, cpu_s={100: 0.0034}.get)
    tree.adopt(100)
    assert tree.busy_s() == pytest.approx(0.0234)
    before_s, own_s = time.process_time(), process_cpu_s(os.getpid())
    assert own_s is not None
    assert before_s <= own_s <= time.process_time()
    assert process_cpu_s(4_194_304) is None  # no such process


def test_before_its_root_is_known_a_tree_is_empty(proc: FakeProc) -> None:
    tree = ProcessTree(proc=proc.root, cpu_s=no_clock, clock=proc.tick)
    assert tree.busy_s() == 0.0
    assert tree.pids() == set()


def test_children_and_their_descendants_are_counted_and_other_processes_are_not(
    proc: FakeProc,
) -> None:
    proc.put(100, parent=50, busy_s=1.0)
    proc.put(102, parent=101, busy_s=4.0)
    proc.put(101, parent=100, busy_s=2.0)
    tree = proc.tree(100)
    tree.busy_s()  # its children are looked for beside
    assert tree.busy_s() == pytest.approx(7.0)
    assert tree.pids() == {100, 101, 102}


def test_a_child_that_was_waited_for_is_counted_once(proc: FakeProc) -> None:
    proc.put(100, parent=50, busy_s=1.0)
    proc.put(101, parent=100, busy_s=3.0)
    tree = proc.tree(100)
    assert tree.busy_s() == pytest.approx(4.0)
    proc.end(101)
    proc.put(100, parent=50, busy_s=1.5, waited_s=3.4)  # it had continued after the last look
    assert tree.busy_s() == pytest.approx(4.9)
    assert tree.busy_s() == pytest.approx(4.9)


def test_a_child_that_nobody_waited_for_is_counted(proc: FakeProc) -> None:
    """Its parent ignores the ends of its children: the kernel drops their account."""
    proc.put(100, parent=50, busy_s=1.0)
    proc.put(101, parent=100, busy_s=3.0)
    tree = proc.tree(100)
    tree.busy_s()
    proc.end(101)
    proc.put(100, parent=50, busy_s=2.0)
    assert tree.busy_s() == pytest.approx(5.0)
    assert tree.busy_s() == pytest.approx(5.0)


def test_a_whole_branch_that_ends_between_two_readings_is_counted(proc: FakeProc) -> None:
    proc.put(100, parent=50, busy_s=1.0)
    proc.put(101, parent=100, busy_s=2.0)
    proc.put(102, parent=101, busy_s=4.0)
    proc.put(103, parent=101, busy_s=8.0)
    tree = proc.tree(100)
    tree.busy_s()
    assert tree.busy_s() == pytest.approx(15.0)
    proc.end(101, 102, 103)  # 101 had waited for 102 alone
    proc.put(100, parent=50, busy_s=1.0, waited_s=6.0)
    assert tree.busy_s() == pytest.approx(15.0)


def test_an_orphan_stays_by_its_group_and_its_end_is_kept(proc: FakeProc) -> None:
    proc.put(100, parent=50, busy_s=1.0)
    proc.put(101, parent=100, busy_s=1.0, group=100)
    tree = proc.tree(100)
    tree.busy_s()
    proc.put(102, parent=1, busy_s=5.0, group=100)  # its parent ended before it was seen
    assert tree.busy_s() == pytest.approx(7.0)
    proc.end(102)
    assert tree.busy_s() == pytest.approx(7.0)


def test_a_daemon_never_seen_beside_its_parent_is_identified_by_its_environment(
    proc: FakeProc,
) -> None:
    proc.put(100, parent=50, busy_s=1.0)
    tree = proc.tree(100)
    tree.busy_s()
    proc.put(102, parent=1, busy_s=5.0, session=102, environ=b"HOME=/\0MARK=1\0")
    proc.put(103, parent=1, busy_s=7.0, session=103, environ=b"HOME=/\0MARK=12\0")
    proc.put(104, parent=1, busy_s=9.0, session=104, start=6, environ=b"MARK=1\0")  # is older
    assert tree.busy_s() == pytest.approx(6.0)


def test_a_session_of_the_worker_is_not_the_jobs(proc: FakeProc) -> None:
    """A forked job has its own group, and shares its session with the worker."""
    proc.put(100, parent=50, busy_s=1.0, session=50)
    proc.put(60, parent=50, busy_s=9.0, session=50)
    tree = proc.tree(100)
    tree.busy_s()
    assert tree.busy_s() == pytest.approx(1.0)


def test_a_pid_that_is_used_again_is_another_process(proc: FakeProc) -> None:
    proc.put(100, parent=50, busy_s=1.0)
    proc.put(101, parent=100, busy_s=3.0, start=8)
    tree = proc.tree(100)
    tree.busy_s()
    proc.put(100, parent=50, busy_s=1.0, waited_s=3.0)
    proc.put(101, parent=1, busy_s=70.0, start=9)
    assert tree.busy_s() == pytest.approx(4.0)
    assert tree.pids() == {100}


def test_after_the_roots_end_the_figure_stays(proc: FakeProc) -> None:
    proc.put(100, parent=50, busy_s=2.0, waited_s=1.0)
    tree = proc.tree(100)
    assert tree.busy_s() == pytest.approx(3.0)
    proc.end(100)
    assert tree.busy_s() == pytest.approx(3.0)
    assert tree.pids() == set()


def test_the_process_that_waited_for_the_root_reports_unseen_use(proc: FakeProc) -> None:
    proc.put(100, parent=50, busy_s=2.0, waited_s=1.0)
    proc.put(101, parent=100, busy_s=4.0)
    tree = proc.tree(100)
    tree.busy_s()
    assert tree.busy_s() == pytest.approx(7.0)
    proc.end(100, 101)
    tree.ended(100, 7.25)  # 101 was waited for, and either had continued
    assert tree.busy_s() == pytest.approx(7.25)
    assert tree.busy_s() == pytest.approx(7.25)


def test_unseen_use_can_be_reported_after_the_end(proc: FakeProc) -> None:
    proc.put(100, parent=50, busy_s=2.0)
    proc.put(101, parent=100, busy_s=4.0, group=100)
    tree = proc.tree(100)
    tree.busy_s()
    proc.end(100)
    proc.put(101, parent=1, busy_s=4.5, group=100)  # nobody waited for it
    assert tree.busy_s() == pytest.approx(6.5)
    tree.ended(100, 2.5)
    assert tree.busy_s() == pytest.approx(7.0)


def test_a_job_that_ends_before_its_first_reading_is_charged(proc: FakeProc) -> None:
    tree = proc.tree(100)
    assert tree.busy_s() == 0.0
    tree.ended(100, 0.03)
    assert tree.busy_s() == pytest.approx(0.03)


def test_new_processes_are_discovered_at_little_cost(proc: FakeProc) -> None:
    proc.put(100, parent=50)
    tree = ProcessTree(proc=proc.root, cpu_s=no_clock, clock=lambda: proc.now_s)
    tree.adopt(100)
    tree.busy_s()
    proc.put(101, parent=100, busy_s=5.0)
    assert tree.busy_s() == pytest.approx(5.0)  # by this clock a look costs nothing

    slow = ProcessTree(proc=proc.root, cpu_s=no_clock, clock=proc.tick)  # a look takes 10 s
    slow.adopt(100)
    slow.busy_s()
    proc.put(102, parent=100, busy_s=5.0)
    assert slow.busy_s() == pytest.approx(10.0)  # 5 s after the last look at the latest


def test_the_machine_s_time_excludes_idle_and_stolen_time(tmp_path: Path) -> None:
    #                                user nice sys idle iowait irq softirq steal guest
    (tmp_path / "stat").write_text("cpu  100 20 30 9000 500 4 6 700 50 0\ncpu0 1 1 1\n")
    assert machine_busy_s(tmp_path) == pytest.approx(160 / TICKS_PER_S)


@pytest.mark.parametrize("text", ["cpu  0 0 0 0 0 0 0 0 0 0\n", "intr 5\n", ""])
def test_a_sandbox_that_counts_nothing_is_unknown_not_idle(tmp_path: Path, text: str) -> None:
    (tmp_path / "stat").write_text(text)
    assert machine_busy_s(tmp_path) is None
    assert HostActivity(ProcessTree(proc=tmp_path, cpu_s=no_clock), lambda: None).busy(1.0) == (
        None,
        None,
    )


def test_a_machine_without_proc_is_unknown(tmp_path: Path) -> None:
    assert machine_busy_s(tmp_path / "missing") is None


def test_components_read_together_share_one_scan(proc: FakeProc) -> None:
    proc.put(100, parent=50, busy_s=1.0)
    looks = iter([10.0, 20.0])
    activity = HostActivity(proc.tree(100), lambda: next(looks))
    assert activity.busy(1.0) == activity.busy(1.0) == (1.0, 10.0)
    assert activity.busy(2.0) == (1.0, 20.0)


BURN = "import time\nwhile time.thread_time() < {0}: pass\n"


@contextmanager
def started(code: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_awaited_orphaned_and_live_processes_are_counted(tmp_path: Path) -> None:
    """One child was waited for, one lives in its own session, its parent gone."""
    burn, seen = BURN.format(0.4), tmp_path / "seen"
    code = f"""
import subprocess, sys, time
subprocess.run([sys.executable, "-c", {burn!r}])
daemon = {burn + "time.sleep(60)"!r}
run = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {{daemon!r}}])"
wait = "\\nimport os, time\\nwhile not os.path.exists({str(seen)!r}): time.sleep(0.01)"
parent = subprocess.Popen([sys.executable, "-c", run + wait], start_new_session=True)
parent.wait()
print("ready", flush=True)
time.sleep(60)
"""
    with started(code) as process:
        tree = ProcessTree()
        assert tree.busy_s() == 0.0
        tree.adopt(process.pid)
        busy_s = [tree.busy_s()]
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        deadline_s = time.monotonic() + 120
        while process.stdout.read() is None:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
            busy_s.append(tree.busy_s())
            if len(tree.pids()) == 3:  # the program, the parent and the daemon
                seen.touch()
        while busy_s[-1] < 0.8:  # the daemon may have begun just now
            assert time.monotonic() < deadline_s, busy_s
            time.sleep(0.05)
            busy_s.append(tree.busy_s())
        assert busy_s == sorted(busy_s)
        interpreters_s = 1.5  # five starts, each some hundredths of a second
        assert 0.8 <= busy_s[-1] <= 0.8 + interpreters_s
        for pid in tree.pids() - {process.pid}:
            os.kill(pid, 9)
