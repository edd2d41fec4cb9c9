"""Deletes states of trainings that a study has kept for its rungs and no longer needs.

A state is about twice the size of the weights. It goes when the study has ended and no open run
starts from it, unless a paper or a share link has its run. The model stays.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from app.artifact_store.stores import Content
from app.db import Session
from app.repositories.attempts import stored
from pricetag.recipes.upstream import TRAINING_STATE

AT_ONCE = 100
"""Maximum number of files of one call, during which no reference can be written."""

LOCK_WITHIN_S = 2.0
PATTERN = rf"^[^/]+/[0-9]+/stage-[0-9]+-train/{TRAINING_STATE}[^/]+$"


@dataclass(frozen=True, slots=True)
class StateFile:
    """A file of the state of a training.

    Attributes:
        id: ID of the artifact.
        run_id: Its run.
        attempt: Number of its attempt.
        path: Path below the artifact folder.
        content: Its registered content.
        is_stored: Whether it is in the artifact store, not in the folder of a node.
    """

    id: uuid.UUID
    run_id: uuid.UUID
    attempt: int
    path: str
    content: Content
    is_stored: bool


async def unneeded(
    session: Session,
    node_name: str,
    *,
    with_store: bool,
    only: Collection[uuid.UUID] | None = None,
) -> list[StateFile]:
    """Files that no rung of a study will read any more: of a node's folder, and of the store.

    Args:
        session: Database session, only read.
        node_name: The node.
        with_store: Whether to include those in the artifact store.
        only: Artifacts to look at; None for all.
    """
    rows = await stored.training_states(
        session, PATTERN, node_name, AT_ONCE, with_store=with_store, only=only
    )
    return [
        StateFile(
            row.id,
            row.run_id,
            row.number,
            row.path,
            Content(row.sha256, row.size_bytes),
            row.is_stored,
        )
        for row in rows
    ]


async def release(
    session: Session,
    node_name: str,
    files: Sequence[StateFile],
    delete: Callable[[StateFile], bool],
) -> list[StateFile]:
    """Deletes those of some files that are still unneeded, and notes it.

    If it is interrupted, the files that are gone are noted in the next round.

    Args:
        session: Database session; the caller commits.
        node_name: The node that deletes them.
        files: Result of ``unneeded``.
        delete: Deletes a file in the folder of the node; returns whether it is gone. Objects in the
            store stay until nothing refers to their content (``collecting``).
    """
    await stored.wait_for_writers(session, stored.REFERRING, LOCK_WITHIN_S)
    still = await unneeded(session, node_name, with_store=True, only=[file.id for file in files])
    gone = [file for file in still if file.is_stored or await asyncio.to_thread(delete, file)]
    await stored.note_artifacts_removed(session, [file.id for file in gone])
    return gone
