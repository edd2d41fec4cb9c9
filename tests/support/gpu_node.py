"""A worker process on a node with simulated GPUs, and the jobs that are sent to it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.support.fake_nvml import FakeDevice, FakeTrace, build_fake_nvml, gpu_uuid, true_energy_j
from tests.support.service import Service

J_PER_KWH = 3_600_000
GPUS = 8
UUIDS = [gpu_uuid(number) for number in range(1, GPUS + 1)]

PRODUCT = "Tesla V100-SXM2-32GB"
"""A product of which the catalog knows a price: 0.74 to 2.48 USD a device-hour."""

# Writes when it has which devices, and works for some seconds.
JOB = """
echo "begin $(date +%s.%N) $0 ${CUDA_VISIBLE_DEVICES:-none}" >> "$1"
eval "sleep $2"
echo "end $(date +%s.%N) $0 ${CUDA_VISIBLE_DEVICES:-none}" >> "$1"
"""


def steady_trace() -> FakeTrace:
    """Devices of 100, 150, ... W, of which every second one steps up and down as time goes by."""
    devices = []
    for number, uuid in enumerate(UUIDS):
        base_w = 100.0 + 50.0 * number
        steps = [(1.5 * k, base_w + (180.0 if k % 2 else 0.0)) for k in range(1, 200)]
        power = tuple(steps) if number % 2 else ()
        devices.append(FakeDevice(uuid, base_w=base_w, power=power, name=PRODUCT))
    return FakeTrace(devices)


@dataclass(frozen=True)
class Held:
    """The devices that one execution of a job had, and from when to when (wall clock)."""

    name: str
    uuids: tuple[str, ...]
    begin_s: float
    end_s: float


@dataclass
class GpuNode:
    """A separate pool on a node of simulated GPUs."""

    lab: Service
    folder: Path
    trace: FakeTrace
    pool: str = "gpus"

    def __post_init__(self) -> None:
        self.variables = build_fake_nvml(self.folder, self.trace)
        self.notes = self.folder / "notes"
        self.notes.touch()

    def start_worker(
        self, *options: str, pool: str | None = None, visible: str | None = None
    ) -> subprocess.Popen[bytes]:
        """A worker that may run commands, on ``--gpus all`` unless the options say otherwise."""
        pool = pool or self.pool
        all_options = options if "--gpus" in options else ("--gpus", "all", *options)
        seen = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
        return self.lab.start_worker(
            *("--pool", pool, "--name", f"node-{pool}", "--allow-commands", *all_options),
            log=f"worker-{pool}",
            environment={**self.variables, **seen},
        )

    def submit(
        self, name: str, *, gpus: int, seconds: float | str, pool: str | None = None
    ) -> UUID:
        """A job of some seconds; as text that the shell expands."""
        argv = ["/bin/sh", "-c", JOB, name, str(self.notes), str(seconds)]
        return self.lab.submit(
            name=name,
            recipe={"stages": [{"kind": "command", "argv": argv}]},
            resources={"gpus": gpus, "pool": pool or self.pool},
        )

    def until_let_go(self, name: str, seconds: float) -> str:
        """A job that works for at least this long, and until it is released."""
        file = self.folder / f"go-{name}"
        return f"{seconds}; while [ ! -e {file} ]; do sleep 0.1; done"

    def let_go(self, name: str) -> None:
        (self.folder / f"go-{name}").touch()

    def begun(self) -> set[str]:
        """The names of the jobs that have begun."""
        return {line.split()[2] for line in self._lines() if line.startswith("begin")}

    def held(self) -> list[Held]:
        """Every completed execution."""
        begun: dict[str, float] = {}
        intervals = []
        for line in self._lines():
            what, at_s, name, devices = line.split()
            if what == "begin":
                begun[name] = float(at_s)
            else:
                uuids = tuple(devices.split(","))
                intervals.append(Held(name, uuids, begun.pop(name), float(at_s)))
        return intervals

    def _lines(self) -> Sequence[str]:
        return self.notes.read_text().splitlines()

    def true_j(self, journal: list[dict[str, Any]], uuid: str, duration_s: float) -> float:
        """What a device used while an attempt was metered, by the simulated counter."""
        opened_s = meter_opened_s(journal)
        return true_energy_j(self.trace, uuid, opened_s, opened_s + duration_s)


def meter_opened_s(journal: list[dict[str, Any]]) -> float:
    """The wall-clock time of an attempt's ``t_s`` = 0: no record is stamped before it was taken."""
    return min(
        datetime.fromisoformat(record["at"]).timestamp() - float(record["t_s"])
        for record in journal
        if record["type"] == "reading"
    )


def booked_j(tag: dict[str, Any]) -> dict[str, float | None]:
    """Energy by component of a price tag, or of one of its stages or attempts, in J."""
    energies = {item["id"]: item["it_energy_kwh"]["value"] for item in tag["components"]}
    return {key: None if kwh is None else kwh * J_PER_KWH for key, kwh in energies.items()}
