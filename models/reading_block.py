"""Readings that no longer change, packed in blocks."""

from __future__ import annotations

import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class ReadingBlock(Base):
    """Consecutive readings of one component of an attempt that are no longer rows.

    `content` begins with the last reading of the previous block, so that a block has everything
    that its steps need. :mod:`models.packed` makes it and the levels.
    """

    __tablename__ = "reading_blocks"

    attempt_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("attempts.id", ondelete="CASCADE"), primary_key=True
    )
    component: Mapped[str] = mapped_column(primary_key=True)
    first_seq: Mapped[int] = mapped_column(primary_key=True)  # of its first own reading
    last_seq: Mapped[int]
    steps: Mapped[int]  # between its readings, with that from the block before
    last_t_s: Mapped[float]  # the latest time of a reading
    is_settled: Mapped[bool]  # whether later readings change none of its steps
    sha256: Mapped[bytes]  # of the readings, whatever their form
    content: Mapped[bytes]
    level_8: Mapped[bytes | None]  # segments of 8 steps; null if there are fewer
    level_64: Mapped[bytes | None]
    level_512: Mapped[bytes | None]
    level_4096: Mapped[bytes | None]
