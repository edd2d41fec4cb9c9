"""One simulated machine: attempts with devices, a journal and a shipper each."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from app.db import Database
from app.repositories.people import projects
from app.repositories.runs import runs
from app.services.attempts import execution
from models import Run
from pricetag.metering.journal import Journal
from workers.attempt.shipper import Shipper

WATTS = 400.0


class Node:
    """One machine.

    Args:
        database: Engine of this process.
        folder: Folder of the journals.
        name: Name of the node.
        devices: Number of devices of each attempt.
    """

    def __init__(self, database: Database, folder: Path, name: str, devices: int) -> None:
        self._database = database
        self._folder = folder
        self._name = name
        self._ids = [f"gpu:{name}-{number}" for number in range(devices)]
        self._components = [
            {"id": id_, "kind": "gpu", "name": "GPU", "method": "counter", "gain_std_ratio": 0.05}
            for id_ in self._ids
        ]
        self.ending = asyncio.Event()
        self.runs: list[UUID] = []
        self.batches: list[tuple[float, float, int]] = []
        """When each batch was sent (clock of the machine, s), how long it took (s), its records."""

    async def begin(self) -> UUID:
        """A run that this node has claimed; its attempt."""
        async with self._database.session_scope() as session:
            project_id = await projects.ensure_project(session, f"ingest on {self._name}")
            experiment_id = await projects.ensure_experiment(session, project_id, "readings")
            run = Run(
                id=uuid4(),
                project_id=project_id,
                experiment_id=experiment_id,
                name="readings",
                kind="train",
                recipe={"stages": [{"kind": "train"}]},
            )
            await runs.add(session, run)
            claim = await execution.claim(
                session, run.id, worker=self._name, node_name=self._name, devices=[]
            )
        assert claim is not None
        self.runs.append(run.id)
        return claim.attempt_id

    async def attempt(self, attempt_id: UUID, phase_s: float) -> None:
        """Reads once a second and ships, until the node ends."""
        journal = Journal.create(self._folder, attempt_id)
        shipper = Shipper(journal, attempt_id, self._ingest)
        shipping = asyncio.create_task(shipper.run())
        began_s = time.monotonic()
        journal.append({"type": "start", "t_s": 0.0, "at": _now(), **self.start(attempt_id)})
        await asyncio.sleep(phase_s)
        while not self.ending.is_set():
            journal.append_all(self.records(time.monotonic() - began_s))
            await asyncio.sleep(1.0 - (time.monotonic() - began_s - phase_s) % 1.0)
        end = {"type": "end", "t_s": time.monotonic() - began_s, "status": "succeeded"}
        journal.append({**end, "at": _now()})
        shipper.finish()
        await shipping
        journal.close()

    def start(self, attempt_id: UUID) -> dict[str, Any]:
        """The fields of the record that begins a journal."""
        return {"attempt_id": str(attempt_id), "devices": [], "components": self._components}

    def records(self, t_s: float) -> list[dict[str, Any]]:
        """What is read and reported in one second."""
        stamp = {"t_s": t_s, "at": _now()}
        energy = {"counter_j": 1e6 + WATTS * t_s, "integrated_j": WATTS * t_s, "power_w": WATTS}
        readings = [
            {"type": "reading", **stamp, "component": id_, **energy, "flags": []}
            for id_ in self._ids
        ]
        progress = {"kind": "train", "name": "train", "done": t_s, "total": 1e4, "unit": "steps"}
        return [*readings, {"type": "progress", **stamp, "key": "0", **progress}]

    async def _ingest(self, attempt_id: UUID, records: list[dict[str, Any]]) -> int:
        began_s = time.monotonic()
        async with self._database.session_scope() as session:
            watermark = await execution.ingest(session, attempt_id, records)
        self.batches.append((began_s, time.monotonic() - began_s, len(records)))
        return watermark


def _now() -> str:
    return datetime.now(UTC).isoformat()


async def run_node(url: str, folder: Path, name: str, attempts: int, devices: int) -> None:
    """A node that works until its input ends; prints its runs first, its batches last."""
    database = Database(url, pool_size=attempts)
    node = Node(database, folder / name, name, devices)
    begun = [await node.begin() for _ in range(attempts)]
    print(json.dumps([str(run_id) for run_id in node.runs]), flush=True)
    working = asyncio.gather(
        *(node.attempt(id_, number / attempts) for number, id_ in enumerate(begun))
    )
    await asyncio.to_thread(sys.stdin.read)
    measured = list(node.batches)
    node.ending.set()
    await working
    await database.dispose()
    print(json.dumps(measured), flush=True)
