"""Links that show a paper, a report or a run to anybody who has them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, deferred, mapped_column

from models.base import Base, HasCreatedAt, HasId
from models.documents.column import Document


class Share(HasId, HasCreatedAt, Base):
    """A share link. The secret is in the link; only its SHA-256 is kept.

    A link to a paper shows the report that was its newest when the link was made.
    """

    __tablename__ = "shares"
    __table_args__ = (CheckConstraint("kind in ('paper', 'report', 'run')", name="kind"),)

    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), index=True)
    secret_sha256: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    paper_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("papers.id", ondelete="SET NULL"), index=True
    )
    report_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("reports.id", ondelete="CASCADE"), index=True
    )
    run_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("runs.id", ondelete="CASCADE"), index=True
    )
    title: Mapped[str]  # of the object when the link was made
    is_anonymous: Mapped[bool]
    expires_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    use_count: Mapped[int] = mapped_column(default=0)
    last_used_at: Mapped[datetime | None]
    content_sha256: Mapped[str]
    # What is shown, where that is not the report itself: of a run, and for blind review.
    context: Mapped[dict[str, Any] | None] = deferred(mapped_column(Document))
    # Price tags of an archive for blind review: their texts, by run ID.
    price_tags: Mapped[dict[str, Any] | None] = deferred(mapped_column(Document))
