"""Artifacts on their way from a node's folder to the artifact store."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from app.artifact_store.stores import Content, ObjectStore
from app.db import Session
from app.repositories.attempts import stored

AT_ONCE = 200
"""Maximum number of waiting artifacts of one call."""


class GoneAgainError(Exception):
    """The store no longer has the object; it must be stored again."""


@dataclass(frozen=True, slots=True)
class WaitingArtifact:
    """An artifact in the folder of its node.

    Attributes:
        id: Its ID.
        run_id: Its run.
        attempt: Number of its attempt.
        path: Path below the artifact folder.
        content: Its registered content.
    """

    id: uuid.UUID
    run_id: uuid.UUID
    attempt: int
    path: str
    content: Content


async def waiting(
    session: Session, node_name: str, after: uuid.UUID | None
) -> list[WaitingArtifact]:
    """Artifacts of ended attempts of a node that are not in the store.

    Args:
        session: Database session, only read.
        node_name: The node.
        after: ID of the last one of the previous call.
    """
    return [
        WaitingArtifact(
            row.id, row.run_id, row.number, row.path, Content(row.sha256, row.size_bytes)
        )
        for row in await stored.waiting(session, node_name, after, AT_ONCE)
    ]


async def note_stored(session: Session, artifact: WaitingArtifact, store: ObjectStore) -> bool:
    """Notes that an artifact is in the store, if it is.

    The row is written first: from then until the commit, no object is removed (``collecting``).

    Returns:
        Whether it was noted; False if the artifact was registered again in the meantime.

    Raises:
        GoneAgainError: If the store does not have it; the caller must roll back.
        StoreError: If the store cannot be reached; the caller must roll back.
    """
    if not await stored.note_stored(session, artifact.id, artifact.content.sha256):
        return False
    if not await asyncio.to_thread(store.has, artifact.content):
        raise GoneAgainError(artifact.content.sha256)
    return True


async def note_not_stored(session: Session, artifact: WaitingArtifact, reason: str) -> None:
    """Notes why an artifact stays in the folder of its node."""
    await stored.note_not_stored(session, artifact.id, reason)


async def stored_sizes(session: Session, hashes: Collection[str]) -> dict[str, int]:
    """Sizes of those contents that are in the store, by hash."""
    return await stored.stored_sizes(session, hashes)
