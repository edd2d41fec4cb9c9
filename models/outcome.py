from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Outcome(Base):
    """Summary of a successful run's usage, from which similar runs are quoted.

    It is derived from the run's price tag and written with it. The fingerprints identify
    similar runs.
    """

    __tablename__ = "outcomes"
    __table_args__ = (
        Index("ix_outcomes_recipe", "recipe_sha256", "pool", "gpus", "ended_at"),
        Index("ix_outcomes_shape", "shape_sha256", "pool", "gpus", "ended_at"),
        Index("ix_outcomes_family", "family_sha256", "pool", "gpus", "ended_at"),
        Index("ix_outcomes_data", "data_sha256", "ended_at"),
        Index("ix_outcomes_model", "model_sha256", "ended_at"),
        Index("ix_outcomes_pool", "pool", "gpus", "ended_at"),
        Index(
            "ix_outcomes_counted",
            "pool",
            "gpus",
            "ended_at",
            postgresql_where=text("flops > 0"),
        ),
    )

    run_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True
    )
    recipe_sha256: Mapped[str]  # hash of the recipe without names and seeds
    shape_sha256: Mapped[str]  # ... and without fields that change neither the work nor its kind
    family_sha256: Mapped[str]  # hash of the kinds of its steps, its model and its data
    data_sha256: Mapped[str | None]  # hash of task and data; null for a command
    model_sha256: Mapped[str | None]
    pool: Mapped[str]
    gpus: Mapped[int]
    site: Mapped[str | None]
    ended_at: Mapped[datetime]
    price_tag_version: Mapped[int]
    duration_s: Mapped[float | None]
    it_energy_kwh: Mapped[float | None]
    coverage_ratio: Mapped[float | None]
    flops: Mapped[float | None]  # dense FLOPs of all attempts
    steps: Mapped[list[Any]]  # [{step, kind, work, duration_s, it_energy_kwh, flops, ...}]
