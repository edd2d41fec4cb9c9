"""Checks packed readings: their hashes, their levels, and that they follow one another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.readings import blocks as reading_blocks
from app.repositories.readings.readings import opened
from app.services.attempts.packing import NOBODY, new_block
from models.packed.codec import DamagedReadingsError
from models.packed.columns import Columns

BLOCKS_AT_ONCE = 100
DERIVED = (
    *("last_seq", "steps", "last_t_s", "is_settled"),
    *("level_8", "level_64", "level_512", "level_4096"),
)
"""Columns of a block that follow from its readings."""

START = (NOBODY, "", 0)

Start = tuple[UUID, str, int]


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of one step.

    Attributes:
        next: Block from which the next step continues; None if none is left.
        blocks: Number of blocks that were checked.
        wrong: The differences, one line per block.
    """

    next: Start | None
    blocks: int
    wrong: tuple[str, ...]


async def check_some(
    session: Session, start: Start = START, limit: int = BLOCKS_AT_ONCE
) -> Checked:
    """Checks the next blocks; nothing is written.

    Args:
        session: Database session.
        start: `next` of the step before.
        limit: Maximum number of blocks.
    """
    blocks = await reading_blocks.blocks_from(session, start, limit + 1)
    wrong = await asyncio.to_thread(_all_wrong, blocks)
    last = blocks[-1] if len(blocks) > limit else None  # checked with the next ones, too
    following = None if last is None else (last.attempt_id, last.component, last.first_seq)
    return Checked(following, min(len(blocks), limit), tuple(wrong))


def _all_wrong(blocks: Sequence[Any]) -> list[str]:
    read = [_read(block) for block in blocks]
    wrong = [
        f"attempt {block.attempt_id}: {text}"
        for block, columns in zip(blocks, read, strict=True)
        if (text := columns if isinstance(columns, str) else difference(block, columns))
    ]
    for (block, columns), (after, columns_after) in pairwise(zip(blocks, read, strict=True)):
        is_same = (block.attempt_id, block.component) == (after.attempt_id, after.component)
        if not is_same or isinstance(columns, str) or isinstance(columns_after, str):
            continue
        if columns[-1:].readings() != columns_after[:1].readings():
            wrong.append(
                f"attempt {block.attempt_id}: readings of {block.component} are missing between"
                f" {block.last_seq} and {after.first_seq}"
            )
    return wrong


def _read(block: Any) -> Columns | str:
    try:
        return opened(block.component, block.content, block)
    except DamagedReadingsError as error:
        return str(error)


def difference(block: Any, columns: Columns) -> str | None:
    """Columns of a block that do not follow from its readings."""
    name = f"block {block.first_seq} to {block.last_seq} of {block.component}"
    if block.has_rows:
        return f"{name}: some of its readings are also rows"
    expected = asdict(new_block((block.attempt_id, block.component), columns, block.first_seq))
    for column in DERIVED:
        if getattr(block, column) != expected[column]:
            return f"{name}: {column} does not follow from its readings"
    if block.first_seq not in columns.seq[:2]:
        return f"{name}: its first reading is missing"
    if block.is_first and block.first_seq != columns.seq[0]:
        return f"{name}: readings before it are missing"
    return None
