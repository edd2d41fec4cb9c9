"""Papers: collections of runs, frozen and reported as a whole."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from app.reports.charts import charts_of
from models import Run
from pricetag.tag import archive_check
from tests.support.api import Api, fields, problem
from tests.support.insights import one_trial, sweep

FORMATS = ("html", "tex", "md", "csv", "json")


def compiled(files: dict[str, bytes]) -> None:
    """Compiles the LaTeX of a paper, alone and by ``\\input``, where a compiler is installed."""
    engine = shutil.which("pdflatex")
    if engine is None:
        return
    host = (
        r"\documentclass{article}\usepackage{booktabs}\usepackage{graphicx}"
        r"\setlength{\textwidth}{17cm}\begin{document}\input{tables.tex}\end{document}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (files | {"host.tex": host.encode()}).items():
            Path(folder, name).write_bytes(content)
        for name in ("report.tex", "host.tex"):
            done = subprocess.run(
                [engine, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", name],
                cwd=folder,
                capture_output=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
            assert b"figure-3.pdf" in done.stdout
            assert b"Overfull" not in done.stdout


async def a_sweep(api: Api) -> list[str]:
    """Seven runs of the project, one of which failed, and one that is queued."""
    queued = await api.post_run(project="sweep", experiment="experiment", name="waits")
    async with api.database.session_scope() as session:
        run_ids = await sweep(session, created_by=None)
        tagged = update(Run).where(Run.id.in_(run_ids[:3]))
        await session.execute(tagged.values(tags=["tuning"]))
    return [*map(str, run_ids), queued]


async def create(api: Api, **body: Any) -> dict[str, Any]:
    response = await api.member.post(
        "/v1/papers", json={"project": "sweep", "title": "A & B: <50%>", "rule": {}, **body}
    )
    assert response.status_code == 201, response.text
    return dict(response.json())


async def reported(api: Api, paper: dict[str, Any], **body: Any) -> dict[str, Any]:
    response = await api.member.post(f"/v1/papers/{paper['id']}/reports", json=body)
    assert response.status_code == 201, response.text
    return dict(response.json()["context"])


async def energies(api: Api) -> dict[str, float]:
    response = await api.viewer.get("/v1/insights/frontier", params={"project": "sweep"})
    return {p["run_id"]: p["cost"]["value"] for p in response.json()["points"]}


async def test_a_report_counts_every_run_to_the_last_digit(api: Api) -> None:
    run_ids = await a_sweep(api)
    paper = await create(api, authors="Lovelace, Ada")
    assert [run["origin"] for run in paper["runs"]] == ["rule"] * 8
    assert {run["run_id"] for run in paper["runs"]} == set(run_ids)
    context = await reported(api, paper, equivalents=True)
    content, kwh_by_run = context["paper"], await energies(api)
    assert content["totals"]["used"]["it_energy_kwh"]["value"] == math.fsum(kwh_by_run.values())
    assert context["totals"]["it_energy_kwh"]["value"] == math.fsum(kwh_by_run.values())
    lines = {line["name"]: line for line in content["by_purpose"]}
    assert {name: line["runs"] for name, line in lines.items()} == {
        "tuning": 3,
        "not stated": 3,
        "failed": 1,
    }
    tuning = [kwh_by_run[run_id] for run_id in run_ids[:3]]
    assert lines["tuning"]["used"]["it_energy_kwh"]["value"] == math.fsum(tuning)
    assert [each["name"] for each in content["not_counted"]] == ["waits"]
    assert content["research"]["name"] == "dear"
    assert [part["runs"] for part in content["research"]["parts"]] == [1, 7, 7]
    assert content["frontier"]["steps"][0]["run_id"] == run_ids[0]
    assert [chart.kind for chart in charts_of(context)] == [
        "waterfall",
        "expected-validation",
        "frontier",
    ]
    sections = {section["id"]: section for section in context["sections"]}
    assert "7 runs, of which 1 failed" in sections["selection"]["paragraphs"][0]
    assert any(
        "flight" in text or "air travel" in text for text in sections["research"]["paragraphs"]
    )
    assert "MWh" in json.dumps(sections["eu-ai-act"])
    assert "for the listed reasons: 1 run." in sections["neurips"]["paragraphs"][-1]
    [report] = (await api.viewer.get(f"/v1/papers/{paper['id']}")).json()["reports"]
    for fmt in FORMATS:
        rendered = await api.viewer.get(f"/v1/reports/{report['id']}.{fmt}")
        assert rendered.status_code == 200, rendered.text
        assert rendered.content


async def test_the_rungs_of_a_trial_are_one_model_with_one_price(api: Api) -> None:
    """The best run continued another one: its model cost both."""
    run_ids = await a_sweep(api)
    before = (await reported(api, await create(api)))["paper"]
    best = before["research"]["run_id"]
    other = next(run_id for run_id in run_ids if run_id not in (best, run_ids[6]))
    async with api.database.session_scope() as session:
        await one_trial(session, [UUID(other), UUID(best)])
    context = await reported(api, await create(api))
    content, kwh_by_run = context["paper"], await energies(api)
    costs = {run["run_id"]: run["figures"]["it_energy_kwh"]["value"] for run in content["runs"]}
    both = math.fsum((costs[other], costs[best]))
    assert (content["summed_trials"], content["summed_runs"]) == (1, 2)
    assert content["research"]["run_id"] == best
    model, tuning, _ = content["research"]["parts"]
    assert (model["runs"], model["costs"]["it_energy_kwh"]["value"]) == (2, both)
    assert (tuning["runs"], content["research"]["green_ai"]["experiments"]) == (7, 6)
    points = {point["run_id"]: point for point in content["frontier"]["points"]}
    assert other not in points
    assert points[best]["cost"]["value"] == both == kwh_by_run[best]
    assert content["totals"] == before["totals"]
    trials = [sum(each["trials"] for each in c["curves"]["methods"]) for c in (before, content)]
    assert trials[1] == trials[0] - 1
    (selection,) = (each for each in context["sections"] if each["id"] == "selection")
    assert any("1 trial of studies is summed over 2 runs" in t for t in selection["paragraphs"])
    # A paper without the first rung does not know what the model cost.
    without = [run_id for run_id in run_ids[:6] if run_id != other]
    content = (await reported(api, await create(api, rule=None, runs=without)))["paper"]
    assert content["incomplete_trials"] == 1
    unknown = content["research"]["parts"][0]["costs"]["it_energy_kwh"]
    assert unknown["value"] is None
    assert unknown["reason"] == "rung 0 of its trial is not among the runs"


async def test_files_of_a_paper_come_from_its_newest_report(api: Api) -> None:
    await a_sweep(api)
    paper = await create(api, authors="Lovelace, Ada")
    path = f"/v1/papers/{paper['id']}/files"
    early = await api.viewer.get(f"{path}/badge.svg")
    problem(early, 409, "paper-not-reported")
    context = await reported(api, paper)

    async def file(name: str) -> str:
        response = await api.viewer.get(f"{path}/{name}")
        assert response.status_code == 200, response.text
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        return response.text

    badge = await file("badge.svg")
    assert "price tag" in badge
    assert "A &amp; B: &lt;50%&gt;" in badge
    assert r"A \& B: <50\%>" in await file("paper.bib")
    assert "author = {Lovelace, Ada}" in await file("paper.bib")
    grams = context["model_card"]["emissions_g"]
    assert f"  emissions: {grams}\n" in await file("co2_eq_emissions.yaml")
    assert f"  emissions: {grams}\n" in await file("model-card.md")
    assert "Total compute:" in await file("neurips.md")
    assert "Annex XI" in await file("eu-ai-act.md")
    tables = await file("tables.tex")
    assert r"\documentclass" not in tables
    assert tables.count(r"\begin{tabular}") == tables.count(r"\end{tabular}") >= 6
    assert "Planned and used, by purpose" in tables
    assert len((await file("runs.csv")).splitlines()) == 1 + 7
    stated = json.loads(await file("paper.json"))
    assert stated["totals"] == context["paper"]["totals"]
    assert (await api.viewer.get(f"{path}/passwd")).status_code == 422


async def test_freezing_fixes_runs_and_price_tags(api: Api) -> None:
    run_ids = await a_sweep(api)
    assert (await api.admin.post(f"/v1/runs/{run_ids[-1]}/cancel")).is_success
    paper = await create(api, runs=run_ids[:1])
    path = f"/v1/papers/{paper['id']}"
    added = {"runs": run_ids[1:2], "purpose": "final"}
    assert (await api.member.post(f"{path}/runs", json=added)).status_code == 200
    frozen = (await api.member.post(f"{path}/freeze")).json()
    assert frozen["frozen_at"] is not None
    assert {run["origin"] for run in frozen["runs"]} == {"frozen"}
    purposes = {run["run_id"]: run["purpose"] for run in frozen["runs"]}
    assert [purposes[run_id] for run_id in run_ids[:4]] == ["tuning", "final", "tuning", None]
    assert len(frozen["reports"]) == 1
    before = await reported(api, frozen)
    assert before["paper"]["selection_sha256"] == frozen["selection_sha256"]
    # A new version of a price tag, another run, and other tags change nothing.
    assert (await api.admin.post(f"/v1/runs/{run_ids[0]}/price-tag/reprice", json={})).is_success
    async with api.database.session_scope() as session:
        await session.execute(update(Run).values(tags=["ablation"]))
    await a_sweep(api)
    after = await reported(api, frozen)
    assert after["paper"] == before["paper"]
    assert {run["version"] for run in after["paper"]["runs"]} == {1}
    for response in (
        await api.member.post(f"{path}/runs", json=added),
        await api.member.post(f"{path}/freeze"),
        await api.member.patch(path, json={"rule": {}}),
        await api.member.patch(path, json={"title": "B"}),
        await api.member.delete(f"{path}/runs/{run_ids[0]}"),
    ):
        problem(response, 409, "paper-frozen")
    signed = await api.member.patch(path, json={"title": frozen["title"], "authors": "A. Author"})
    assert (signed.json()["title"], signed.json()["authors"]) == (frozen["title"], "A. Author")


async def test_a_rule_collects_by_its_conditions_until_it_is_changed(api: Api) -> None:
    run_ids = await a_sweep(api)
    paper = await create(api, rule={"tags": ["tuning"]})
    path = f"/v1/papers/{paper['id']}"
    assert {run["run_id"] for run in paper["runs"]} == set(run_ids[:3])
    failed = (await api.member.patch(path, json={"rule": {"status": ["failed"]}})).json()
    assert [run["run_id"] for run in failed["runs"]] == run_ids[6:7]
    assert (await api.member.delete(f"{path}/runs/{run_ids[6]}")).status_code == 404
    none = (await api.member.patch(path, json={"rule": None})).json()
    assert none["runs"] == []
    empty = await api.member.post(f"{path}/freeze")
    problem(empty, 409, "empty-paper")
    listed = (await api.viewer.get("/v1/papers", params={"project": "sweep"})).json()
    assert [item["id"] for item in listed["items"]] == [paper["id"]]
    other = await api.viewer.get("/v1/papers", params={"project": "sweeps"})
    assert other.status_code == 404


async def test_a_paper_is_posted_once_and_deleted_until_it_is_frozen(api: Api) -> None:
    run_ids = await a_sweep(api)
    body = {"project": "sweep", "title": "t", "runs": run_ids[:1]}
    key = {"Idempotency-Key": "once"}
    first = await api.member.post("/v1/papers", json=body, headers=key)
    again = await api.member.post("/v1/papers", json=body, headers=key)
    assert first.json()["id"] == again.json()["id"]
    other = await api.member.post("/v1/papers", json=body | {"title": "o"}, headers=key)
    problem(other, 409, "idempotency-key-reused")
    path = f"/v1/papers/{first.json()['id']}"
    report = (await api.member.post(f"{path}/reports", json={})).json()["id"]
    share = await api.member.post("/v1/shares", json={"paper": first.json()["id"]})
    problem(await api.viewer.delete(path), 403, "role-required")
    assert (await api.member.delete(path)).status_code == 204
    assert (await api.member.get(path)).status_code == 404
    assert (await api.member.get(f"/v1/reports/{report}")).status_code == 200
    assert (await api.nobody.get(share.json()["path"])).status_code == 410
    frozen = await create(api, rule=None, runs=run_ids[:1])
    assert (await api.member.post(f"/v1/papers/{frozen['id']}/freeze")).is_success
    problem(await api.member.delete(f"/v1/papers/{frozen['id']}"), 409, "paper-frozen")


async def test_a_report_without_scores_says_what_it_cannot_state(api: Api) -> None:
    await a_sweep(api)
    paper = await create(api, rule={"status": ["failed"]}, runs=[])
    context = await reported(api, paper, equivalents=True)
    sections = {section["id"]: section for section in context["sections"]}
    assert {"research", "curves", "frontier"}.isdisjoint(sections)
    first, *more = sections["omitted"]["paragraphs"]
    assert first.startswith("No run has a score that can be ranked (accuracy, f1")
    assert "air travel" in more[0] or "flight" in more[0]
    assert "cost_currency" in context["line_columns"]
    assert {line["cost_currency"] for line in context["lines"]} == {None}
    whole = await reported(api, await create(api))
    assert "omitted" not in {section["id"] for section in whole["sections"]}


async def test_a_report_states_how_many_runs_the_rule_collected(api: Api) -> None:
    run_ids = await a_sweep(api)
    paper = await create(api, rule={"tags": ["tuning"]}, runs=run_ids[2:4])
    frozen = (await api.member.post(f"/v1/papers/{paper['id']}/freeze")).json()
    for each in (paper, frozen):
        sections = (await reported(api, each))["sections"]
        text = next(s for s in sections if s["id"] == "selection")["paragraphs"][0]
        assert "2 runs were added one by one; a rule collected 2 in the project sweep" in text
    only = (await reported(api, await create(api, rule=None, runs=run_ids[:1])))["sections"]
    assert "They were added one by one." in only[0]["paragraphs"][0]


async def test_wrong_papers_are_rejected_with_every_reason(api: Api) -> None:
    run_ids = await a_sweep(api)
    nobody = "6f0c0d0e-0000-4000-8000-00000000000f"
    wrong = await api.member.post(
        "/v1/papers",
        json={"project": "sweep", "title": "t", "runs": [nobody, run_ids[0], nobody]},
    )
    assert fields(wrong.json()) == ["runs.0", "runs.2"]
    nothing = await api.member.post("/v1/papers", json={"project": "sweep", "title": "t"})
    assert "needs runs, a rule, or published rows" in nothing.text
    missing = {"project": "sweep", "title": "t", "rule": {"experiment": "experimant"}}
    response = await api.member.post("/v1/papers", json=missing)
    problem(response, 404, "experiment-not-found")
    paper = await create(api)
    purpose = {"runs": run_ids[:1], "purpose": "fun"}
    response = await api.member.post(f"/v1/papers/{paper['id']}/runs", json=purpose)
    assert fields(response.json()) == ["purpose"]


async def test_published_rows_are_shown_with_runs_or_alone_and_are_in_no_sum(api: Api) -> None:
    run_ids = await a_sweep(api)
    before = await reported(api, await create(api, rule=None, runs=run_ids[:3]))
    entered = {
        **{"model": "Ours, draft", "hardware": "H100 x 2", "devices": 2, "device_power_w": 500},
        **{"hours": 10, "pue": 1.2, "source": "A. Author 2025: Private draft", "year": 2025},
    }
    rows = {"published": ["strubell2019"], "entered": [entered]}
    beside = await create(api, rule=None, runs=run_ids[:3], **rows)
    assert [row["origin"] for row in beside["published"]] == ["catalog"] * 11 + ["entered"]
    context = await reported(api, beside, equivalents=True)
    assert context["totals"] == before["totals"]
    assert context["paper"]["totals"] == before["paper"]["totals"]
    assert len(context["lines"]) == 3 + 12
    sections = [section["id"] for section in context["sections"]]
    assert sections.index("published") == sections.index("runs") + 1
    changed = {"published": ["strubell2019-nas"]}
    path = f"/v1/papers/{beside['id']}"
    fewer = (await api.member.patch(path, json=changed)).json()["published"]
    assert [row["id"] for row in fewer] == ["strubell2019-nas", None]
    wrong = await api.member.patch(path, json={"published": ["strubell2019", "strubel"]})
    assert fields(wrong.json()) == ["published.1"]
    assert "similar: strubell2019" in wrong.text
    no_currency = {"entered": [entered | {"price_low": 1.0, "price_high": 2.0}]}
    assert (
        "prices and costs need a currency" in (await api.member.patch(path, json=no_currency)).text
    )
    # A paper of published rows alone is reported, frozen, shared blind and archived.
    alone = await create(api, project="no runs", rule=None, runs=[], **rows)
    assert alone["project"] == "no runs"
    path = f"/v1/papers/{alone['id']}"
    frozen = (await api.member.post(f"{path}/freeze")).json()
    assert len(frozen["selection_sha256"]) == 64
    [report] = frozen["reports"]
    for fmt in (*FORMATS, "pdf"):
        assert (await api.viewer.get(f"/v1/reports/{report['id']}.{fmt}")).status_code == 200
    archive = (await api.viewer.get(f"{path}/archive.zip")).content
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    assert archive_check.check(files, frozen["selection_sha256"]) == []
    page = (await api.viewer.get(f"/papers/{alone['id']}", headers={"Accept": "text/html"})).text
    assert '<data value="656347.0">' in page
    problem(await api.member.patch(path, json=changed), 409, "paper-frozen")
    share = await api.member.post("/v1/shares", json={"paper": alone["id"], "anonymous": True})
    blind = await api.nobody.get(f"{share.json()['path']}/archive.zip")
    with zipfile.ZipFile(io.BytesIO(blind.content)) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    assert archive_check.check(files) == []
    assert b"656347" in files["paper.json"]
    for secret in (b"Ours", b"Private draft", b"A. Author"):
        assert not any(secret in content for content in files.values())


async def test_the_latex_of_a_paper_comes_with_its_figures(api: Api) -> None:
    await a_sweep(api)
    paper = await create(api)
    await reported(api, paper)
    response = await api.viewer.get(f"/v1/papers/{paper['id']}/files/latex.zip")
    assert response.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    figures = {name for name in files if name.endswith(".pdf")}
    assert figures == {"figure-1.pdf", "figure-2.pdf", "figure-3.pdf"}
    for name in figures:
        assert files[name].startswith(b"%PDF-")
        assert b"/Subtype /Image" not in files[name]  # drawn by lines and text
    for name in ("report.tex", "tables.tex"):
        named = re.findall(rb"includegraphics\[.*?\]\{(.*?)\}", files[name])
        assert {each.decode() for each in named} == figures
    compiled(files)


@pytest.mark.parametrize("profile", ["strubell2019"])
async def test_the_factors_of_the_profile_are_applied(api: Api, profile: str) -> None:
    await a_sweep(api)
    paper = await create(api)
    context = await reported(api, paper, profile=profile)
    energy, facility = (context["totals"][f"{name}_energy_kwh"] for name in ("it", "facility"))
    assert facility["value"] == pytest.approx(1.58 * energy["value"])


async def test_the_archive_of_a_frozen_paper_checks_out(api: Api) -> None:
    *_, queued = await a_sweep(api)
    paper = await create(api)
    path = f"/v1/papers/{paper['id']}"
    problem(await api.viewer.get(f"{path}/archive.zip"), 409, "paper-not-frozen")
    refused = problem(await api.member.post(f"{path}/freeze"), 409, "open-runs")
    assert "1 of the paper's runs" in refused["detail"]
    assert "waits" in refused["detail"]
    assert "--status succeeded --status failed" in refused["detail"]
    assert (await api.admin.post(f"/v1/runs/{queued}/cancel")).is_success
    frozen = (await api.member.post(f"{path}/freeze")).json()
    [left_out] = (await reported(api, frozen))["paper"]["not_counted"]
    assert left_out["reason"] == "it had no price tag when the paper was frozen"
    response = await api.viewer.get(f"{path}/archive.zip")
    assert response.status_code == 200, response.text
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert archive_check.check(files, frozen["selection_sha256"]) == []
    assert sum(name.startswith("price-tags/") for name in files) == 7
    assert {f"report.{fmt}" for fmt in (*FORMATS, "pdf")} <= files.keys()
    # The server checks it, too, and names the changed digit.
    encoded = base64.b64encode(response.content).decode()
    checked = (await api.viewer.post("/v1/verifications", json={"archive": encoded})).json()
    assert (checked["kind"], checked["outcome"]) == ("archive", "verified")
    assert [item["kind"] for item in checked["items"]] == ["report", *["price-tag"] * 7]
    changed = max(name for name in files if name.startswith("price-tags/"))
    place = re.search(rb'"facility_energy_kwh":{"high":0.0\d', files[changed])
    assert place is not None
    content = bytearray(files[changed])
    content[place.end() - 1] = ord("1") if content[place.end() - 1] != ord("1") else ord("2")
    tampered = io.BytesIO()
    with zipfile.ZipFile(tampered, "w") as archive:
        for name, each in (files | {changed: bytes(content)}).items():
            archive.writestr(name, each)
    form = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
    upload = {"file": ("paper.zip", tampered.getvalue())}
    page = await api.viewer.post("/verify", files=upload, headers=form)
    assert f"{changed}: attempts[0].facility_energy_kwh.high was changed: it is 0.0" in page.text
    broken = await api.viewer.post("/v1/verifications", json={"archive": "UEsDBA=="})
    problem(broken, 422, "invalid-archive")


async def test_the_page_of_a_paper_has_what_the_api_returns(api: Api) -> None:
    *_, queued = await a_sweep(api)
    assert (await api.admin.post(f"/v1/runs/{queued}/cancel")).is_success
    paper = await create(api)
    path = f"/papers/{paper['id']}"
    html = {"Accept": "text/html"}
    form = {"project": "sweep", "title": "From a form", "tags": "tuning, seed:1", "experiment": ""}
    sent = {"Sec-Fetch-Site": "same-origin", **html}
    made = await api.member.post("/papers", data=form, headers=sent)
    assert made.status_code == 303, made.text
    rule = (await api.viewer.get(f"/v1{made.headers['Location'].removeprefix('.')}")).json()["rule"]
    assert rule["tags"] == ["tuning", "seed:1"]
    wrong = await api.member.post("/papers", data=form | {"title": ""}, headers=sent)
    assert (wrong.status_code, "Title: is missing" in wrong.text) == (422, True)
    assert "No report yet" in (await api.viewer.get(path, headers=html)).text
    same = {"Sec-Fetch-Site": "same-origin"}
    assert (await api.member.post(f"{path}/report", headers=same)).status_code == 303
    question = await api.member.get(f"{path}/freeze", headers=html)
    assert "Its 8 runs and their price tags are fixed" in question.text
    assert (await api.member.post(f"{path}/freeze", headers=same)).status_code == 303
    signed = await api.member.patch(f"/v1{path}", json={"authors": "Lovelace, Ada"})
    assert signed.is_success
    page = (await api.viewer.get(path, headers=html)).text
    content = json.loads((await api.viewer.get(f"/v1{path}/files/paper.json")).text)
    for axis in ("it_energy_kwh", "co2e_kg"):
        assert f'<data value="{content["totals"]["used"][axis]["value"]}">' in page
    assert content["selection_sha256"] in page
    assert "waits</bdi>: it had no price tag" in page
    assert "The authors were changed after the newest report" in page
    assert page.count(">measured by a worker of the lab</bdi>") == 8
    assert (await api.member.post(f"{path}/report", headers=same)).status_code == 303
    assert "The authors were changed" not in (await api.viewer.get(path, headers=html)).text
    assert (await api.viewer.get("/papers", headers=html)).text.count(paper["id"]) == 1
