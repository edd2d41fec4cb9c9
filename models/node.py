from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasCreatedAt, HasId, now


class Node(HasId, HasCreatedAt, Base):
    """The machine and pool of a worker process, as last registered."""

    __tablename__ = "nodes"

    name: Mapped[str] = mapped_column(unique=True)  # host name, or PRICETAG_NODE_NAME
    pool: Mapped[str]
    devices: Mapped[list[Any]] = mapped_column(default=list)  # [{uuid, name, ...}]
    capabilities: Mapped[dict[str, Any]] = mapped_column(default=dict)  # result of the doctor
    place: Mapped[str | None]  # machine and data folder of the last registration
    last_seen_at: Mapped[datetime] = mapped_column(default=now)


class WorkerProcess(Base):
    """A worker that takes runs now, and which ones it can take; removed when it stops."""

    __tablename__ = "worker_processes"

    identity: Mapped[str] = mapped_column(primary_key=True)  # as in attempts.worker
    node_name: Mapped[str]
    pool: Mapped[str]
    gpus: Mapped[int]  # accelerators that one run can get here
    cpu_slots: Mapped[int]
    allows_commands: Mapped[bool]
    last_seen_at: Mapped[datetime] = mapped_column(default=now)
