"""Lists of runs whose names have frequent and rare words, and their query plans."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from random import Random

import pytest
import pytest_asyncio
from sqlalchemy import text

from app.db import Database
from app.repositories.runs import pages, runs
from app.repositories.runs.selection import RunFilter, resolve
from tests.support.plans import planned
from tests.support.run_lists import (
    SORTS,
    Filled,
    Lab,
    admin,
    by_hand,
    kept_open,
    listed,
    unchanged,
)

WORD_SEARCHES = {
    # Words, and whether their index is used beside a rare tag: `run` is in every name, `even` and
    # `odd` each in half of them and never in one.
    "run": False,
    "RUN": False,
    "run odd": False,
    "run even odd": True,
    "even odd": True,
    "tenth": True,
    "run tenth": True,
    "nowhere": True,
    "r": False,
    "run nowhere": True,
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def filled_with_words(engine_database: Database) -> AsyncIterator[Filled]:
    async with kept_open(engine_database) as (connection, session):
        lab = Lab(session)
        await lab.fill(0)
        random = Random(3)
        named = []
        for number in range(600):
            parity = "even" if number % 2 == 0 else "odd"
            name = f"{number:03d} run {parity}{' tenth' if number % 20 == 7 else ''}"
            tags = ["seldom"] if number % 50 == 47 else []
            named.append(lab._run(random) | {"name": name, "tags": tags})
        await lab.insert(named, random)
        await session.execute(text("ANALYZE runs"))
        yield connection, lab


@pytest_asyncio.fixture
async def words(filled_with_words: Filled) -> AsyncIterator[Lab]:
    async with unchanged(filled_with_words) as lab:
        yield lab


ONE_WAY = tuple(sort for sort in SORTS if not sort.startswith("-"))
"""Orders in one direction; ``test_pages_equal_those_of_a_plain_list`` tries both."""


async def test_a_frequent_word_is_compared_and_a_rare_one_looked_up(
    engine_database: Database, words: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOOK_AHEAD", 100)
    monkeypatch.setattr(pages, "COUNT_AHEAD", 100)
    viewer = admin(words)
    for search, by_index in WORD_SEARCHES.items():
        wanted = RunFilter(search=search, tags=["seldom"])
        selection = await resolve(words.session, viewer, wanted)
        for sort in ONE_WAY:
            expected = by_hand(words, viewer, wanted, sort)
            with planned(engine_database) as plans:
                assert await listed(words.session, viewer, wanted, sort, 7) == expected
                counted = await pages.count(words.session, selection, 1_000)
            assert counted == pages.Count(len(expected), at_least=False)
            names = {node.get("Index Name") for plan in plans for node in plan.nodes}
            assert names & {"ix_runs_tags", "ix_runs_search"}, (search, sort)
            assert any("@@" in plan.statement for plan in plans) == by_index, (search, sort)


@pytest.mark.parametrize("wanted", [RunFilter(), RunFilter(project="open"), RunFilter(user="ada")])
async def test_pages_of_frequent_and_rare_words_equal_a_plain_list(
    words: Lab, wanted: RunFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = admin(words)
    for search in WORD_SEARCHES:
        searched = replace(wanted, search=search)
        for sort in ONE_WAY:
            expected = by_hand(words, viewer, searched, sort)
            for ahead in (20, 2_000):
                monkeypatch.setattr(pages, "LOOK_AHEAD", ahead)
                pages_of_all = await listed(words.session, viewer, searched, sort, 150)
                assert pages_of_all == expected, (search, sort, ahead)


async def test_grams_are_not_made_of_the_runs_along_an_order(
    engine_database: Database, words: Lab
) -> None:
    selection = await resolve(words.session, admin(words), RunFilter(search="run"))
    with planned(engine_database) as plans:
        await runs.list_runs(words.session, selection, sort="-name", after=None, limit=51)
        await pages.count(words.session, selection, 500)
    assert plans
    assert not any("grams" in plan.statement for plan in plans)
