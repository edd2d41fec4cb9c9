from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.reports import FORMATS
from app.services import reports
from pricetag.recipes import parse_recipe
from tests.support.api import Api, fields, finished_run, problem
from tests.support.processes import Noted

STARTS = {
    "html": b"<!doctype html",
    "pdf": b"%pdf-",
    "tex": b"\\documentclass",
    "md": b"# ",
    "csv": b"",
    "json": b"{",
}


async def tagged(api: Api, **values: Any) -> UUID:
    async with api.database.session_scope() as session:
        return await finished_run(session, **values)


async def make(api: Api, **body: Any) -> dict[str, Any]:
    response = await api.member.post("/v1/reports", json={"title": "Costs", **body})
    assert response.status_code == 201, response.text
    assert response.headers["location"] == f"/v1/reports/{response.json()['id']}"
    return dict(response.json())


@pytest.mark.parametrize("profile", ["strubell2019", "site"])
async def test_a_report_has_six_formats(
    api: Api, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    typesetters = Noted()
    monkeypatch.setattr(reports, "TYPESETTERS", typesetters)
    run_id = await tagged(api, name="the model")
    report = await make(api, runs=[str(run_id)], profile=profile)
    assert set(report["formats"]) == set(FORMATS)
    for fmt, url in report["formats"].items():
        response = await api.viewer.get(url)
        assert response.status_code == 200, response.text
        assert response.content.lower().startswith(STARTS[fmt])
        assert response.headers["x-content-type-options"] == "nosniff"
        if fmt != "pdf":
            assert b"the model" in response.content
    assert (await api.viewer.get(report["formats"]["json"])).json()["title"] == "Costs"
    # The memory that typesetting a PDF takes is that of another process.
    assert len(typesetters.borrowed) == 1


async def test_a_report_stays_as_it_was(api: Api) -> None:
    run_id = await tagged(api)
    report = await make(api, runs=[str(run_id)])
    before = (await api.viewer.get(report["formats"]["json"])).content
    for method in ("put", "patch", "delete"):
        refused = await getattr(api.admin, method)(f"/v1/reports/{report['id']}")
        problem(refused, 405, "method-not-allowed")
    assert (await api.viewer.get(report["formats"]["json"])).content == before
    shown = (await api.viewer.get(f"/v1/reports/{report['id']}")).json()
    assert shown["content_sha256"] == report["content_sha256"]
    assert shown["context"] == json.loads(before)


async def test_runs_are_chosen_by_filter(api: Api) -> None:
    tagged_run = await tagged(api, name="chosen", tags=["paper"])
    await tagged(api, name="another")
    waiting = await api.post_run(tags=["paper"])
    report = await make(api, filter={"tags": ["paper"]})
    assert [run["run_id"] for run in report["context"]["runs"]] == [str(tagged_run)]
    assert report["runs_left_out"] == [waiting]


async def test_runs_keep_the_order_of_the_request(api: Api) -> None:
    ids = [str(await tagged(api)) for _ in range(3)][::-1]
    report = await make(api, runs=[*ids, ids[0]])
    assert [run["run_id"] for run in report["context"]["runs"]] == ids


async def test_runs_that_cannot_be_reported_are_named(api: Api) -> None:
    ready, waiting, unknown = str(await tagged(api)), await api.post_run(), str(uuid4())
    body = {"title": "x", "runs": [ready, waiting, unknown]}
    refused = problem(await api.member.post("/v1/reports", json=body), 422, "nothing-to-report")
    assert fields(refused) == ["runs.1", "runs.2"]
    assert "no price tag yet" in refused["errors"][0]["message"]
    assert "not found" in refused["errors"][1]["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": "x"}, None),
        ({"title": "x", "runs": [], "filter": {}}, "runs"),
        ({"title": "x", "runs": ["1"]}, "runs.0"),
        ({"title": "", "filter": {}}, "title"),
        ({"title": "a\nb", "filter": {}}, "title"),
        ({"title": "x", "filter": {"projekt": "y"}}, "filter.projekt"),
        ({"title": "x", "filter": {}, "profile": "mine"}, "profile"),
    ],
)
async def test_an_invalid_report_is_rejected_with_its_field(
    api: Api, body: dict[str, Any], field: str | None
) -> None:
    refused = problem(await api.member.post("/v1/reports", json=body), 422, "invalid-request")
    assert field in fields(refused)


async def test_a_report_that_matches_no_run_is_an_error(api: Api) -> None:
    body = {"title": "x", "filter": {"project": "nothing"}}
    problem(await api.member.post("/v1/reports", json=body), 422, "nothing-to-report")


async def test_reports_are_listed_newest_first(api: Api) -> None:
    run_id = str(await tagged(api))
    made = [(await make(api, runs=[run_id], title=title))["id"] for title in "abc"]
    first = (await api.viewer.get("/v1/reports", params={"limit": 2})).json()
    second = (await api.viewer.get("/v1/reports", params={"cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]


async def test_an_unknown_report_or_format_is_not_found(api: Api) -> None:
    problem(await api.viewer.get(f"/v1/reports/{uuid4()}"), 404, "report-not-found")
    problem(await api.viewer.get(f"/v1/reports/{uuid4()}.pdf"), 404, "report-not-found")
    refused = await api.viewer.get(f"/v1/reports/{uuid4()}.docx")
    assert fields(problem(refused, 422, "invalid-request")) == ["fmt"]


async def test_a_report_uses_the_newest_or_the_selected_version(api: Api) -> None:
    run_id, other = str(await tagged(api, name="MiniLM")), str(await tagged(api, name="another"))
    as_of = datetime.now(UTC).isoformat()
    path = f"/v1/runs/{run_id}/price-tag/reprice"
    assert (await api.admin.post(path, json={"as_of": as_of})).status_code == 201

    def bill(report: dict[str, Any]) -> str:
        section = next(s for s in report["context"]["sections"] if s["id"] == "bill")
        return str(section["paragraphs"][-1])

    def versions(report: dict[str, Any]) -> list[tuple[Any, ...]]:
        runs = report["context"]["runs"]
        return [(run["version"], run["newest_version"], run["as_of"]) for run in runs]

    newest = await make(api, runs=[run_id, other])
    assert bill(newest) == "The figures are those of the newest version of each run's price tag."
    [(version, last, stated), second] = versions(newest)
    assert (version, last) == (2, 2)
    assert datetime.fromisoformat(stated) == datetime.fromisoformat(as_of)
    assert second == (1, 1, None)
    named = await make(api, runs=[run_id, other], versions={run_id: 1})
    assert bill(named) == (
        "The figures are those of version 1 of 2 of the price tag of MiniLM, and of the newest "
        "version of every other run's."
    )
    assert versions(named) == [(1, 2, None), (1, 1, None)]
    provenance = next(s for s in named["context"]["sections"] if s["id"] == "provenance")
    assert provenance["tables"][0]["rows"][0]["cells"][1].startswith("version 1 of 2, accounting")
    alone = await make(api, runs=[run_id], versions={run_id: 1})
    assert bill(alone) == "The figures are those of version 1 of 2 of the price tag of MiniLM."
    for fmt in ("html", "tex", "md"):
        text = (await api.viewer.get(alone["formats"][fmt])).text
        assert "version 1 of 2 of the price tag of MiniLM" in text
    filtered = await make(api, filter={"project": None}, versions={run_id: 1})
    assert (1, 2, None) in versions(filtered)


async def test_the_error_for_a_missing_version_names_it(api: Api) -> None:
    run_id, other = str(await tagged(api)), str(await tagged(api))
    for versions, field, message in (
        ({run_id: 2}, f"versions.{run_id}", "has no version 2 of its price tag; it has version 1"),
        ({other: 1}, f"versions.{other}", "is not among the runs of the report"),
    ):
        body = {"title": "x", "runs": [run_id], "versions": versions}
        refused = problem(await api.member.post("/v1/reports", json=body), 422, "nothing-to-report")
        assert refused["errors"][0]["field"] == field
        assert message in refused["errors"][0]["message"]
    bad = {"title": "x", "runs": [run_id], "versions": {run_id: 0}}
    problem(await api.member.post("/v1/reports", json=bad), 422, "invalid-request")


def on_glue(**values: Any) -> dict[str, Any]:
    """The stored recipe of a run that trained and was evaluated."""
    described = {
        "data": {"glue": "rte", "path": "glue_data"},
        "model": "models/bert-base",
        "stages": [{"kind": "train"}],
    }
    return parse_recipe(described | values).model_dump(mode="json")


async def test_a_report_on_glue_needs_scores(api: Api) -> None:
    run_id = str(await tagged(api))
    body = {"title": "x", "runs": [run_id], "table": "glue"}
    refused = problem(await api.member.post("/v1/reports", json=body), 422, "nothing-to-report")
    assert fields(refused) == ["table"]
    assert "data: {glue: TASK}" in refused["errors"][0]["message"]
    body["table"] = "super-glue"
    refused = problem(await api.member.post("/v1/reports", json=body), 422, "invalid-request")
    assert fields(refused) == ["table"]


async def test_a_report_on_glue_has_its_table_in_every_format(api: Api) -> None:
    run_id = str(await tagged(api, recipe=on_glue()))
    plain = str(await tagged(api, name="without GLUE"))
    report = await make(api, runs=[run_id, plain], table="glue")
    table = report["context"]["sections"][0]["tables"][0]
    assert [column["label"] for column in table["columns"]][4:6] == ["RTE", "Avg. of 8"]
    (row,) = table["rows"]
    assert [row["cells"][0], row["cells"][4]] == ["bert-base: train", "90.0"]
    assert "1 run without scores on GLUE not in the table." in table["notes"]
    for fmt, url in report["formats"].items():
        response = await api.viewer.get(url)
        assert response.status_code == 200, response.text
        if fmt in ("html", "md", "tex", "json", "csv"):
            assert b"90.0" in response.content
    line = next(csv.DictReader(io.StringIO((await api.viewer.get(report["formats"]["csv"])).text)))
    assert (line["rte_accuracy_points"], line["run_ids"]) == ("90.0", run_id)


async def test_a_report_on_glue_follows_models_to_the_runs_that_made_them(api: Api) -> None:
    first = str(await tagged(api, recipe=on_glue()))
    second = str(await tagged(api, recipe=on_glue(model={"run": first, "stage": "train"})))
    report = await make(api, runs=[second], table="glue")
    (line,) = report["context"]["lines"]
    assert line["model"] == "bert-base: train, train"
    alone = await make(api, runs=[first], table="glue")
    energy = "it_energy_kwh"
    assert line[energy] == pytest.approx(2 * alone["context"]["lines"][0][energy])
    link = {"report": report["id"], "anonymous": True}
    made = await api.member.post("/v1/shares", json=link)
    assert made.status_code == 201, made.text
    share = made.json()
    shown = await api.nobody.get(f"{share['path']}/report.json")
    (blind,) = shown.json()["lines"]
    assert (blind["model"], blind[energy]) == ("Model A: train, train", line[energy])
    assert [name for name in (first, second, "bert-base") if name in shown.text] == []
