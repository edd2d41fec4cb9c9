from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, now


class SentJournal(Base):
    """How far the journal of an attempt that no queue started has arrived.

    The bytes are not kept: their records are applied, in the same transaction.
    """

    __tablename__ = "sent_journals"

    attempt_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("attempts.id", ondelete="CASCADE"), primary_key=True
    )
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    records: Mapped[int] = mapped_column(default=0)  # lines
    chain_sha256: Mapped[str]  # SHA-256 of the chain of all lines
    updated_at: Mapped[datetime] = mapped_column(default=now)


class JournalChunk(Base):
    """A part of a sent journal, to recognize it when it is sent again."""

    __tablename__ = "journal_chunks"

    attempt_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("sent_journals.attempt_id", ondelete="CASCADE"), primary_key=True
    )
    begin_byte: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    size_bytes: Mapped[int]
    sha256: Mapped[str]
