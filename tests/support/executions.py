"""Runs, claims and journals for tests of the execution services."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.db import Session
from app.queue import entries
from app.services.attempts import execution
from models import Experiment, Project, Run

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
GPU = "gpu:GPU-1"
COMPONENTS: list[dict[str, Any]] = [
    {
        "id": GPU,
        "kind": "gpu",
        "name": "NVIDIA H200",
        "method": "counter",
        "gain_std_ratio": 0.05,
        "power_limit_w": 700.0,
        "notes": None,
    },
    {
        "id": "cpu",
        "kind": "cpu",
        "name": "AMD EPYC 9554",
        "method": "modelled",
        "gain_std_ratio": 0.45,
        "power_limit_w": None,
        "notes": "no RAPL",
    },
]


async def make_run(session: Session, *, enqueue: bool = False, **values: Any) -> Run:
    """A queued run in its own project."""
    project = Project(name=f"project {datetime.now(UTC).timestamp()}")
    session.add(project)
    await session.flush()
    experiment = Experiment(project_id=project.id, name="experiment")
    session.add(experiment)
    await session.flush()
    columns = {"name": "run", "kind": "train", "recipe": {"stages": [{"kind": "train"}]}, **values}
    run = Run(project_id=project.id, experiment_id=experiment.id, **columns)
    session.add(run)
    await session.flush()
    if enqueue:
        await entries.enqueue_run(session, run)
    return run


async def claim(session: Session, run_id: UUID, worker: str = "w1") -> execution.Claim | None:
    return await execution.claim(
        session,
        run_id,
        worker=worker,
        node_name="node",
        devices=[{"uuid": "GPU-1", "name": "NVIDIA H200"}],
    )


async def claimed(session: Session, run_id: UUID, worker: str = "w1") -> execution.Claim:
    claimed_run = await claim(session, run_id, worker)
    assert claimed_run is not None
    return claimed_run


class JournalMaker:
    """Writes a journal as a supervisor would: 100 W on the GPU, 50 W modelled on the CPU."""

    def __init__(self, attempt_id: UUID) -> None:
        self.attempt_id = attempt_id
        self.records: list[dict[str, Any]] = []

    def add(self, type_: str, t_s: float, **fields: Any) -> dict[str, Any]:
        record = {
            "seq": len(self.records),
            "type": type_,
            "t_s": t_s,
            "at": (BEGIN + timedelta(seconds=t_s)).isoformat(),
            **fields,
        }
        self.records.append(record)
        return record

    def start(self) -> None:
        self.add("start", 0.0, attempt_id=str(self.attempt_id), devices=[], components=COMPONENTS)

    def read(self, t_s: float, *, gpu_w: float = 100.0, cpu_w: float = 50.0) -> None:
        gpu_j, cpu_j = gpu_w * t_s, cpu_w * t_s
        for component, counter_j, integrated_j, power_w in (
            (GPU, 1e6 + gpu_j, gpu_j, gpu_w),
            ("cpu", None, cpu_j, cpu_w),
        ):
            self.add(
                "reading",
                t_s,
                component=component,
                counter_j=counter_j,
                integrated_j=integrated_j,
                power_w=power_w,
                flags=[],
            )

    def stage(self, key: str, index: int, start_s: float, end_s: float, kind: str) -> None:
        """A whole stage with its readings, one a second."""
        self.read(start_s)
        self.add(
            "stage_start",
            start_s,
            key=key,
            index=index,
            parent_key=None,
            recipe_index=index,
            kind=kind,
            name=kind,
        )
        for second in range(int(start_s) + 1, int(end_s)):
            self.read(float(second))
            self.add("progress", float(second), key=key, done=second, total=end_s, unit="s")
        self.read(end_s)
        self.add("stage_end", end_s, key=key, status="succeeded")

    def whole(self, status: str = "succeeded", reason: dict[str, Any] | None = None) -> None:
        """Train for 10 s, evaluate for 5 s, end at 16 s: 2400 J in all."""
        self.start()
        self.read(0.0)
        self.add("environment", 0.0, packages={"torch": "2.13.0"}, python="3.11", seeds={})
        self.stage("0", 0, 0.0, 10.0, "train")
        self.add("flops", 10.0, key="0", dense=1e12, effective=5e11, low_bit=None, method="closed")
        self.add("metric", 10.0, key="0", name="loss", value=0.25, step=7)
        self.stage("1", 1, 10.0, 15.0, "evaluate")
        self.add(
            "metric", 15.0, key="1", name="accuracy", value=0.9, split="validation", quality=True
        )
        self.add(
            "artifact",
            15.0,
            key="0",
            name="model",
            path="run/1/model.safetensors",
            size_bytes=5_000_000_000,
            sha256="0" * 64,
            card={"what": "a model"},
        )
        self.add("log", 15.5, stream="stdout", text="done")
        self.read(16.0)
        self.add("end", 16.0, status=status, reason=reason)
