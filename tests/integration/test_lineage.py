"""Chains of runs: the model of an earlier run, the lineage, and the totals of the chain."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.services.attempts import execution
from models import Project, Run, RunUpstream
from tests.support.api import Api, finished_run, problem
from tests.support.executions import JournalMaker, claimed, make_run

DATA = {"train": "a.tsv", "validation": "b.tsv"}
UUID_TEXT = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
FIGURES = ("it_energy_kwh", "facility_energy_kwh", "co2e_kg", "cost")


def from_run(run_id: object, *kinds: str, **source: Any) -> dict[str, Any]:
    """A recipe on the model of an earlier run."""
    return {
        "task": "classification",
        "data": DATA,
        "model": {"run": str(run_id), **source},
        "stages": [{"kind": kind} for kind in kinds or ("quantize",)],
    }


async def upstream(api: Api, **values: Any) -> UUID:
    """A run that succeeded and published the model of its stage 'train'."""
    async with api.database.session_scope() as session:
        return await finished_run(session, **values)


async def publishes(
    api: Api, status: str, *stages: tuple[str, str], reason: dict[str, Any] | None = None
) -> UUID:
    """A run with a published model for each (kind, name), ended so."""
    async with api.database.session_scope() as session:
        run = await make_run(session)
        claim = await claimed(session, run.id)
        journal = JournalMaker(claim.attempt_id)
        journal.start()
        for index, (kind, name) in enumerate(stages):
            begin, end = 2.0 * index, 2.0 * index + 2
            journal.add(
                "stage_start", begin, key=str(index), index=index, parent_key=None,
                recipe_index=index, kind=kind, name=name,
            )  # fmt: skip
            journal.read(begin)
            journal.read(end)
            journal.add("stage_end", end, key=str(index), status="succeeded")
            for file in ("config.json", "model.safetensors"):
                journal.add(
                    "artifact", end, key=str(index), name=file, size_bytes=5,
                    path=f"{run.id}/1/stage-{index:02d}-{kind}/{file}",
                    sha256=f"{index}{len(file)}" * 21 + "0",
                    card={"what": "a model"} if file == "model.safetensors" else None,
                )  # fmt: skip
        journal.read(20.0)
        journal.add("end", 20.0, status=status, reason=reason)
        await execution.ingest(session, claim.attempt_id, journal.records)
        return run.id


async def shown(api: Api, run_id: object) -> dict[str, Any]:
    response = await api.viewer.get(f"/v1/runs/{run_id}")
    assert response.status_code == 200, response.text
    run: dict[str, Any] = response.json()
    return run


async def end(api: Api, run_id: str) -> None:
    """Lets a posted run succeed: 2400 J."""
    async with api.database.session_scope() as session:
        claim = await claimed(session, UUID(run_id))
        journal = JournalMaker(claim.attempt_id)
        journal.whole()
        await execution.ingest(session, claim.attempt_id, journal.records)


async def test_a_run_takes_the_model_of_an_earlier_one_by_its_hash(api: Api) -> None:
    first = await publishes(api, "succeeded", ("train", "teacher"), ("quantize", "int8"))
    run_id = await api.post_run(recipe=from_run(first, stage="teacher"))
    lineage = (await shown(api, run_id))["lineage"]
    sha256 = "017" * 21 + "0"
    assert lineage["models"] == [
        {"run_id": str(first), "stage": "teacher", "kind": "train", "sha256": sha256}
    ]
    async with api.database.session_scope() as session:
        claim = await claimed(session, UUID(run_id))
    assert claim.upstream == {
        "run_id": str(first),
        "stage": "teacher",
        "folder": f"{first}/1/stage-00-train",
        "files": {"config.json": "011" * 21 + "0", "model.safetensors": sha256},
    }
    assert (await shown(api, first))["lineage"] is None


async def test_the_total_of_a_chain_is_the_sum_over_its_runs(api: Api) -> None:
    first = await upstream(api)
    second = await api.post_run(recipe=from_run(first))
    before = (await shown(api, second))["lineage"]["cumulative"]["it_energy_kwh"]
    assert before["value"] is None
    assert "no price tag yet" in before["reason"]
    await end(api, second)
    third = await api.post_run(recipe=from_run(second, "measure", stage="train"))
    await end(api, third)
    await api.post_run(recipe=from_run(first, "measure"))
    tags = [
        (await api.viewer.get(f"/v1/runs/{one}/price-tag")).json() for one in (first, second, third)
    ]
    lineage = (await shown(api, third))["lineage"]
    assert [run["run_id"] for run in lineage["upstream"]] == [second, str(first)]
    assert [run["shared_by"] for run in lineage["upstream"]] == [1, 2]
    for name in FIGURES[:3]:
        total = lineage["cumulative"][name]
        for part in ("value", "low", "high"):
            expected = sum(tag[name][part] for tag in tags)
            assert total[part] == pytest.approx(expected, rel=1e-12), (name, part)
        assert total["source"] == tags[0][name]["source"]


async def test_in_a_diamond_each_run_counts_once(api: Api) -> None:
    source = await upstream(api)
    left, right = [await api.post_run(recipe=from_run(source)) for _ in range(2)]
    for one in (left, right):
        await end(api, one)
    joined = await api.post_run(recipe=from_run(left, "measure", stage="train"))
    await end(api, joined)
    async with api.database.session_scope() as session:
        session.add(
            RunUpstream(
                run_id=UUID(joined),
                upstream_run_id=UUID(right),
                stage="train",
                kind="train",
                folder="x",
                sha256="0" * 64,
                files={},
            )
        )
    lineage = (await shown(api, joined))["lineage"]
    assert {run["run_id"] for run in lineage["upstream"]} == {left, right, str(source)}
    one = (await api.viewer.get(f"/v1/runs/{source}/price-tag")).json()["it_energy_kwh"]["value"]
    assert lineage["cumulative"]["it_energy_kwh"]["value"] == pytest.approx(4 * one)


async def test_a_repriced_upstream_counts_in_its_newest_version(api: Api) -> None:
    source = await upstream(api)
    run_id = await api.post_run(recipe=from_run(source))
    await end(api, run_id)
    response = await api.admin.post(f"/v1/runs/{source}/price-tag/reprice", json={})
    assert response.status_code == 201, response.text
    (run,) = (await shown(api, run_id))["lineage"]["upstream"]
    assert run["price_tag_version"] == 2


async def test_without_a_stage_there_must_be_one_model(api: Api) -> None:
    several = await publishes(api, "succeeded", ("train", "teacher"), ("distill", "student"))
    response = await api.member.post("/v1/runs", json=body(from_run(several)))
    document = problem(response, 422, "invalid-upstream")
    assert document["errors"][0]["field"] == "recipe.model.stage"
    assert "'teacher', 'student'" in document["detail"]
    one = await publishes(api, "succeeded", ("train", "teacher"))
    assert await api.post_run(recipe=from_run(one))


def body(recipe: dict[str, Any]) -> dict[str, Any]:
    return {"project": "p", "experiment": "e", "name": "n", "recipe": recipe}


@pytest.mark.parametrize("status", ["failed", "cancelled"])
async def test_a_model_of_a_failed_run_can_be_selected_by_its_stage(api: Api, status: str) -> None:
    reason = {"code": "out-of-memory", "message": "later"}
    source = await publishes(api, status, ("train", "teacher"), reason=reason)
    response = await api.member.post("/v1/runs", json=body(from_run(source)))
    document = problem(response, 422, "invalid-upstream")
    assert document["errors"][0]["field"] == "recipe.model.run"
    assert f"is {status}" in document["detail"]
    assert await api.post_run(recipe=from_run(source, stage="teacher"))
    nothing = await publishes(api, status, reason=reason)
    for recipe in (from_run(nothing), from_run(nothing, stage="teacher")):
        document = problem(
            await api.member.post("/v1/runs", json=body(recipe)), 422, "invalid-upstream"
        )
        assert "published no model" in document["detail"]


@pytest.mark.parametrize(
    ("recipe", "field", "text"),
    [
        (from_run(uuid4()), "recipe.model.run", "not found"),
    ],
)
async def test_a_run_that_does_not_exist_is_named(
    api: Api, recipe: dict[str, Any], field: str, text: str
) -> None:
    document = problem(
        await api.member.post("/v1/runs", json=body(recipe)), 422, "invalid-upstream"
    )
    assert document["errors"][0]["field"] == field
    assert text in document["detail"]


async def test_a_stage_that_published_nothing_is_named_with_those_that_did(api: Api) -> None:
    source = await upstream(api)
    response = await api.member.post("/v1/runs", json=body(from_run(source, stage="evaluate")))
    document = problem(response, 422, "invalid-upstream")
    assert document["errors"][0]["field"] == "recipe.model.stage"
    assert "'train'" in document["detail"]


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ({"run": "x"}, "recipe.model.run"),
        ({"run": 7}, "recipe.model.run"),
        ({"run": None}, "recipe.model.run"),
        ({"run": str(uuid4()), "stage": ""}, "recipe.model.stage"),
        ({"run": str(uuid4()), "stag": "train"}, "recipe.model.stag"),
        ({"run": str(uuid4()), "config": {}}, "recipe.model.config"),
    ],
)
async def test_an_invalid_field_is_named(api: Api, source: dict[str, Any], field: str) -> None:
    recipe = from_run(uuid4()) | {"model": source}
    document = problem(await api.member.post("/v1/runs", json=body(recipe)), 422, "invalid-recipe")
    assert [error["field"] for error in document["errors"]] == [field]


@pytest.mark.parametrize("kind", ["train", "quantize", "distill"])
async def test_final_weights_stay_final_in_the_next_run(api: Api, kind: str) -> None:
    source = await publishes(api, "succeeded", ("quantize", "int8"))
    response = await api.member.post("/v1/runs", json=body(from_run(source, kind)))
    document = problem(response, 422, "invalid-upstream")
    assert document["errors"][0]["field"] == "recipe.stages.0.kind"
    assert "8-bit weights are final" in document["detail"]
    assert await api.post_run(recipe=from_run(source, "evaluate", "measure"))


async def make_private(api: Api, run_id: UUID) -> None:
    """Closes the run's project: it has no members."""
    async with api.database.session_scope() as session:
        run = await session.get(Run, run_id)
        assert run is not None
        project = await session.get(Project, run.project_id)
        assert project is not None
        project.visibility = "private"


async def test_a_run_in_a_hidden_project_is_reported_as_missing(api: Api) -> None:
    source = await upstream(api)
    await make_private(api, source)
    hidden = await api.member.post("/v1/runs", json=body(from_run(source)))
    missing = await api.member.post("/v1/runs", json=body(from_run(uuid4())))
    texts = [
        re.sub(UUID_TEXT, "ID", problem(response, 422, "invalid-upstream")["detail"])
        for response in (hidden, missing)
    ]
    assert texts[0] == texts[1]
    assert "ID" in texts[0]
    assert (await api.admin.post("/v1/runs", json=body(from_run(source)))).status_code == 202


async def test_a_chain_shows_nothing_of_a_private_project_to_others(api: Api) -> None:
    source = await upstream(api, name="secret work")
    run_id = await api.post_run(recipe=from_run(source))
    await end(api, run_id)
    await make_private(api, source)
    response = await api.viewer.get(f"/v1/runs/{run_id}")
    assert "secret work" not in response.text
    lineage = response.json()["lineage"]
    assert (lineage["upstream"], lineage["upstream_hidden"]) == ([], 1)
    for name in FIGURES:
        assert lineage["cumulative"][name]["value"] is None
        assert "private projects" in lineage["cumulative"][name]["reason"]
    full_lineage = (await api.admin.get(f"/v1/runs/{run_id}")).json()["lineage"]
    assert [run["name"] for run in full_lineage["upstream"]] == ["secret work"]
    assert full_lineage["cumulative"]["it_energy_kwh"]["value"] > 0


async def test_a_report_shows_the_chain_to_users_who_may_see_all_of_it(api: Api) -> None:
    source = await upstream(api, name="the teacher")
    run_id = await api.post_run(recipe=from_run(source), name="the student")
    await end(api, run_id)
    response = await api.member.post("/v1/reports", json={"title": "Costs", "runs": [run_id]})
    assert response.status_code == 201, response.text
    report = response.json()
    (section,) = [one for one in report["context"]["sections"] if one["id"] == "lineage"]
    rows = [row["cells"] for row in section["tables"][0]["rows"]]
    assert [cells[0] for cells in rows] == ["the teacher", "the student with upstream runs"]
    assert rows[0][1] == "model used by 1 run"
    assert all("Wh" in cells[2] for cells in rows)
    for fmt in ("html", "md", "tex", "pdf"):
        assert (await api.viewer.get(report["formats"][fmt])).status_code == 200
    await make_private(api, source)
    assert (await api.viewer.get(f"/v1/reports/{report['id']}")).status_code == 404


async def test_a_report_without_chains_is_as_before(api: Api) -> None:
    run_id = await upstream(api)
    response = await api.member.post("/v1/reports", json={"title": "Costs", "runs": [str(run_id)]})
    assert "lineage" not in [one["id"] for one in response.json()["context"]["sections"]]
