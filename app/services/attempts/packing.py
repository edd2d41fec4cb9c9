"""Packs readings that no longer change: blocks of columns instead of rows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.db import Database, Session
from app.repositories.attempts import attempts
from app.repositories.readings import blocks as reading_blocks
from app.repositories.readings.blocks import Key, NewBlock, Packed, Tail
from app.repositories.readings.readings import opened
from models import Attempt
from models.packed import codec, levels
from models.packed.codec import DamagedReadingsError
from models.packed.columns import Columns, joined
from models.packed.steps import LONGEST_STEPS, WIDEST_STEPS, cut, is_settled, steps_of

logger = logging.getLogger(__name__)

AT_SETTLEMENT = 20_000
"""Maximum number of rows of an attempt that is packed at its end; the server packs longer ones."""

ATTEMPTS_AT_ONCE = 50
ROWS_AT_ONCE = 100_000
"""Rows in one transaction: some MB, and a second of work."""

NOBODY = UUID(int=0)
"""The position before every attempt."""


@dataclass(frozen=True, slots=True)
class Step:
    """Result of one step of packing.

    Attributes:
        after: Attempt from which the next step continues.
        readings: Number of readings that it packed.
        busy: Number of ended attempts that were locked by others.
    """

    after: UUID
    readings: int
    busy: int

    @property
    def share(self) -> float:
        """Estimated share of the attempts that are done, from 0 to 1; ids are random."""
        return float(self.after.int / 2**128)


async def pack_settled(session: Session, attempt: Attempt) -> None:
    """Packs the readings of an attempt that has ended; its end is booked even if this fails.

    Args:
        session: Committed by the caller.
        attempt: Locked by the caller.
    """
    try:
        async with session.begin_nested():
            tails = await reading_blocks.tails(session, [attempt.id], limit=AT_SETTLEMENT + 1)
            if sum(len(tail.columns) for tail in tails) <= AT_SETTLEMENT:
                await _pack(session, tails, is_final=True)
    except Exception:  # the server's housekeeping tries again
        logger.exception("attempt %s: its readings could not be packed", attempt.id)


async def pack_some(database: Database, after: UUID = NOBODY) -> Step | None:
    """Packs the readings of the next attempts, in its own transactions.

    Several processes may do so, while the service runs. If interrupted, nothing is lost: call
    it again.

    Args:
        database: Engine and sessions of this process.
        after: `after` of the step before.

    Returns:
        What was done; None if no attempt is left.
    """
    async with database.session_scope() as session:
        attempts = await reading_blocks.attempts_with_rows(session, after, ATTEMPTS_AT_ONCE)
        if not attempts:
            return None
        ended = [attempt_id for attempt_id, is_ended in attempts if is_ended]
        locked = await reading_blocks.lock_ended(session, ended)
        tails = await reading_blocks.tails(session, locked, limit=ROWS_AT_ONCE)
        packed = await _pack(session, tails, is_final=True)
    last = attempts[-1][0]
    partly = [tail.key[0] for tail in tails if not tail.is_whole]
    if partly and packed:  # this attempt is the first of the next step
        last = UUID(int=partly[0].int - 1)
    for attempt_id, is_ended in attempts:
        if not is_ended and attempt_id <= last:
            packed += await _pack_open(database, attempt_id)
    return Step(last, packed, len(ended) - len(locked))


async def _pack_open(database: Database, attempt_id: UUID) -> int:
    """Packs full blocks of an open attempt, one per transaction, while its journal waits."""
    packed = 0
    async with database.session_scope() as session:
        components = await reading_blocks.long_tails(session, attempt_id, WIDEST_STEPS)
    for component in components:
        while rows := await _pack_component(database, attempt_id, component):
            packed += rows
    return packed


async def _pack_component(database: Database, attempt_id: UUID, component: str) -> int:
    async with database.session_scope() as session:
        attempt = await attempts.lock(session, attempt_id)
        if attempt is None:
            return 0
        for limit in (2 * WIDEST_STEPS, LONGEST_STEPS + 1):  # more if its counter is not moving
            tails = await reading_blocks.tails(
                session, [attempt_id], limit=limit, component=component
            )
            if packed := await _pack(session, tails, is_final=False):
                return packed
        return 0


async def _pack(session: Session, tails: Sequence[Tail], *, is_final: bool) -> int:
    """Packs what makes blocks; the number of readings. The caller has locked the attempts."""
    if not tails:
        return 0
    newest = await reading_blocks.newest_blocks(session, [tail.key for tail in tails])
    packed = await asyncio.to_thread(_all_packed, tails, newest, is_final)
    if packed:
        await reading_blocks.write(session, packed)
    return sum(item.rows for item in packed)


def _all_packed(tails: Sequence[Tail], newest: Mapping[Key, Any], is_final: bool) -> list[Packed]:
    packed = []
    for tail in tails:
        try:
            item = packed_tail(tail, newest.get(tail.key), is_final=is_final and tail.is_whole)
        except DamagedReadingsError as error:  # its rows stay unpacked
            logger.error("attempt %s: %s", tail.key[0], error)
            continue
        if item is not None:
            packed.append(item)
    return packed


def packed_tail(tail: Tail, newest: Any, *, is_final: bool) -> Packed | None:
    """The blocks that a component's rows make; None if there are too few rows yet.

    Args:
        tail: The rows.
        newest: The component's last block, if any. If later readings may change its steps,
            the first of the new blocks replaces it.
        is_final: Whether the attempt has ended, so that the rest makes a short block.

    Raises:
        DamagedReadingsError: If the last block cannot be read, or is not before the rows.
    """
    columns, first_seq, replaced_seq = tail.columns, int(tail.columns.seq[0]), None
    if newest is not None:
        before = opened(tail.key[1], newest.content, newest)
        if newest.is_settled or newest.steps >= LONGEST_STEPS:
            before = before[-1:]
        else:
            first_seq = replaced_seq = newest.first_seq
        columns = joined([before, columns])
        if len(columns) != len(before) + len(tail.columns):
            raise DamagedReadingsError(f"rows of {tail.key[1]} are older than its last block")
    blocks = list(_blocks(tail.key, columns, first_seq, is_final))
    if not blocks:
        return None
    rows = int((tail.columns.seq <= blocks[-1].last_seq).sum())
    return Packed(tail.key, blocks, replaced_seq, rows)


def _blocks(key: Key, columns: Columns, first_seq: int, is_final: bool) -> Iterator[NewBlock]:
    if len(columns) == 1 and is_final:
        yield new_block(key, columns, first_seq)
    while (steps := cut(columns, is_final=is_final)) is not None and steps > 0:
        yield new_block(key, columns[: steps + 1], first_seq)
        columns = columns[steps:]
        first_seq = int(columns.seq[1]) if len(columns) > 1 else first_seq


def new_block(key: Key, columns: Columns, first_seq: int) -> NewBlock:
    """A block of readings whose bytes were read back and verified.

    Args:
        key: Attempt and component.
        columns: The readings, with the last one of the block before.
        first_seq: Number of the first reading that is not of the block before.
    """
    content, sha256 = codec.encode(columns), codec.sha256(columns)
    codec.decode(content, sha256)
    steps = steps_of(key[1], columns)
    level = levels.levels(steps)
    return NewBlock(
        attempt_id=key[0],
        component=key[1],
        first_seq=first_seq,
        last_seq=int(columns.seq[-1]),
        steps=len(steps),
        last_t_s=float(columns.column("t_s").values.max()),
        is_settled=is_settled(columns),
        sha256=sha256,
        content=content,
        level_8=level[8],
        level_64=level[64],
        level_512=level[512],
        level_4096=level[4096],
    )
