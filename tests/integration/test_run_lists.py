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
from sqlalchemy import insert, text

from app.db import Database, Session
from app.repositories.people.visibility import Viewer
from app.repositories.runs import labels, pages, runs
from app.repositories.runs.orders import Position
from app.repositories.runs.selection import RunFilter, Selection, resolve
from models import Run
from models.documents.codec import encode
from tests.support.api import Api, fields, problem
from tests.support.plans import Plan, planned
from tests.support.run_lists import (
    BEGIN,
    CURRENCY,
    FIGURE_SORTS,
    KINDS,
    SOON,
    SORTS,
    STATUSES,
    TAGS,
    UNREADABLE,
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


# Posted in the order of time, as a lab posts them; two of three in the project "open".
MANY = text(
    """
    INSERT INTO runs (id, project_id, experiment_id, name, tags, kind, recipe, gpus, pool,
        priority, max_attempts, status, created_by, created_at, finished_at)
    SELECT gen_random_uuid(), e.project_id, e.id,
        (ARRAY['resnet', 'bert', 'x'])[1 + number % 3] || '-' || number % 1000,
        CASE WHEN number < 300 THEN ARRAY['old'] WHEN number % 5 = 0 THEN ARRAY['paper', 'lr']
            ELSE ARRAY['lr'] END,
        (ARRAY['train', 'train+measure', 'command'])[1 + number / 7 % 3],
        '{}', 0, 'default', 0, 3,
        CASE WHEN number > 24900 THEN 'queued' WHEN number % 11 = 0 THEN 'failed'
            WHEN number % 401 = 0 THEN 'cancelled' ELSE 'succeeded' END,
        CASE WHEN number % 3 < 2 THEN CAST(:ada AS uuid) ELSE :bob END,
        CAST(:begin AS timestamptz) + number * interval '1 s',
        CASE WHEN number <= 24900
            THEN CAST(:begin AS timestamptz) + (number + number % 97) * interval '1 s' END
    FROM generate_series(1, 25000) AS number
    JOIN experiments AS e ON e.id = CASE number % 6 WHEN 0 THEN CAST(:hers AS uuid)
        WHEN 1 THEN :other ELSE :open END
    """
)


@pytest_asyncio.fixture
async def large(db: Database, session: Session) -> AsyncIterator[Lab]:
    """Enough runs for the planner to prefer an index, with statistics."""
    made = Lab(session)
    await made.fill(1)
    experiments = {name: made.experiments[name, "e1"] for name in ("hers", "other", "open")}
    users = {name: made.users[name] for name in ("ada", "bob")}
    # The triggers look up each new row's run: by a plan for few runs, they read all rows each time.
    await session.execute(text("DISCARD PLANS"))
    await session.execute(text("SET LOCAL enable_seqscan = off"))
    await session.execute(MANY, experiments | users | {"begin": BEGIN})
    await session.execute(text("SET LOCAL enable_seqscan = on"))
    await session.execute(text("ANALYZE runs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "LOOK_AHEAD", 200)
        patch.setattr(pages, "COUNT_AHEAD", 500)
        yield made


_FINISHED = "coalesce(finished_at, 'infinity'::timestamptz)"
_NEAREST = {
    "-finished_at": text(
        f"SELECT id FROM runs WHERE created_at < :middle ORDER BY {_FINISHED} DESC, id DESC"
        " LIMIT 120"
    ),
    "finished_at": text(
        f"SELECT id FROM runs WHERE created_at > :middle ORDER BY {_FINISHED}, id LIMIT 120"
    ),
}

ONE_BY_ONE: dict[str, RunFilter] = {
    "everything": RunFilter(),
    "a project": RunFilter(project="open"),
    "an empty project": RunFilter(project="none"),
    "an experiment of a project": RunFilter(project="open", experiment="e1"),
    "an experiment of several projects": RunFilter(experiment="e1"),
    "a user": RunFilter(user="ada"),
    "a user without runs": RunFilter(user="root"),
    "a tag": RunFilter(tags=["paper"]),
    "an old tag": RunFilter(tags=["old"]),
    "a tag nobody has": RunFilter(tags=["unused"]),
    "a status": RunFilter(statuses=["succeeded"]),
    "a rare status": RunFilter(statuses=["queued"]),
    "two statuses": RunFilter(statuses=["queued", "running"]),
    "a kind": RunFilter(kind="train"),
    "a rare kind": RunFilter(kind="distill"),
    "all stages of a kind": RunFilter(kind="train+measure"),
    "stages that nobody has": RunFilter(kind="train+prune"),
    "a kind nobody has": RunFilter(kind="prune"),
    "words": RunFilter(search="resnet 4"),
    "words nobody has": RunFilter(search="zzz"),
    "one character": RunFilter(search="~"),
    "a time of posting": RunFilter(
        created_after=BEGIN, created_before=BEGIN + timedelta(minutes=2)
    ),
    "a time of finishing": RunFilter(finished_before=SOON),
    "project, status and tag": RunFilter(project="open", statuses=["cancelled"], tags=["old"]),
    "project and word": RunFilter(project="hers", search="bert"),
}


async def test_no_list_reads_the_whole_table(db: Database, large: Lab) -> None:
    for what, wanted in ONE_BY_ONE.items():
        selection = await resolve(large.session, admin(large), wanted)
        with planned(db) as plans:
            for sort in SORTS:
                await runs.list_runs(large.session, selection, sort=sort, after=None, limit=51)
            await pages.count(large.session, selection, 1_000)
        assert plans, what
        for plan in plans:
            assert "runs" not in plan.read_whole(), (what, plan.statement)


# Every run has a price tag, every tenth two, and every twentieth none whose figure is known.
PRICED = text(
    """
    INSERT INTO price_tags (id, created_at, run_id, version, accounting_version, cause, content,
        headline, content_sha256, it_energy_kwh, cost, currency)
    SELECT gen_random_uuid(), r.created_at, r.id, version.number, '5', 'attempt-ended', :content,
        :content, '', r.figure * version.number, r.figure * version.number, 'USD'
    FROM (SELECT id, created_at, row_number() OVER (ORDER BY created_at) AS number,
            CASE WHEN row_number() OVER (ORDER BY created_at) % 20 > 0
                THEN 0.001 * (row_number() OVER (ORDER BY created_at) * 7919 % 25013) END AS figure
        FROM runs) AS r
    JOIN (VALUES (1), (2)) AS version (number) ON version.number = 1 OR r.number % 10 = 0
    ON CONFLICT (run_id, version) DO NOTHING
    """
)


@pytest_asyncio.fixture
async def priced(large: Lab) -> Lab:
    """The same lab with price tags."""
    await large.session.execute(PRICED, {"content": encode(UNREADABLE)})
    await large.session.execute(text("ANALYZE run_figures"))
    return large


FIGURE_INDEXES = {
    ("it_energy_kwh", None): "ix_run_figures_it_energy_kwh_run_id",
    ("it_energy_kwh", "a project"): "ix_run_figures_project_id_it_energy_kwh",
    ("cost", None): "ix_run_figures_currency_cost_run_id",
    ("cost", "a project"): "ix_run_figures_project_id_cost",
    ("it_energy_kwh", "a kind"): "ix_run_figures_kind_it_energy_kwh",
    ("cost", "a kind"): "ix_run_figures_kind_cost",
    ("it_energy_kwh", "all stages of a kind"): "ix_run_figures_kind_it_energy_kwh",
    ("cost", "all stages of a kind"): "ix_run_figures_kind_cost",
    ("it_energy_kwh", "a user"): "ix_run_figures_created_by_it_energy_kwh",
    ("cost", "a user"): "ix_run_figures_created_by_cost",
    ("it_energy_kwh", "a status"): "ix_run_figures_status_it_energy_kwh",
    ("cost", "a status"): "ix_run_figures_status_cost",
    ("it_energy_kwh", "an experiment of a project"): "ix_run_figures_experiment_id_it_energy_kwh",
    ("cost", "an experiment of a project"): "ix_run_figures_experiment_id_cost",
}
LED = {what for _, what in FIGURE_INDEXES if what is not None}


BY_FIGURE = (*("everything", "an old tag", "a rare status", "words nobody has"), *sorted(LED))
FIRST = """
    SELECT r.id FROM runs AS r JOIN projects AS p ON p.id = r.project_id
    LEFT JOIN price_tags AS t ON t.run_id = r.id
        AND t.version = (SELECT max(version) FROM price_tags WHERE run_id = r.id)
    WHERE {where} ORDER BY {column} IS NULL, {column} {direction}, r.id {direction} LIMIT 90
"""


async def test_runs_by_a_figure_are_read_along_its_index_and_are_the_first_ones(
    db: Database, priced: Lab
) -> None:
    """Also where the planner takes it for cheaper to read whole tables."""
    middle, late = BEGIN + timedelta(seconds=12_000), BEGIN + timedelta(seconds=24_000)
    for sort in FIGURE_SORTS:
        column, direction = sort.removeprefix("-"), "DESC" if sort.startswith("-") else ""
        for wanted, where in (
            (RunFilter(project="hers"), "p.name = 'hers'"),
            (RunFilter(finished_before=SOON), f"r.finished_at < '{SOON.isoformat()}'"),
            (RunFilter(finished_after=late), f"r.finished_at > '{late.isoformat()}'"),
            (RunFilter(created_after=middle), f"r.created_at > '{middle.isoformat()}'"),
            (
                RunFilter(tags=["old"], statuses=["failed"]),
                "'old' = ANY (tags) AND status = 'failed'",
            ),
        ):
            query = FIRST.format(where=where, column=column, direction=direction)
            expected = (await priced.session.execute(text(query))).scalars().all()
            selection = await resolve(priced.session, admin(priced), wanted)
            rows = await runs.list_runs(
                priced.session, selection, sort=sort, after=None, limit=90, currency=CURRENCY
            )
            assert [row.run.id for row in rows] == list(expected), (sort, where)
    for sort, random_page_cost in (("-it_energy_kwh", 1.1), ("-cost", 1_000), ("cost", 1.1)):
        await priced.session.execute(text(f"SET LOCAL random_page_cost = {random_page_cost}"))
        for what in BY_FIGURE:
            leading = what if what in LED else None
            index = FIGURE_INDEXES[sort.removeprefix("-"), leading]
            selection = await resolve(priced.session, admin(priced), ONE_BY_ONE[what])
            with planned(db) as plans:
                await runs.list_runs(
                    priced.session, selection, sort=sort, after=None, limit=11, currency=CURRENCY
                )
            plans = [plan for plan in plans if " AS stored_headline" not in plan.statement]
            for plan in plans:
                assert not {"runs", "run_figures"} & set(plan.read_whole()), (what, plan.statement)
            assert index in _indexes(plans[:5]), what  # the kinds of runs are looked up first
            if leading is not None:
                walks = [plan for plan in plans if "RECURSIVE" not in plan.statement]
                nodes = [node for plan in walks for node in plan.nodes]
                lengths = [node["Plan Rows"] for node in nodes if node["Node Type"] == "Limit"]
                assert max(lengths) <= 11, (what, lengths)


WALKED = {
    "ix_runs_created_at_id": RunFilter(),
    "ix_runs_project_id_created_at_id": RunFilter(project="open", tags=["paper"]),
    "ix_runs_experiment_id_created_at_id": RunFilter(project="open", experiment="e1"),
    "ix_runs_created_by_created_at_id": RunFilter(user="bob"),
    "ix_runs_kind_created_at_id": RunFilter(kind="train+measure", tags=["paper"]),
    "ix_runs_status_created_at_id": RunFilter(statuses=["succeeded"]),
}


@pytest.mark.parametrize("random_page_cost", [4, 1_000])
async def test_runs_are_read_along_their_index_and_only_those_of_the_page_with_price_tags(
    db: Database, large: Lab, random_page_cost: int
) -> None:
    """Also where the planner takes it for cheaper to collect and sort all runs of a project."""
    await large.session.execute(text(f"SET LOCAL random_page_cost = {random_page_cost}"))
    for index, wanted in WALKED.items():
        selection = await resolve(large.session, admin(large), wanted)
        with planned(db) as plans:
            await runs.list_runs(large.session, selection, sort="-created_at", after=None, limit=11)
        besides = ("set_config", "run_labels")
        id_plan, row_plan = [p for p in plans if not any(name in p.statement for name in besides)]
        [walk] = [node for node in id_plan.nodes if node.get("Relation Name") == "runs"]
        assert walk["Index Name"] == index, id_plan.nodes
        [of_page] = [node for node in row_plan.nodes if node.get("Relation Name") == "runs"]
        assert of_page["Plan Rows"] <= 11
        looked_up = [node for node in row_plan.nodes if node.get("Relation Name") == "price_tags"]
        of_tags = [node.get("Index Name") for node in looked_up]
        # Where a page costs as much as 1,000 others, the few price tags here are read at once.
        assert of_tags == ["uq_price_tags_run_id_version"] or random_page_cost > 4


async def test_a_word_of_names_that_lie_far_behind_is_found_by_the_names(
    db: Database, large: Lab
) -> None:
    """All names with ``resnet`` come after 16,000 others; what has it as a tag comes between."""
    wanted = RunFilter(search="resnet")
    selection = await resolve(large.session, admin(large), wanted)
    tagged = large._run(Random(5)) | {"name": "m", "tags": ["ResNet-like"], "project": "open"}
    await large.session.execute(insert(Run), [_columns(tagged)])
    with planned(db) as plans:
        rows = await runs.list_runs(large.session, selection, sort="name", after=None, limit=51)
    query = text("SELECT name FROM runs WHERE name LIKE 'resnet-%' ORDER BY name, id LIMIT 50")
    names = (await large.session.execute(query)).scalars().all()
    assert [row.run.name for row in rows] == ["m", *names]
    assert "ix_run_labels_kind_label" in _indexes(plans)
    assert "ix_runs_search" not in _indexes(plans)


async def test_runs_that_finished_after_they_were_posted_before_are_found_by_their_lifetimes(
    db: Database, large: Lab
) -> None:
    middle = BEGIN + timedelta(seconds=12_000)
    for wanted, sort in (
        (RunFilter(created_before=middle), "-finished_at"),
        (RunFilter(created_after=middle), "finished_at"),
    ):
        selection = await resolve(large.session, admin(large), wanted)
        with planned(db) as plans:
            rows = await runs.list_runs(large.session, selection, sort=sort, after=None, limit=120)
        expected = await large.session.execute(_NEAREST[sort], {"middle": middle})
        assert [row.run.id for row in rows] == list(expected.scalars())
        assert "ix_runs_lifetime" in _indexes(plans), sort


async def test_a_filter_of_one_run_in_a_hundred_and_more_is_looked_for_farther_along(
    db: Database, large: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOOK_AHEAD", 600)
    wanted = RunFilter(project="open", statuses=["failed"])  # one in 22 along the names
    selection = await resolve(large.session, admin(large), wanted)
    with planned(db) as plans:
        rows = await runs.list_runs(large.session, selection, sort="name", after=None, limit=51)
    assert len(rows) == 51
    *walks, _ = [plan for plan in plans if "set_config" not in plan.statement]
    assert len(walks) == 2
    for plan in walks:
        assert "ix_runs_name_id" in _indexes([plan]), plan.tree


def _columns(run: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in run.items() if k in Run.__table__.columns}


def _indexes(plans: list[Plan]) -> set[str]:
    return {node["Index Name"] for plan in plans for node in plan.nodes if "Index Name" in node}


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


@pytest_asyncio.fixture
async def words(session: Session) -> Lab:
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
    return lab


ONE_WAY = tuple(sort for sort in SORTS if not sort.startswith("-"))
"""Orders in one direction; ``test_pages_equal_those_of_a_plain_list`` tries both."""


async def test_a_frequent_word_is_compared_and_a_rare_one_looked_up(
    db: Database, words: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOOK_AHEAD", 100)
    monkeypatch.setattr(pages, "COUNT_AHEAD", 100)
    viewer = admin(words)
    for search, by_index in WORD_SEARCHES.items():
        wanted = RunFilter(search=search, tags=["seldom"])
        selection = await resolve(words.session, viewer, wanted)
        for sort in ONE_WAY:
            expected = by_hand(words, viewer, wanted, sort)
            with planned(db) as plans:
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


async def test_grams_are_not_made_of_the_runs_along_an_order(db: Database, words: Lab) -> None:
    selection = await resolve(words.session, admin(words), RunFilter(search="run"))
    with planned(db) as plans:
        await runs.list_runs(words.session, selection, sort="-name", after=None, limit=51)
        await pages.count(words.session, selection, 500)
    assert plans
    assert not any("grams" in plan.statement for plan in plans)
