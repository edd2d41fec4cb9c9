"""A killed worker: the energy of its job is booked to its end, or lies in the interval."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.ledger import EnergyLedger
from pricetag.accounting.readings.reading import Reading
from pricetag.attempt.ending import every_record
from pricetag.attempt.last_moment import Trace, clock_of_meter
from pricetag.metering.journal import Journal
from pricetag.metering.machine import UNKNOWN
from tests.support.fake_powercap import FakePowercap, fake_powercap
from tests.support.orphans import adopt_orphans

ROOT = Path(__file__).resolve().parents[2]
PACKAGE_W, DRAM_W = 120.0, 10.0
JOB = "import time, pricetag\nfor _ in range(60):\n    with pricetag.stage('s'): time.sleep(1.37)"

Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def powercap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakePowercap]:
    folder = tmp_path_factory.mktemp("powercap")
    with fake_powercap(folder, package_w=PACKAGE_W, dram_w=DRAM_W) as powercap:
        yield powercap


@dataclass
class Doomed:
    """A worker with one job, and what it has written so far."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def path(self) -> Path:
        return next((self.folder / "journal").glob("*.jsonl"))

    def records(self) -> Records:
        try:
            lines = self.path.read_bytes().splitlines(keepends=True)
        except StopIteration:
            return []
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def wait_for(self, seen: Callable[[Records], bool], what: str) -> Records:
        for _ in range(2400):
            if seen(records := self.records()):
                return records
            time.sleep(0.05)
        raise AssertionError(f"{what} did not happen: {self.records()[-3:]}")

    def child(self) -> dict[str, Any]:
        (note,) = (self.folder / "journal").glob("*.child.json")
        child: dict[str, Any] = json.loads(note.read_text())
        return child

    def adopted(self, powercap: FakePowercap) -> Journal:
        """The journal, once nobody else has it, as the next worker takes it over."""
        for _ in range(200):
            for _, journal in adopt_orphans(self.folder / "journal", powercap.root):
                return journal
            time.sleep(0.05)
        raise AssertionError("the journal was not left")

    def nursery(self) -> int:
        stat = Path(f"/proc/{self.child()['pid']}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[1])


@pytest.fixture
def doomed(tmp_path: Path, powercap: FakePowercap) -> Iterator[Doomed]:
    script = textwrap.dedent(
        f"""
        import asyncio, pathlib
        from tests.support.supervised import supervise
        from workers.attempt.nursery import Nursery
        folder = pathlib.Path({str(tmp_path)!r})
        nursery = Nursery(allow_hub=False, journal_dir=folder / "journal")
        command = {{"kind": "command", "argv": [{sys.executable!r}, "-c", {JOB!r}]}}
        described = {{"stages": [command]}}
        asyncio.run(supervise(folder, described, nursery))
        """
    )
    settings = {"PRICETAG_METER_HOST": "rapl", "PRICETAG_POWERCAP_ROOT": str(powercap.root)}
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env={**os.environ, **settings}
    )
    yield Doomed(tmp_path, process)
    process.kill()
    process.wait()


def started(records: Records, count: int = 2) -> bool:
    return len([record for record in records if record["type"] == "stage_start"]) > count


def ended(records: Records) -> bool:
    return any(record["type"] == "end" for record in records)


def opened_at_s(records: Records) -> float:
    return datetime.fromisoformat(records[0]["at"]).timestamp() - float(records[0]["t_s"])


def energies_j(records: Records, end_s: float) -> dict[str, float]:
    readings = [Reading.from_record(record) for record in records if record["type"] == "reading"]
    energies: dict[str, float] = {}
    for stored in records[0]["components"]:
        component = Component.from_dict(stored)
        own = [reading for reading in readings if reading.component == component.id]
        energies[component.id] = EnergyLedger.of(component, own).window(0.0, end_s).energy_j or 0.0
    return energies


@pytest.mark.parametrize("after_edge_s", [0.02, 0.5, 0.95])
def test_a_killed_workers_attempt_is_read_to_its_end(
    doomed: Doomed, powercap: FakePowercap, after_edge_s: float
) -> None:
    doomed.wait_for(started, "the third stage")
    time.sleep(after_edge_s)
    killed_at_s = time.time()
    doomed.process.kill()
    records = doomed.wait_for(ended, "the end of the attempt")
    seen_at_s = time.time()
    end = records[-1]
    assert (end["status"], end["unread_j"]) == ("lost", None)
    opened_s = opened_at_s(records)
    assert killed_at_s - opened_s - 0.05 < end["t_s"] < seen_at_s - opened_s + 0.05
    energies = energies_j(records, end["t_s"])
    assert sum(energies.values()) == powercap.drew(end["t_s"])
    journal = doomed.adopted(powercap)
    assert list(every_record(journal))[-1] == end  # whoever comes later adds nothing
    journal.close()


@pytest.mark.parametrize("is_rebooted", [False, True])
def test_unread_energy_lies_within_the_bound(
    doomed: Doomed,
    powercap: FakePowercap,
    monkeypatch: pytest.MonkeyPatch,
    is_rebooted: bool,
) -> None:
    """As when a container or the machine goes down: nothing of the worker is left."""
    doomed.wait_for(started, "the third stage")
    time.sleep(0.7)
    nursery = doomed.nursery()
    os.kill(nursery, signal.SIGSTOP)
    killed_at_s = time.time()
    doomed.process.kill()
    os.kill(nursery, signal.SIGKILL)
    doomed.process.wait()
    time.sleep(2.5)
    if is_rebooted:
        monkeypatch.setattr("pricetag.attempt.last_moment.boot_id", lambda: "another")
    journal = doomed.adopted(powercap)
    records = list(every_record(journal))
    journal.close()
    end = records[-1]
    last_s = max(record["t_s"] for record in records if record["type"] == "reading")
    assert end["t_s"] == last_s
    energies = energies_j(records, end["t_s"])
    lasted_s = killed_at_s - opened_at_s(records)
    for name, power_w in (("rapl:package-0", PACKAGE_W), ("rapl:package-0-dram", DRAM_W)):
        missing_j = power_w * lasted_s - energies[name]
        assert 0 <= missing_j <= end["unread_j"][name]
        limit_s = lasted_s - last_s + (2.5 if is_rebooted else 1.5)
        assert end["unread_j"][name] < power_w * limit_s * 1.5


def test_the_clock_of_another_boot_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = Trace(clock=clock_of_meter(5.0))
    assert trace.now_s() == pytest.approx(5.0, abs=0.5)
    monkeypatch.setattr("pricetag.attempt.last_moment.boot_id", lambda: "another")
    assert trace.now_s() is None
    monkeypatch.setattr("pricetag.attempt.last_moment.boot_id", lambda: UNKNOWN)
    assert Trace(clock={"boot": UNKNOWN, "opened_s": 0.0}).now_s() is None
    assert Trace().now_s() is None
