from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class RunUpstream(Base):
    """A model of an earlier run that a run starts from; fixed when the run was posted."""

    __tablename__ = "run_upstreams"
    __table_args__ = (
        Index("ix_run_upstreams_upstream_run_id_run_id", "upstream_run_id", "run_id"),
    )

    run_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True
    )
    upstream_run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)  # name of the stage
    kind: Mapped[str]  # kind of the stage
    folder: Mapped[str]  # folder of the model, relative to the artifact root
    sha256: Mapped[str]  # hash of its weights
    files: Mapped[dict[str, Any]]  # sha256 of every file of the model, by name
