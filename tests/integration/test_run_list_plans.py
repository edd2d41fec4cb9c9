"""Plans of the queries behind the lists of runs, in a lab with many runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import insert, text

from app.db import Database
from app.repositories.runs import pages, runs
from app.repositories.runs.selection import RunFilter, resolve
from models import Run
from models.documents.codec import encode
from tests.support.plans import Plan, planned
from tests.support.run_lists import (
    BEGIN,
    CURRENCY,
    FIGURE_SORTS,
    SOON,
    SORTS,
    UNREADABLE,
    Filled,
    Lab,
    admin,
    kept_open,
    unchanged,
)

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


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def filled_with_many(engine_database: Database) -> AsyncIterator[Filled]:
    """Enough runs for the planner to prefer an index, with statistics."""
    async with kept_open(engine_database) as (connection, session):
        lab = Lab(session)
        await lab.fill(1)
        experiments = {name: lab.experiments[name, "e1"] for name in ("hers", "other", "open")}
        users = {name: lab.users[name] for name in ("ada", "bob")}
        # Triggers look up each new row's run: by a plan for few runs, they read all rows each time.
        await session.execute(text("DISCARD PLANS"))
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        await session.execute(MANY, experiments | users | {"begin": BEGIN})
        await session.execute(text("SET LOCAL enable_seqscan = on"))
        await session.execute(text("ANALYZE runs"))
        yield connection, lab


@pytest_asyncio.fixture
async def large(filled_with_many: Filled, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lab]:
    monkeypatch.setattr(pages, "LOOK_AHEAD", 200)
    monkeypatch.setattr(pages, "COUNT_AHEAD", 500)
    monkeypatch.setattr(pages, "SAMPLE", 200)
    async with unchanged(filled_with_many) as lab:
        yield lab


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


async def test_no_list_reads_the_whole_table(engine_database: Database, large: Lab) -> None:
    for what, wanted in ONE_BY_ONE.items():
        selection = await resolve(large.session, admin(large), wanted)
        with planned(engine_database) as plans:
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
FOUND_AT_ONCE = {"words nobody has": "ix_runs_search"}
FIRST = """
    SELECT r.id FROM runs AS r JOIN projects AS p ON p.id = r.project_id
    LEFT JOIN price_tags AS t ON t.run_id = r.id
        AND t.version = (SELECT max(version) FROM price_tags WHERE run_id = r.id)
    WHERE {where} ORDER BY {column} IS NULL, {column} {direction}, r.id {direction} LIMIT 90
"""


async def test_runs_by_a_figure_are_read_along_its_index_and_are_the_first_ones(
    engine_database: Database, priced: Lab
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
            index = FOUND_AT_ONCE.get(what, FIGURE_INDEXES[sort.removeprefix("-"), leading])
            selection = await resolve(priced.session, admin(priced), ONE_BY_ONE[what])
            with planned(engine_database) as plans:
                await runs.list_runs(
                    priced.session, selection, sort=sort, after=None, limit=11, currency=CURRENCY
                )
            besides = (" AS stored_headline", "set_config")
            plans = [p for p in plans if not any(text in p.statement for text in besides)]
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
    engine_database: Database, large: Lab, random_page_cost: int
) -> None:
    """Also where the planner takes it for cheaper to collect and sort all runs of a project."""
    await large.session.execute(text(f"SET LOCAL random_page_cost = {random_page_cost}"))
    for index, wanted in WALKED.items():
        selection = await resolve(large.session, admin(large), wanted)
        with planned(engine_database) as plans:
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


PAIRS = {
    "ix_runs_project_id_created_by": RunFilter(project="hers", user="bob", tags=["paper"]),
    "ix_runs_project_id_status": RunFilter(project="open", statuses=["cancelled"]),
}


async def test_few_runs_of_a_pair_are_found_without_a_look_along_the_order(
    engine_database: Database, large: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOOK_AHEAD", 5_000)
    for index, wanted in PAIRS.items():
        selection = await resolve(large.session, admin(large), wanted)
        for sort in ("-created_at", "name", "cost"):
            with planned(engine_database) as plans:
                await runs.list_runs(large.session, selection, sort=sort, after=None, limit=51)
            of_runs = [plan for plan in plans if " AS stored_headline" not in plan.statement]
            used = _indexes(of_runs)
            assert index in used, (sort, index)
            assert not {"ix_runs_name_id", "ix_runs_created_at_id"} & used, sort


async def test_a_word_of_names_that_lie_far_behind_is_found_by_the_names(
    engine_database: Database, large: Lab
) -> None:
    """All names with ``resnet`` come after 16,000 others; what has it as a tag comes between."""
    wanted = RunFilter(search="resnet")
    selection = await resolve(large.session, admin(large), wanted)
    tagged = large._run(Random(5)) | {"name": "m", "tags": ["ResNet-like"], "project": "open"}
    await large.session.execute(insert(Run), [_columns(tagged)])
    with planned(engine_database) as plans:
        rows = await runs.list_runs(large.session, selection, sort="name", after=None, limit=51)
    query = text("SELECT name FROM runs WHERE name LIKE 'resnet-%' ORDER BY name, id LIMIT 50")
    names = (await large.session.execute(query)).scalars().all()
    assert [row.run.name for row in rows] == ["m", *names]
    assert "ix_run_labels_kind_label" in _indexes(plans)
    assert "ix_runs_search" not in _indexes(plans)


async def test_runs_that_finished_after_they_were_posted_before_are_found_by_their_lifetimes(
    engine_database: Database, large: Lab
) -> None:
    middle = BEGIN + timedelta(seconds=12_000)
    for wanted, sort in (
        (RunFilter(created_before=middle), "-finished_at"),
        (RunFilter(created_after=middle), "finished_at"),
    ):
        selection = await resolve(large.session, admin(large), wanted)
        with planned(engine_database) as plans:
            rows = await runs.list_runs(large.session, selection, sort=sort, after=None, limit=120)
        expected = await large.session.execute(_NEAREST[sort], {"middle": middle})
        assert [row.run.id for row in rows] == list(expected.scalars())
        assert "ix_runs_lifetime" in _indexes(plans), sort


async def test_a_filter_of_one_run_in_a_hundred_and_more_is_looked_for_farther_along(
    engine_database: Database, large: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOOK_AHEAD", 600)
    wanted = RunFilter(project="open", statuses=["failed"])  # one in 22 along the names
    selection = await resolve(large.session, admin(large), wanted)
    with planned(engine_database) as plans:
        rows = await runs.list_runs(large.session, selection, sort="name", after=None, limit=51)
    assert len(rows) == 51
    besides = ("set_config", "count(")
    *walks, _ = [p for p in plans if not any(text in p.statement for text in besides)]
    assert len(walks) == 2
    for plan in walks:
        assert "ix_runs_name_id" in _indexes([plan]), plan.tree


def _columns(run: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in run.items() if k in Run.__table__.columns}


def _indexes(plans: list[Plan]) -> set[str]:
    return {node["Index Name"] for plan in plans for node in plan.nodes if "Index Name" in node}
