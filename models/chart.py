"""Charts that pages show, by the hash of their content."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import LargeBinary, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasCreatedAt


class Chart(HasCreatedAt, Base):
    """A chart's Vega-Lite document, compressed; only who may see all its projects gets it."""

    __tablename__ = "charts"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    projects: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(Uuid))
    used_at: Mapped[datetime] = mapped_column(index=True)
