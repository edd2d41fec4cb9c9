from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class RunUpstream(Base):
    """A run takes a model that an earlier run has published; settled when it was posted."""

    __tablename__ = "run_upstreams"

    run_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True
    )
    upstream_run_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("runs.id"), primary_key=True, index=True
    )
    stage: Mapped[str] = mapped_column(primary_key=True)  # its name
    kind: Mapped[str]  # of that stage
    folder: Mapped[str]  # of the model, relative to the artifact root
    sha256: Mapped[str]  # of its weights
    files: Mapped[dict[str, Any]]  # sha256 of every file of the model, by name
