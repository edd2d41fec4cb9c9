"""Sends the live power of a worker's meters to the servers."""

from __future__ import annotations

from app.db import Session
from app.repositories.runs import live as live_rows


async def send(session: Session, message: str) -> None:
    """Sends one message to every server when the caller commits; nothing is stored.

    Args:
        session: Committed by the caller.
        message: A batch as JSON, less than 8000 bytes.
    """
    await live_rows.notify_power(session, message)
