"""A lab for tests of the live pages: a node with two GPUs, its idle power, runs that wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.db import Session
from app.services.attempts import execution
from app.services.energy import baselines
from app.services.energy.baselines import IdlePower
from app.services.queueing import waiting
from app.services.queueing.waiting import Offer
from tests.support.executions import BEGIN, GPU, make_run

NODE = "node"
DEVICES: list[dict[str, Any]] = [
    {"uuid": GPU.removeprefix("gpu:"), "name": "NVIDIA H200"},
    {"uuid": "GPU-idle", "name": "NVIDIA H200"},
]
CAPABILITIES = {
    "meters": [
        {"name": "nvml", "available": True, "detail": "2 x NVIDIA H200", "command": None},
        {"name": "rapl-package", "available": False, "detail": "no permission", "command": "chmod"},
    ],
    "devices": [{"uuid": each["uuid"], "power_limit_w": 700.0} for each in DEVICES],
}


async def register(session: Session, name: str = NODE) -> None:
    """A node that its worker has examined."""
    await execution.register_node(
        session,
        name=name,
        pool="default",
        devices=DEVICES,
        capabilities=CAPABILITIES,
        place="here",
    )


async def fill_live(session: Session, names: Sequence[str], created_by: UUID) -> None:
    """The node with a live worker, one whose worker is gone, and runs that wait."""
    await register(session)
    await register(session, names[1])
    await waiting.announce(session, "live worker", NODE, Offer("default", 2, 1, True))
    await baselines.record(
        session,
        NODE,
        [IdlePower("gpu:GPU-idle", "driver 1, P8", 71.5, 0.5, 60.0, "counter", BEGIN)],
    )
    for name in names:
        await make_run(session, name=name.strip(), created_by=created_by, gpus=1)
