"""The journal of an attempt, as a worker's supervisor would have written it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.services.quoting.likeness import Step

HOST = {"cpu": "AMD EPYC 9554", "ram": "DDR5, 768 GB"}
BUSY_W = {"gpu": 520.0, "cpu": 180.0, "ram": 70.0}
IDLE_W = {"gpu": 95.0, "cpu": 90.0, "ram": 60.0}
PACKAGES = {
    "torch": "2.13.0",
    "transformers": "5.1.0",
    "datasets": "4.4.1",
    "accelerate": "1.12.0",
    "numpy": "2.3.5",
    "safetensors": "0.7.0",
}
LOSSES = 6
MAKES_MODEL = frozenset({"train", "distill", "prune", "quantize"})
FRACTIONS = {"evaluate": 0.04, "measure": 0.05, "quantize": 0.03, "distill": 0.6, "prune": 0.4}
"""Length of a stage, as a part of that of the training."""


def components_of(devices: Sequence[str]) -> list[dict[str, Any]]:
    """Accelerators with counters and a modelled host."""
    gpus = [
        {
            "id": f"gpu:{device}",
            "kind": "gpu",
            "name": "NVIDIA H200",
            "method": "counter",
            "gain_std_ratio": 0.05,
            "power_limit_w": 700.0,
            "baseline_w": IDLE_W["gpu"],
            "notes": None,
        }
        for device in devices
    ]
    host = [
        {
            "id": kind,
            "kind": kind,
            "name": name,
            "method": "modelled",
            "gain_std_ratio": 0.45,
            "power_limit_w": None,
            "notes": "no RAPL",
        }
        for kind, name in HOST.items()
    ]
    return [*gpus, *host]


@dataclass
class _Meter:
    component: dict[str, Any]
    busy_w: float
    energy_j: float = 0.0

    def advance(self, seconds: float, busy: bool) -> None:
        idle_w = IDLE_W[str(self.component["kind"])]
        self.energy_j += seconds * (self.busy_w if busy else idle_w)

    def fields(self, busy: bool) -> dict[str, Any]:
        counted = self.component["method"] == "counter"
        power_w = self.busy_w if busy else IDLE_W[str(self.component["kind"])]
        return {
            "component": self.component["id"],
            "counter_j": 5e6 + self.energy_j if counted else None,
            "integrated_j": self.energy_j * 1.002 if counted else self.energy_j,
            "power_w": power_w,
            "flags": [],
        }


class AttemptJournal:
    """Records of one attempt.

    Args:
        attempt_id: The attempt.
        opened_at: When its meter opened.
        devices: UUIDs of its accelerators.
        rng: Decides powers, losses and lengths.
        extra_readings: Readings of a component in each stage, besides those at its edges.
    """

    def __init__(
        self,
        attempt_id: UUID,
        opened_at: datetime,
        devices: Sequence[str],
        rng: random.Random,
        extra_readings: int = 0,
    ) -> None:
        self.records: list[dict[str, Any]] = []
        self._attempt_id = attempt_id
        self._opened_at = opened_at
        self._rng = rng
        self._extra = extra_readings
        self._devices = devices
        self._now_s = 0.0
        self._first_seq = 0
        self._meters = [
            _Meter(component, BUSY_W[component["kind"]] * rng.uniform(0.6, 1.15))
            for component in components_of(devices)
        ]

    @property
    def ends_at(self) -> datetime:
        return self._opened_at + timedelta(seconds=self._now_s)

    def add(self, type_: str, **fields: Any) -> None:
        self.records.append(
            {
                "seq": self._first_seq + len(self.records),
                "type": type_,
                "t_s": self._now_s,
                "at": self.ends_at.isoformat(),
                **fields,
            }
        )

    def open(self) -> None:
        """The meter opens; the job starts some seconds later."""
        self.add(
            "start",
            attempt_id=str(self._attempt_id),
            devices=[{"uuid": device, "name": "NVIDIA H200"} for device in self._devices],
            components=[meter.component for meter in self._meters],
        )
        self.add(
            "environment",
            packages=PACKAGES,
            python="3.11.9",
            platform="Linux x86_64",
            git_commit="3f1c2a9d5b7e4a6f8c0d1e2f3a4b5c6d7e8f9a0b",
            seeds={"stages.0": self._rng.randrange(5)},
        )
        self._read(busy=False)
        self.wait(self._rng.uniform(3, 20))

    def skip_to(self, seq: int, now_s: float) -> None:
        """Continues after records and time that others have written."""
        self.records.clear()
        self._first_seq, self._now_s = seq, now_s

    def wait(self, seconds: float, busy: bool = False) -> None:
        seconds = round(seconds, 3)
        for meter in self._meters:
            meter.advance(seconds, busy)
        self._now_s = round(self._now_s + seconds, 3)

    def _read(self, busy: bool) -> None:
        for meter in self._meters:
            self.add("reading", **meter.fields(busy))

    def stage(self, key: str, index: int, step: Step, seconds: float, status: str) -> None:
        """A stage with its metrics; one that is cut short or still running has no end."""
        self._read(busy=False)
        names = {"parent_key": None, "recipe_index": step.recipe_index, "kind": step.kind}
        self.add("stage_start", key=key, index=index, name=step.kind, **names)
        self.add("log", stream="stdout", text=f"{step.kind}: {seconds:.0f} s on this hardware")
        pauses = max(self._extra, LOSSES if step.kind in MAKES_MODEL else 1)
        for number in range(pauses):
            self.wait(seconds / pauses, busy=True)
            if number < self._extra:
                self._read(busy=True)
            if step.kind in MAKES_MODEL and number < LOSSES:
                value = 1 / (1.5 + number) + self._rng.uniform(-0.02, 0.02)
                self.add("metric", key=key, name="loss", value=value, step=50 * number)
        self._report(key, step)
        self._read(busy=True)
        if status == "succeeded":
            self.add("stage_end", key=key, status="succeeded")

    def _report(self, key: str, step: Step) -> None:
        if step.kind in {"train", "distill"}:
            self.add("metric", key=key, name="steps", value=500)
            self.add("metric", key=key, name="epochs", value=2.0)
            flops = self._rng.uniform(1e14, 9e15)
            self.add("flops", key=key, dense=flops, effective=flops, low_bit=None, method="closed")
        if step.kind == "evaluate":
            for name in ("accuracy", "f1"):
                value = round(self._rng.uniform(0.7, 0.95), 4)
                self.add(
                    "metric", key=key, name=name, value=value, split="validation", quality=True
                )
        if step.kind in MAKES_MODEL:
            path = f"{self._attempt_id}/{key}/model.safetensors"
            self.add(
                "artifact",
                key=key,
                name="model",
                path=path,
                size_bytes=self._rng.randrange(10**7, 10**9),
                sha256=hashlib.sha256(str(self._rng.random()).encode()).hexdigest(),
                card={"kind": step.kind, "parameters": 22_000_000, "task": "classification"},
            )

    def progress(self, key: str, done: float) -> None:
        """How far the running stage is."""
        self.add(
            "progress", key=key, kind="train", name="train", done=done, total=500.0, unit="steps"
        )

    def close(self, status: str, reason: dict[str, str] | None) -> None:
        """The job ends, and the meter closes."""
        self.wait(self._rng.uniform(0.5, 3))
        self._read(busy=False)
        if self._rng.random() < 0.3:
            energy_kwh = sum(meter.energy_j for meter in self._meters) / 3.6e6
            opinion = {"tool": "codecarbon", "version": "3.3.2", "duration_s": self._now_s}
            self.add("second_opinion", **opinion, energy_kwh=energy_kwh * 0.9)
        self.add("end", status=status, reason=reason)


def lengths_s(steps: Sequence[Step], minutes: float, rng: random.Random) -> Iterator[float]:
    """Length of every step, s: log-normal about the median of the training."""
    whole_s = 60 * min(minutes * rng.lognormvariate(0, 0.8), 20 * minutes, 20 * 60)
    for step in steps:
        yield max(2.0, whole_s * FRACTIONS.get(step.kind, 1.0) * rng.uniform(0.8, 1.2))
