"""Studies over REST, with runs that end as planted."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from app.db import Database, Session
from app.services.attempts import execution
from app.services.studies import ensembles, tpe
from app.services.studies.advancing import advance, advance_all
from app.settings import get_settings
from models import Metric, Run, Stage, StudyRun, User
from pricetag.tag.trials import NO_TRAINING
from tests.support.api import Api, fields, problem, run_body, study_body
from tests.support.executions import JournalMaker, claimed

pytestmark = pytest.mark.asyncio

WHOLE_KWH = 2400 / 3.6e6
"""Energy of a planted run, in kWh."""

HALVING = {"kind": "successive_halving", "trials": 9, "eta": 3}


async def posted(api: Api, **changes: Any) -> str:
    response = await api.member.post("/v1/studies", json=study_body(**changes))
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


async def shown(api: Api, study_id: str) -> dict[str, Any]:
    response = await api.viewer.get(f"/v1/studies/{study_id}")
    assert response.status_code == 200, response.text
    return dict(response.json())


async def end_run(session: Session, run_id: UUID, score: float | None) -> None:
    """Ends a run with this accuracy, or without any."""
    claim = await claimed(session, run_id)
    journal = JournalMaker(claim.attempt_id)
    journal.whole()
    records = [record for record in journal.records if record.get("name") != "accuracy"]
    if score is not None:
        records = [
            {**record, "value": score} if record.get("name") == "accuracy" else record
            for record in journal.records
        ]
    for number, record in enumerate(records):
        record["seq"] = number
    await execution.ingest(session, claim.attempt_id, records)


async def open_runs(session: Session, study_id: str) -> list[StudyRun]:
    query = (
        select(StudyRun)
        .join(Run, Run.id == StudyRun.run_id)
        .where(StudyRun.study_id == UUID(study_id), Run.status == "queued")
        .order_by(StudyRun.trial, StudyRun.rung)
    )
    return list((await session.execute(query)).scalars())


async def play(
    database: Database, study_id: str, score: Callable[[int], float | None], most: int = 1000
) -> int:
    """Ends open runs and advances the study, until it waits for nothing; gives the runs ended."""
    for ended in range(most):
        async with database.session_scope() as session:
            waiting = await open_runs(session, study_id)
            if not waiting:
                return ended
            assert waiting[0].run_id is not None
            await end_run(session, waiting[0].run_id, score(waiting[0].trial))
        await advance_all(database, {waiting[0].run_id})
    return most


async def test_a_hyperband_study_runs_its_table_and_sums_its_price(api: Api) -> None:
    strategy = {"kind": "hyperband", "max_resource": 9, "eta": 3}
    study_id = await posted(api, strategy=strategy, parallel=3)
    begun = await shown(api, study_id)
    assert (begun["started_trials"], begun["open_runs"], begun["planned_trials"]) == (3, 3, 17)
    runs = await play(api.database, study_id, lambda trial: trial / 100)
    study = await shown(api, study_id)
    assert study["status"] == "finished"
    assert study["status_reason"]["code"] == "completed"
    table = [[rung["done_trials"] for rung in each["rungs"]] for each in study["brackets"]]
    assert table == [[9, 3, 1], [5, 1], [3]]
    planned = [[rung["planned_trials"] for rung in each["rungs"]] for each in study["brackets"]]
    assert planned == table
    assert runs == study["runs"] == 9 + 3 + 1 + 5 + 1 + 3
    # The best of the first bracket are the last of its trials.
    finished = [each["number"] for each in study["trials"] if each["state"] == "finished"]
    assert finished == [8, 13, 14, 15, 16]
    assert study["best"]["trial"] == 16
    assert study["best"]["score"] == 0.16
    total = study["price_tag"]
    assert total["it_energy_kwh"]["value"] == pytest.approx(runs * WHOLE_KWH)
    # No price of the devices is known here: said, and not taken as 0.
    assert total["unknown_runs"] == {"cost": runs}
    assert total["cost"]["value"] is None
    assert study["best"]["price_tag"]["it_energy_kwh"]["value"] == pytest.approx(WHOLE_KWH)
    # Bracket 2: six trials stopped at 1 of 9, two at 3 of 9; bracket 1: four stopped at 3 of 9.
    # The longest rungs, of bracket 0, train nine units in one run.
    saved = (6 * 8 + 2 * 6 + 4 * 6) * WHOLE_KWH / 9
    assert study["saved"]["it_energy_kwh"]["value"] == pytest.approx(saved)
    assert study["saved"]["it_energy_kwh"]["low"] < saved < study["saved"]["it_energy_kwh"]["high"]
    assert study["saved"]["stopped_trials"] == 12
    first = study["trials"][0]["runs"][0]
    recipe = (await api.viewer.get(f"/v1/runs/{first['run_id']}")).json()
    assert recipe["recipe"]["stages"][0]["env"]["STUDY_RESOURCE"] == "1"
    tagged = await api.viewer.get("/v1/runs", params={"tag": f"study:{study_id}", "limit": 200})
    assert len(tagged.json()["items"]) == runs


async def test_a_study_that_two_servers_advance_starts_each_trial_once(
    committed_api: Api,
) -> None:
    api = committed_api
    study_id = await posted(api, strategy=HALVING, parallel=9)

    async def settle_all() -> None:
        async with api.database.session_scope() as session:
            for row in await open_runs(session, study_id):
                assert row.run_id is not None
                await end_run(session, row.run_id, row.trial / 10)

    for _ in range(4):
        await settle_all()
        await asyncio.gather(*(advance_all(api.database) for _ in range(4)))
    study = await shown(api, study_id)
    assert study["status"] == "finished"
    assert study["runs"] == 9 + 3 + 1
    async with api.database.session_scope() as session:
        query = select(func.count()).select_from(Run)
        assert (await session.execute(query)).scalar_one() == 13


async def test_a_decision_that_was_not_stored_is_made_again(api: Api) -> None:
    study_id = await posted(api, strategy=HALVING, parallel=9)
    async with api.database.session_scope() as session:
        for row in await open_runs(session, study_id):
            assert row.run_id is not None
            await end_run(session, row.run_id, row.trial / 10)

    async def die_before_the_commit() -> None:
        async with api.database.session_scope() as session:
            await advance(session, UUID(study_id))
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await die_before_the_commit()
    assert (await shown(api, study_id))["open_runs"] == 0
    await advance_all(api.database)
    promoted = [
        each["number"] for each in (await shown(api, study_id))["trials"] if len(each["runs"]) == 2
    ]
    assert promoted == [6, 7, 8]


async def test_a_study_ends_when_its_budget_is_used_up(api: Api, budget_factors: None) -> None:
    study_id = await posted(api, budget={"hours": 2.5 * 16 / 3600}, parallel=1)
    assert await play(api.database, study_id, lambda trial: trial / 10) == 2
    study = await shown(api, study_id)
    assert study["status"] == "finished"
    assert study["status_reason"]["code"] == "budget-reached"
    assert study["best"]["trial"] == 1
    (limit,) = study["budget"]
    assert limit["used"] == pytest.approx(2 * 16 / 3600)


async def test_a_study_whose_trials_all_fail_states_why(api: Api) -> None:
    study_id = await posted(api, parallel=5)
    message = "exit status 1; last lines:\nTraceback\nNameError: name 'x' is not defined"
    async with api.database.session_scope() as session:
        for number, row in enumerate(await open_runs(session, study_id)):
            assert row.run_id is not None
            claim = await claimed(session, row.run_id)
            journal = JournalMaker(claim.attempt_id)
            journal.start()
            reason = {"code": "exit-status", "message": message if number else "out of memory"}
            journal.add("end", 1.0, status="failed", reason=reason)
            await execution.ingest(session, claim.attempt_id, journal.records)
    await advance_all(api.database)
    study = await shown(api, study_id)
    assert study["status_reason"]["code"] == "all-trials-failed"
    assert study["status_reason"]["message"] == (
        "every trial has failed: exit status 1; last lines: ... NameError: name 'x' is not defined "
        "(3 of 4 runs)"
    )


async def test_a_budget_is_kept_although_trials_have_no_quote(
    api: Api, budget_factors: None
) -> None:
    """The first one runs alone; the others count as much as it has used."""
    study_id = await posted(api, budget={"hours": 3.5 * 16 / 3600}, parallel=4)
    begun = await shown(api, study_id)
    assert (begun["open_runs"], begun["budget"][0]["unknown_runs"]) == (1, 1)
    await play(api.database, study_id, lambda trial: trial / 10, most=1)
    going_on = await shown(api, study_id)
    assert (going_on["open_runs"], going_on["budget"][0]["unknown_runs"]) == (2, 0)
    assert going_on["budget"][0]["reserved"] == pytest.approx(2 * 16 / 3600)
    assert await play(api.database, study_id, lambda trial: trial / 10) == 2
    study = await shown(api, study_id)
    assert study["status_reason"]["code"] == "budget-reached"
    assert study["budget"][0]["used"] == pytest.approx(3 * 16 / 3600)


async def test_a_study_ends_when_a_budget_of_the_lab_admits_no_trial(api: Api) -> None:
    budget = {"name": "small", "scope": "lab", "metric": "co2e_kg", "amount": 0}
    made = await api.admin.post("/v1/budgets", json=budget)
    assert made.status_code == 201, made.text
    study_id = await posted(api)
    study = await shown(api, study_id)
    assert (study["status"], study["runs"]) == ("finished", 0)
    assert study["status_reason"]["code"] == "budget-exceeded"
    message = study["status_reason"]["message"]
    assert message.startswith("a budget of the lab admits no trial: ")
    assert "small" in message


@pytest.mark.parametrize("trials", [2, 50])
async def test_a_metric_that_no_trial_reports_ends_the_study(api: Api, trials: int) -> None:
    study_id = await posted(api, strategy={"kind": "random", "trials": trials}, parallel=1)
    assert await play(api.database, study_id, lambda trial: None) == min(trials, 3)
    study = await shown(api, study_id)
    assert (study["status"], study["best"]) == ("failed", None)
    assert study["status_reason"]["code"] == "metric-not-reported"
    assert "'accuracy'" in study["status_reason"]["message"]
    other = await posted(api, strategy={"kind": "random", "trials": 1}, metric={"name": "f2"})
    await play(api.database, other, lambda trial: 0.5)
    message = (await shown(api, other))["status_reason"]["message"]
    assert message == "no trial has reported the metric 'f2': reported are accuracy"


async def test_a_training_rung_continues_the_model_of_the_rung_before(api: Api) -> None:
    recipe = {
        "task": "classification",
        "data": {"train": "t.csv", "validation": "v.csv", "text": "text", "label": "label"},
        "model": "m",
        "stages": [{"kind": "train"}],
    }
    study_id = await posted(
        api,
        base=run_body(recipe=recipe),
        space=[
            {
                "kind": "log_uniform",
                "field": "recipe.stages.0.learning_rate",
                "low": 1e-5,
                "high": 1e-3,
            }
        ],
        strategy={**HALVING, "trials": 3, "resource": {"field": "recipe.stages.0.epochs"}},
    )
    await play(api.database, study_id, lambda trial: trial / 10)
    study = await shown(api, study_id)
    assert study["status"] == "finished", study["status_reason"]
    first, second = study["trials"][2]["runs"]
    run = (await api.viewer.get(f"/v1/runs/{second['run_id']}")).json()
    assert run["recipe"]["model"] == {"run": first["run_id"], "stage": "train"}
    stage = run["recipe"]["stages"][0]
    assert (stage["epochs"], stage["start_at"], stage["stop_at"]) == (3.0, 1.0, None)
    rate = study["trials"][2]["values"]["recipe.stages.0.learning_rate"]
    assert run["recipe"]["stages"][0]["learning_rate"] == rate
    assert run["lineage"]["upstream"][0]["run_id"] == first["run_id"]
    # Two trials trained one of three epochs; the longest rung trains two epochs with 1500 J.
    assert study["saved"]["it_energy_kwh"]["value"] == pytest.approx(2 * 2 * 750 / 3.6e6)


COMPRESSION = {
    "kind": "train_large_then_compress",
    "sizes": {"values": ["small", "large"]},
    "sparsities": [0, 0.5],
    "bits": [32, 8],
    "prune": {"recovery_epochs": 0.5},
}
TRAINED_AND_MEASURED = {
    "task": "classification",
    "data": {"train": "t.csv", "validation": "v.csv", "text": "text", "label": "label"},
    "model": "m",
    "stages": [{"kind": "train", "name": "tune"}, {"kind": "measure"}],
}


async def test_each_size_is_trained_once_and_then_compressed(api: Api) -> None:
    base = run_body(recipe=TRAINED_AND_MEASURED)
    study_id = await posted(api, base=base, space=[], strategy=COMPRESSION)
    begun = await shown(api, study_id)
    assert (begun["planned_trials"], begun["open_runs"]) == (8, 2)
    async with api.database.session_scope() as session:
        small, large = [row.run_id for row in await open_runs(session, study_id) if row.run_id]
        await end_run(session, small, 0.5)
        await execution.request_cancel(session, large)
        named = update(Stage).where(Stage.kind == "train").values(name="tune")
        await session.execute(named)
    await advance_all(api.database)
    await play(api.database, study_id, lambda trial: trial / 10)
    study = await shown(api, study_id)
    assert study["status_reason"]["code"] == "completed"
    states = [trial["state"] for trial in study["trials"]]
    assert states == ["finished", "cancelled", *["finished"] * 3, *["failed"] * 3]
    reason = study["trials"][5]["runs"][0]["reason"]
    assert reason == {
        "code": "invalid-upstream",
        "message": "trial 1 has trained no model",
        "field": None,
    }
    both = study["trials"][4]
    assert both["values"] == {
        "recipe.model": "small",
        "compress.sparsity": 0.5,
        "compress.bits": 8,
    }
    run = (await api.viewer.get(f"/v1/runs/{both['runs'][0]['run_id']}")).json()
    assert run["recipe"]["model"] == {"run": str(small), "stage": "tune"}
    prune, quantize, measure = run["recipe"]["stages"]
    assert (prune["kind"], prune["sparsity"], prune["recovery_epochs"]) == ("prune", 0.5, 0.5)
    assert (quantize["method"], quantize["bits"]) == ("weight_only", 8)
    assert measure["kind"] == "measure"
    # The best model costs its training and its compression.
    assert (study["best"]["trial"], study["best"]["price_tag"]["runs"]) == (0, 1)
    async with api.database.session_scope() as session:
        better = update(Metric).where(Metric.value == 0.4).values(value=0.7)
        await session.execute(better)
        # Runs that ended at one moment are in any order: this one ended last, its model first.
        for run_id, hours in ((UUID(both["runs"][0]["run_id"]), 1), (small, -1)):
            moved = Run.finished_at + timedelta(hours=hours)
            await session.execute(update(Run).where(Run.id == run_id).values(finished_at=moved))
    best = (await shown(api, study_id))["best"]
    assert (best["trial"], best["price_tag"]["runs"]) == (4, 2)
    assert best["price_tag"]["it_energy_kwh"]["value"] == pytest.approx(2 * WHOLE_KWH)
    # So it does on the frontier, whether its training is selected or not, and in a paper.
    compressed = both["runs"][0]["run_id"]
    for limit in (100, 3):
        chosen: dict[str, str | int] = {"project": "text", "limit": limit}
        response = await api.viewer.get("/v1/insights/frontier", params=chosen)
        assert response.status_code == 200, response.text
        frontier = response.json()
        costs = {point["run_id"]: point["cost"]["value"] for point in frontier["points"]}
        assert costs[compressed] == pytest.approx(2 * WHOLE_KWH)
        assert (str(small) in costs) == (limit > 3)
    assert (await _frontier_of_paper(api, [str(small), compressed]))[compressed] == {
        "value": pytest.approx(2 * WHOLE_KWH),
        "reason": None,
    }
    alone = (await _frontier_of_paper(api, [compressed]))[compressed]
    assert alone == {"value": None, "reason": NO_TRAINING}


async def _frontier_of_paper(api: Api, run_ids: list[str]) -> dict[str, Any]:
    """Value and reason of the cost of each point of a paper's frontier."""
    body = {"project": "text", "title": "t", "runs": run_ids}
    paper = (await api.member.post("/v1/papers", json=body)).json()
    report = await api.member.post(f"/v1/papers/{paper['id']}/reports", json={})
    assert report.status_code == 201, report.text
    content = report.json()["context"]["paper"]
    whole = content["totals"]["used"]["it_energy_kwh"]["value"]
    assert whole == pytest.approx(len(run_ids) * WHOLE_KWH)  # no run counts twice
    return {
        point["run_id"]: {name: point["cost"][name] for name in ("value", "reason")}
        for point in content["frontier"]["points"]
    }


async def test_a_canceled_study_cancels_its_runs_and_starts_none(api: Api) -> None:
    study_id = await posted(api, parallel=2)
    assert problem(await api.viewer.post(f"/v1/studies/{study_id}/cancel"), 403, "role-required")
    response = await api.member.post(f"/v1/studies/{study_id}/cancel")
    assert (response.status_code, response.json()["status"]) == (202, "cancelled")
    await advance_all(api.database)
    study = await shown(api, study_id)
    assert (study["runs"], study["open_runs"]) == (2, 0)
    assert [each["state"] for each in study["trials"]] == ["cancelled", "cancelled"]
    (rung,) = study["brackets"][0]["rungs"]
    assert (rung["failed_trials"], rung["canceled_trials"]) == (0, 2)
    assert study["price_tag"]["it_energy_kwh"]["value"] == 0
    cost = study["price_tag"]["cost"]
    assert (cost["value"], cost["unit"]) == (0, get_settings().currency)
    again = await api.member.post(f"/v1/studies/{study_id}/cancel")
    problem(again, 409, "study-finished")


async def test_a_study_whose_author_may_no_longer_post_ends(api: Api) -> None:
    study_id = await posted(api, parallel=1)
    async with api.database.session_scope() as session:
        await session.execute(update(User).where(User.name == "a member").values(role="viewer"))
    await play(api.database, study_id, lambda trial: 0.5)
    study = await shown(api, study_id)
    assert study["status_reason"]["code"] == "author-may-not-post"
    assert study["runs"] == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"space": []}, "space"),
        ({"budget": {"kwh": 0}}, "budget.kwh"),
        (
            {"strategy": {"kind": "successive_halving", "trials": 9, "max_resource": 0.5}},
            "strategy.max_resource",
        ),
        ({"base": {}}, "base.project"),
    ],
)
async def test_a_wrong_study_is_rejected_before_anything_is_queued(
    api: Api, changes: dict[str, Any], field: str
) -> None:
    response = await api.member.post("/v1/studies", json=study_body(**changes))
    assert field in fields(problem(response, 422, "invalid-study"))
    assert (await api.viewer.get("/v1/studies")).json()["items"] == []
    assert (await api.viewer.get("/v1/runs")).json()["items"] == []


async def test_a_strategy_whose_library_is_missing_is_rejected(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tpe, "is_installed", lambda: False)
    body = study_body(strategy={"kind": "tpe", "trials": 9})
    document = problem(await api.member.post("/v1/studies", json=body), 422, "invalid-study")
    assert fields(document) == ["strategy.kind"]
    assert "optuna" in document["detail"]


async def test_the_same_key_gives_the_same_study(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    first = await api.member.post("/v1/studies", json=study_body(), headers=headers)
    again = await api.member.post("/v1/studies", json=study_body(), headers=headers)
    assert first.json()["id"] == again.json()["id"]
    other = await api.member.post("/v1/studies", json=study_body(seed=1), headers=headers)
    problem(other, 409, "idempotency-key-reused")
    listed = await api.viewer.get("/v1/studies", params={"limit": 1, "project": "text"})
    assert [item["id"] for item in listed.json()["items"]] == [first.json()["id"]]
    problem(await api.viewer.get(f"/v1/studies/{uuid4()}"), 404, "study-not-found")


async def end_member(
    api: Api, run_id: UUID, root: Path, document: dict[str, Any] | None, score: float
) -> None:
    """Ends the run of a member of an ensemble, with its class probabilities."""
    async with api.database.session_scope() as session:
        claim = await claimed(session, run_id)
        journal = JournalMaker(claim.attempt_id)
        journal.whole()
        records = [dict(record) for record in journal.records]
        for record in records:
            if record["type"] == "artifact" and document is not None:
                content = json.dumps(document).encode()
                path = f"{run_id}/1/stage-01-evaluate/probabilities-validation.json"
                (root / path).parent.mkdir(parents=True)
                (root / path).write_bytes(content)
                sha256 = hashlib.sha256(content).hexdigest()
                name = "stage-01-evaluate/probabilities-validation.json"
                record |= {"name": name, "path": path, "sha256": sha256, "card": None}
                record |= {"size_bytes": len(content)}
            if record.get("name") == "accuracy":
                record["value"] = score
        await execution.ingest(session, claim.attempt_id, records)
    await advance_all(api.database, {run_id})


async def test_an_ensemble_has_its_accuracy_and_cost_against_the_number_of_members(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = get_settings().model_copy(update={"artifacts_dir": tmp_path})
    monkeypatch.setattr(ensembles, "get_settings", lambda: settings)
    recipe = {
        **{"task": "classification", "model": "minilm", "stages": [{"kind": "train", "epochs": 1}]},
        "data": {"train": "train.csv", "validation": "dev.csv"},
    }
    base = run_body(recipe=recipe)
    strategy = {"kind": "ensemble", "members": 4}
    study_id = await posted(api, base=base, space=[], strategy=strategy, parallel=1)
    empty = (await shown(api, study_id))["ensemble"]
    assert (empty["points"], empty["reason"]) == ([], "no trial has succeeded yet")
    # Each member is right on two of three examples; all together on all.
    rows = [[[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]], [[0.9, 0.1], [0.4, 0.6], [0.9, 0.1]]]
    rows += [[[0.4, 0.6], [0.9, 0.1], [0.9, 0.1]]]
    for number in range(4):
        async with api.database.session_scope() as session:
            [waiting] = await open_runs(session, study_id)
            assert waiting.run_id is not None
        document = {"classes": ["right", "wrong"], "labels": [0, 0, 0]}
        kept = None if number == 3 else document | {"probabilities": rows[number]}
        await end_member(api, waiting.run_id, tmp_path, kept, 2 / 3)
    study = await shown(api, study_id)
    assert study["status"] == "finished"
    ensemble = study["ensemble"]
    assert (ensemble["estimator"], ensemble["members"]) == ("all_subsets", 3)
    assert ensemble["examples"] == 3
    assert ensemble["reason"] == (
        "1 without: its run kept no class probabilities of the validation split"
    )
    accuracy = [(p["accuracy"]["low"], p["accuracy"]["value"]) for p in ensemble["points"]]
    assert accuracy == [(2 / 3, 2 / 3), (1, 1), (1, 1)]
    for k, point in enumerate(ensemble["points"], 1):
        making, inference = point["making_kwh"], point["inference_kwh"]
        assert making["value"] == pytest.approx(k * WHOLE_KWH)
        assert making["low"] <= making["value"] <= making["high"]
        assert inference["value"] == pytest.approx(k * WHOLE_KWH * 5 / 16, rel=0.01)
        assert making["source"] is not None
    page = (await api.viewer.get(f"/studies/{study_id}", headers={"Accept": "text/html"})).text
    assert "Energy to make them" in page
    assert "Class probabilities of 3 members on 3 examples of validation" in page
    # The report of a paper on the runs has the same table, the variant for blind review too.
    paper = {"project": "text", "title": "t", "rule": {"tags": [f"study:{study_id}"]}}
    paper_id = (await api.member.post("/v1/papers", json=paper)).json()["id"]
    report = await api.member.post(f"/v1/papers/{paper_id}/reports", json={})
    assert report.status_code == 201, report.text
    context = report.json()["context"]
    [stated] = context["paper"]["ensembles"]
    assert [p["accuracy"] for p in stated["points"]] == [p["accuracy"] for p in ensemble["points"]]
    [section] = (each for each in context["sections"] if each["id"] == "ensembles")
    assert [row["cells"][0] for row in section["tables"][0]["rows"]] == ["1", "2", "3"]
    share = await api.member.post("/v1/shares", json={"paper": paper_id, "anonymous": True})
    blind = await api.nobody.get(f"{share.json()['path']}/report.json")
    assert "a study" not in blind.text
    assert "Study A" in blind.text
    # A file that was changed after its run is not averaged.
    next(tmp_path.rglob("*.json")).write_text("{}")
    ensembles._curve.cache_clear()
    changed = (await shown(api, study_id))["ensemble"]
    assert changed["points"] == []
    assert "was changed after its run" in changed["reason"]


async def test_a_power_sweep_states_the_limit_of_least_energy(api: Api) -> None:
    base = run_body(resources={"gpus": 1, "pool": "default"})
    strategy = {"kind": "power_sweep", "limits_w": [300, 150], "eta": 0.25}
    study_id = await posted(api, base=base, space=[], strategy=strategy)
    begun = (await shown(api, study_id))["power_sweep"]
    assert [point["limit_w"] for point in begun["points"]] == [150, 300]
    assert {point["reason"] for point in begun["points"]} == {"its run has not succeeded"}
    assert begun["least_energy_w"] is None
    async with api.database.session_scope() as session:
        waiting = await open_runs(session, study_id)
    for row, limit_w in zip(waiting, (300, 150), strict=True):
        run = (await api.viewer.get(f"/v1/runs/{row.run_id}")).json()
        assert run["resources"] == {"gpus": 1, "pool": "default", "power_limit_w": limit_w}
    await play(api.database, study_id, lambda trial: 0.5)
    study = await shown(api, study_id)
    sweep = study["power_sweep"]
    assert (study["status"], sweep["max_power_w"], sweep["eta"]) == ("finished", 300, 0.25)
    for point in sweep["points"]:
        energy_j = point["it_energy_kwh"]["value"] * 3.6e6
        cost_j = 0.25 * energy_j + 0.75 * 300 * point["duration_s"]["value"]
        assert point["cost_j"] == pytest.approx(cost_j)
        assert energy_j == pytest.approx(WHOLE_KWH * 3.6e6)
    assert (sweep["least_energy_w"], sweep["reason"]) == (150, None)
    page = (await api.viewer.get(f"/studies/{study_id}", headers={"Accept": "text/html"})).text
    assert "Least energy at 150 W: +0.0% energy and +0.0% time against 300 W" in page
