"""Comparisons of runs over REST."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from app.db import Session
from app.services.attempts import execution
from models import RunUpstream
from tests.support.api import Api, finished_run, problem
from tests.support.executions import JournalMaker, claimed, make_run


async def runs(api: Api, count: int) -> list[str]:
    async with api.database.session_scope() as session:
        return [str(await finished_run(session)) for _ in range(count)]


async def test_two_groups_of_runs(api: Api) -> None:
    first, second, third, fourth = await runs(api, 4)
    query = {"a": f"{first},{second}", "b": f"{third}, {fourth}", "metric": "co2e_kg"}
    response = await api.viewer.get("/v1/comparisons", params=query)
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["cancels"] is True
    assert (body["ratio"]["value"], body["unit"]) == (pytest.approx(1.0), "kg")
    assert [run["run_id"] for run in body["b"]["runs"]] == [third, fourth]
    assert body["winning_ticket"] is None
    assert body["winning_ticket_reason"] == "a are not runs that find lottery tickets"


@pytest.mark.parametrize(
    ("a", "b", "field", "message"),
    [
        ("x", "{0}", "a.0", "'x' is not a run ID"),
        ("{0}", "{1},", "b.1", "'' is not a run ID"),
        ("{0}", "{0}", "b.0", "is in both groups; list each run once."),
        ("{0}," + str(UUID(int=7)), "{1}", "a.1", "not found: it does not exist"),
        (",".join(["{0}"] * 51), "{1}", "a", "at most 50"),
    ],
)
async def test_runs_that_cannot_be_compared_are_named(
    api: Api, a: str, b: str, field: str, message: str
) -> None:
    ids = await runs(api, 2)
    query = {"a": a.format(*ids), "b": b.format(*ids)}
    refused = problem(
        await api.viewer.get("/v1/comparisons", params=query), 422, "nothing-to-compare"
    )
    assert refused["errors"][0]["field"] == field
    assert message in refused["errors"][0]["message"]


async def test_a_run_without_a_price_tag_cannot_be_compared(api: Api) -> None:
    [priced] = await runs(api, 1)
    async with api.database.session_scope() as session:
        queued = (await make_run(session)).id
    query = {"a": priced, "b": str(queued)}
    refused = problem(
        await api.viewer.get("/v1/comparisons", params=query), 422, "nothing-to-compare"
    )
    assert refused["errors"][0]["field"] == "b.0"
    assert refused["errors"][0]["message"] == f"run {queued} has no price tag yet"


async def test_an_unknown_figure_is_rejected(api: Api) -> None:
    first, second = await runs(api, 2)
    query = {"a": first, "b": second, "metric": "joy"}
    refused = problem(await api.viewer.get("/v1/comparisons", params=query), 422, "invalid-request")
    assert refused["errors"][0]["field"] == "metric"


async def test_different_work_is_announced(api: Api) -> None:
    async with api.database.session_scope() as session:
        first, seed, longer = [
            str(await finished_run(session, recipe={"stages": [{"kind": "train", **options}]}))
            for options in (
                {"epochs": 1, "seed": 0},
                {"epochs": 1, "seed": 1},
                {"epochs": 3, "seed": 0},
            )
        ]
    for a, b, expected in (
        (first, seed, []),
        (first, longer, ["stages.0.epochs: 1 (a), 3 (b)"]),
        (f"{first},{longer}", seed, ["stages.0.epochs: 1 and 3 (a), 1 (b)"]),
    ):
        response = await api.viewer.get("/v1/comparisons", params={"a": a, "b": b})
        assert response.status_code == 200, response.text
        assert response.json()["differences"] == expected


async def code_run(session: Session, sha256: str, **environment: Any) -> str:
    """A finished command whose code has a hash."""
    run = await make_run(session, recipe={"stages": [{"kind": "command", "argv": ["./run"]}]})
    claim = await claimed(session, run.id)
    journal = JournalMaker(claim.attempt_id)
    journal.whole()
    record = next(record for record in journal.records if record["type"] == "environment")
    record |= {"code": {"stages.0": {"path": "src", "commit": None, "sha256": sha256}}}
    record |= environment
    await execution.ingest(session, claim.attempt_id, journal.records)
    return str(run.id)


async def test_other_code_and_libraries_of_the_same_recipe_are_announced(api: Api) -> None:
    async with api.database.session_scope() as session:
        first, same, edited = [await code_run(session, c * 64) for c in "aab"]
        newer = await code_run(session, "a" * 64, packages={"torch": "2.14.0"})
    for b, expected in (
        (same, []),
        (edited, [f"stages.0.code: sha256 {'a' * 12} (a), sha256 {'b' * 12} (b)"]),
        (newer, ["packages.torch: 2.13.0 (a), 2.14.0 (b)"]),
    ):
        response = await api.viewer.get("/v1/comparisons", params={"a": first, "b": b})
        assert response.json()["differences"] == expected


async def test_other_weights_of_the_same_upstream_stage_are_announced(api: Api) -> None:
    first, second = await runs(api, 2)
    async with api.database.session_scope() as session:
        for run, sha256 in ((first, "a" * 64), (second, "b" * 64)):
            upstream = RunUpstream(
                run_id=UUID(run), upstream_run_id=UUID(first), stage="train", kind="train",
                folder="x", sha256=sha256, files={},
            )  # fmt: skip
            session.add(upstream)
    response = await api.viewer.get("/v1/comparisons", params={"a": first, "b": second})
    expected = [f"model.sha256: {'a' * 12} (a), {'b' * 12} (b)"]
    assert response.json()["differences"] == expected
