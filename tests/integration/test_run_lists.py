"""Lists of runs: every filter and order compared with a plain list, and the query plans."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from app.db import Session
from app.repositories.people.visibility import Viewer
from app.repositories.runs import labels, pages, runs
from app.repositories.runs.orders import Position
from app.repositories.runs.selection import RunFilter, Selection, resolve
from models import Run
from tests.support.api import Api, fields, problem
from tests.support.run_lists import (
    BEGIN,
    CURRENCY,
    FIGURE_SORTS,
    KINDS,
    SORTS,
    STATUSES,
    TAGS,
    WORDS,
    Lab,
    admin,
    by_hand,
    listed,
    place,
    position,
)


@pytest_asyncio.fixture
async def lab(session: Session) -> AsyncIterator[Lab]:
    made = Lab(session)
    await made.fill(300)
    yield made


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


TIMES = st.integers(-1, 95).map(lambda minutes: BEGIN + timedelta(minutes=minutes))
FILTERS = st.builds(
    RunFilter,
    project=maybe(st.sampled_from(("open", "hers", "private", "none", "nobody's"))),
    experiment=maybe(st.sampled_from(("e1", "e2", "e3"))),
    user=maybe(st.sampled_from(("ada", "bob", "root", "nobody"))),
    tags=st.lists(st.sampled_from((*TAGS, "unused")), max_size=2),
    statuses=st.lists(st.sampled_from(STATUSES), max_size=3),
    kind=maybe(st.sampled_from((*KINDS, "measure", "prune"))),
    search=maybe(
        st.lists(
            st.sampled_from(
                (*WORDS, *TAGS, "RESNET", "net-", "-b", "0", "\\", "'", "%", "zz", "GR")
            ),
            min_size=1,
            max_size=2,
        ).map(" ".join)
    ),
    created_after=maybe(TIMES),
    created_before=maybe(TIMES),
    finished_after=maybe(TIMES),
    finished_before=maybe(TIMES),
)


# Of eleven filters few at a time, or nothing would ever match.
FEW = st.sets(st.sampled_from(sorted(RunFilter.__dataclass_fields__)), max_size=3)


def only(wanted: RunFilter, names: set[str]) -> RunFilter:
    return RunFilter(**{name: getattr(wanted, name) for name in names})


async def listed_before(
    lab: Lab, selection: Selection, sort: str, run_id: uuid.UUID, limit: int
) -> list[uuid.UUID]:
    """Ids of the runs of the page that ends before a run."""
    (run,) = [run for run in lab.runs if run["id"] == run_id]
    rows = await runs.list_runs(
        lab.session,
        selection,
        sort=sort,
        after=place(run[sort.removeprefix("-")], run_id),
        limit=limit,
        backwards=True,
        currency=CURRENCY,
    )
    return [row.run.id for row in rows]


@given(
    wanted=FILTERS,
    names=FEW,
    sort=st.sampled_from(SORTS + FIGURE_SORTS),
    who=st.sampled_from(("ada", "bob", "root", "token")),
    limit=st.sampled_from((1, 7, 50, 400)),
    look_ahead=st.sampled_from((1, 20, 2_000)),
)
async def test_pages_equal_those_of_a_plain_list(
    lab: Lab,
    wanted: RunFilter,
    names: set[str],
    sort: str,
    who: str,
    limit: int,
    look_ahead: int,
) -> None:
    filters = only(wanted, names)
    viewer = Viewer(lab.users.get(who, lab.users["ada"]), sees_all=who == "root")
    if who == "token":
        viewer = replace(viewer, project_id=lab.projects["hers"])
    expected = by_hand(lab, viewer, filters, sort)
    limit = max(limit, len(expected) // 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "LOOK_AHEAD", look_ahead)
        patch.setattr(pages, "COUNT_AHEAD", look_ahead)
        patch.setattr(pages, "SAMPLE", look_ahead)
        patch.setattr(labels, "RUNS_AHEAD", look_ahead)
        assert await listed(lab.session, viewer, filters, sort, limit) == expected
        selection = await resolve(lab.session, viewer, filters)
        if expected:
            middle = len(expected) // 2
            before = await listed_before(lab, selection, sort, expected[middle], limit)
            assert before == expected[max(0, middle - limit) : middle]
        for most in (5, 1_000):
            counted = await pages.count(lab.session, selection, most)
            assert (counted.runs, counted.at_least) == (
                min(len(expected), most),
                len(expected) > most,
            )


@pytest.mark.parametrize("sort", SORTS + FIGURE_SORTS)
async def test_pages_have_every_run_once_despite_new_posts(session: Session, sort: str) -> None:
    lab = Lab(session)
    await lab.fill(150)
    before = [run["id"] for run in lab.runs]
    selection = await resolve(lab.session, admin(lab), RunFilter())
    seen: list[uuid.UUID] = []
    after: Position | None = None
    random = Random(7)
    for _ in range(30):
        rows = await runs.list_runs(
            lab.session, selection, sort=sort, after=after, limit=30, currency=CURRENCY
        )
        if not rows:
            break
        seen += [row.run.id for row in rows]
        after = position(rows[-1], sort)
        await lab.add(10, random)
    assert len(seen) == len(set(seen))
    assert set(before) <= set(seen)


async def test_a_search_looks_for_words_in_names_and_tags(api: Api) -> None:
    async with api.database.session_scope() as session:
        lab = Lab(session)
        await lab.fill(0)
        for name, tags in (("ResNet-50", ["Größe-L"]), ("bert", ["resnet"]), ("50%", [])):
            await session.execute(
                insert(Run),
                [lab._run(Random(name)) | {"name": name, "tags": tags} | {"user": None}],
            )

    async def found(q: str) -> list[str]:
        page = (await api.admin.get("/v1/runs", params={"q": q, "sort": "name"})).json()
        return [item["name"] for item in page["items"]]

    assert await found("resnet") == ["ResNet-50", "bert"]
    assert await found("RESNET 50") == ["ResNet-50"]
    assert await found("50") == ["50%", "ResNet-50"]
    assert await found("0%") == ["50%"]
    assert await found("größe") == ["ResNet-50"]
    assert await found("%") == ["50%"]
    assert await found("resnet bert") == ["bert"]
    assert await found("resnet~") == []


@pytest.mark.parametrize("q", ["", " ", "\t", "a\nb"])
async def test_a_blank_search_is_rejected(api: Api, q: str) -> None:
    refused = await api.viewer.get("/v1/runs", params={"q": q})
    assert fields(problem(refused, 422, "invalid-request")) == ["q"]


async def test_runs_are_counted_on_request(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        await api.post_run(name=name)
    monkeypatch.setattr("app.services.runs.listing.MOST_COUNTED", 2)
    page = (await api.viewer.get("/v1/runs", params={"limit": 1, "count": True})).json()
    assert (len(page["items"]), page["count"]) == (1, {"runs": 2, "at_least": True})
    exact = (await api.viewer.get("/v1/runs", params={"count": True, "q": "b"})).json()
    assert exact["count"] == {"runs": 1, "at_least": False}
    assert (await api.viewer.get("/v1/runs")).json()["count"] is None
