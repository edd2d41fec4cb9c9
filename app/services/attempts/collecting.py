"""Removes contents from the artifact store that nothing refers to.

Safe beside everything else: each removal is one transaction, which waits for those that write
references, lets no new one begin, looks again, and only then removes. An object of which nothing is
registered yet stays for a grace period: its artifact may be on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.artifact_store.stores import (
    PREFIXES,
    Content,
    ContentDiffersError,
    ObjectMissingError,
    ObjectStore,
    checked,
)
from app.db import Database, Session
from app.repositories.attempts import stored

AT_ONCE = 20
"""Maximum number of contents of one transaction, during which no artifact can be registered."""

READ_AT_ONCE = 500
LOCK_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """What was found, or removed.

    Attributes:
        contents: The contents.
        registered: Whether artifacts had them, which stay without content.
    """

    contents: tuple[Content, ...]
    registered: bool

    @property
    def size_bytes(self) -> int:
        """Their size."""
        return sum(content.size_bytes for content in self.contents)


async def unneeded(
    database: Database, before: datetime, *, is_removing: bool
) -> AsyncIterator[Step]:
    """Contents whose artifacts are all of runs that ended before a time and are not referred to.

    Removing notes it in the database; ``unregistered`` then removes the objects, also where this
    process was killed in between.

    Args:
        database: Engine and sessions of this process.
        before: The time.
        is_removing: Whether to note that they are removed; otherwise they are only found.
    """
    after = ""
    while True:
        async with database.session_scope() as session:
            hashes = await stored.stored_hashes(session, after, READ_AT_ONCE)
            candidates = await _unneeded(session, hashes, before)
        if not hashes:
            return
        after = hashes[-1]
        for start in range(0, len(candidates), AT_ONCE):
            part = candidates[start : start + AT_ONCE]
            if is_removing:
                async with database.session_scope() as session:
                    await stored.wait_for_writers(session, stored.REFERRING, LOCK_WITHIN_S)
                    part = await _unneeded(session, [each.sha256 for each in part], before)
                    await stored.note_removed(session, [each.sha256 for each in part])
            if part:
                yield Step(tuple(part), registered=True)


async def _unneeded(session: Session, hashes: list[str], before: datetime) -> list[Content]:
    if not hashes:
        return []
    rows = await stored.unneeded(session, hashes, before)
    read = await stored.input_hashes(session, [row.sha256 for row in rows]) if rows else set()
    return [Content(row.sha256, row.size_bytes) for row in rows if row.sha256 not in read]


async def unregistered(
    database: Database, store: ObjectStore, grace: timedelta, *, is_removing: bool
) -> AsyncIterator[Step]:
    """Objects that no artifact has, and that are older than a grace period.

    Args:
        database: Engine and sessions of this process.
        store: The artifact store.
        grace: The grace period.
        is_removing: Whether to remove them; otherwise they are only found.

    Raises:
        StoreError: If the store cannot be reached.
    """
    for prefix in PREFIXES:
        listed = await asyncio.to_thread(store.listed, prefix)
        for start in range(0, len(listed), READ_AT_ONCE):
            part = listed[start : start + READ_AT_ONCE]
            async with database.session_scope() as session:
                needed = await stored.referred_to(session, [each.sha256 for each in part])
            strange = [each for each in part if each.sha256 not in needed]
            old = await asyncio.to_thread(_older_than, store, strange, grace)
            for first in range(0, len(old), AT_ONCE):
                few = old[first : first + AT_ONCE]
                if is_removing:
                    few = await _remove(database, store, few, grace)
                if few:
                    yield Step(tuple(few), registered=False)


def _older_than(store: ObjectStore, contents: list[Content], grace: timedelta) -> list[Content]:
    limit = datetime.now(UTC) - grace
    ages = [(each, store.written_at(each.sha256)) for each in contents]
    return [each for each, at in ages if at is not None and at < limit]


async def _remove(
    database: Database, store: ObjectStore, contents: list[Content], grace: timedelta
) -> list[Content]:
    async with database.session_scope() as session:
        await stored.wait_for_writers(session, ["artifacts"], LOCK_WITHIN_S)
        needed = await stored.referred_to(session, [each.sha256 for each in contents])
        strange = [each for each in contents if each.sha256 not in needed]
        old = await asyncio.to_thread(_older_than, store, strange, grace)
        for content in old:
            await asyncio.to_thread(store.remove, content.sha256)
        return old


@dataclass(frozen=True, slots=True)
class Checked:
    """A content that artifacts have in the store.

    Attributes:
        content: The content.
        fault: Why it cannot be read; None if it is what was registered.
    """

    content: Content
    fault: str | None


async def check(database: Database, store: ObjectStore) -> AsyncIterator[Checked]:
    """Reads every registered content from the store, and compares it with its hash.

    Raises:
        StoreError: If the store cannot be reached.
    """
    after = ""
    while True:
        async with database.session_scope() as session:
            hashes = await stored.stored_hashes(session, after, READ_AT_ONCE)
            sizes = await stored.stored_sizes(session, hashes)
        if not hashes:
            return
        after = hashes[-1]
        for sha256 in hashes:
            content = Content(sha256, sizes[sha256])
            yield Checked(content, await asyncio.to_thread(_fault, store, content))


def _fault(store: ObjectStore, content: Content) -> str | None:
    try:
        for _ in checked(store.chunks(content.sha256), content):
            pass
    except ObjectMissingError:
        return "is missing"
    except ContentDiffersError as error:
        return f"has {error}"
    return None


async def remove_unreferenced(
    database: Database, store: ObjectStore, contents: Sequence[Content]
) -> None:
    """Removes those of some objects that no artifact has any more.

    Raises:
        StoreError: If the store cannot be reached.
    """
    for start in range(0, len(contents), AT_ONCE):
        await _remove(database, store, list(contents[start : start + AT_ONCE]), timedelta(0))
