"""Share links: what they show to people without a token, and when they stop."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import update

from app.db import Session
from app.services.attempts import execution
from models import Attempt, Project, Share, User
from pricetag.tag import archive_check
from tests.support.api import Api, problem
from tests.support.executions import JournalMaker, claimed, make_run
from tests.support.insights import begin_stage, moved, score
from tests.support.pdf_texts import pdf_texts

FORMATS = ("html", "pdf", "tex", "md", "csv", "json")
SAME = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
PROJECT, RUN, NODE, STAGE = "canarylab", "canary run", "canarynode", "canary stage"
TITLE, AUTHORS, PACKAGE = "canary title", "canary author", "canarypackage"
NAMES = ("canary", "/home/", "host.test", "a member")


async def a_run(session: Session, number: int, by: UUID, accuracy: float | None) -> UUID:
    """A run whose record has names wherever a record can have one."""
    run = await make_run(
        session, name=f"{RUN} {number}", tags=["canary tag", "tuning"], created_by=by
    )
    claim = await claimed(session, run.id)
    await session.execute(
        update(Attempt).where(Attempt.id == claim.attempt_id).values(node_name=NODE)
    )
    journal = JournalMaker(claim.attempt_id)
    journal.start()
    journal.read(0.0, gpu_w=100.0 + number)
    journal.add(
        "environment",
        0.0,
        packages={"torch": "2.13.0", PACKAGE: "1.0"},
        python="3.11",
        platform="Linux-6.1-canary",
        seeds={STAGE: number},
        variables={"DATA": "/home/canary"},
        inputs=[{"role": "data.validation", "path": "/home/canary/dev.tsv", "size_bytes": 3}],
    )
    begin_stage(journal, "0", 0, 0.0, "train")
    journal.records[-1]["name"] = STAGE
    for second in range(1, 11):
        journal.read(float(second), gpu_w=100.0 + number)
    if accuracy is not None:
        score(journal, 10.0, "0", accuracy)
    journal.add("metric", 10.0, key="0", name="canary metric", value=1.0, quality=True)
    status = "failed" if accuracy is None else "succeeded"
    journal.add("stage_end", 10.0, key="0", status=status)
    reason = {"code": "exit-status", "message": "/home/canary/train.py failed"}
    journal.add("end", 10.0, status=status, reason=None if accuracy else reason)
    await execution.ingest(session, claim.attempt_id, journal.records)
    return run.id


async def a_paper(api: Api) -> tuple[dict[str, Any], list[str]]:
    """A frozen paper of three runs of the member, one of which failed."""
    member = UUID((await api.member.get("/v1/me")).json()["user"]["id"])
    async with api.database.session_scope() as session:
        run_ids = [
            await a_run(session, number, member, accuracy)
            for number, accuracy in enumerate((0.8, 0.9, None))
        ]
        await moved(session, run_ids, PROJECT)
    body = {"project": PROJECT, "title": TITLE, "authors": AUTHORS, "rule": {}}
    paper = (await api.member.post("/v1/papers", json=body)).json()
    budget = {"name": "canary budget", "scope": "project", "project": PROJECT}
    budget |= {"metric": "co2e_kg", "amount": 5}  # type: ignore[dict-item]
    assert (await api.admin.post("/v1/budgets", json=budget)).is_success
    frozen = await api.member.post(f"/v1/papers/{paper['id']}/freeze")
    assert frozen.status_code == 200, frozen.text
    return frozen.json(), [str(run_id) for run_id in run_ids]


async def shared(api: Api, **body: Any) -> dict[str, Any]:
    response = await api.member.post("/v1/shares", json=body)
    assert response.status_code == 201, response.text
    return dict(response.json())


async def opened(api: Api, share: dict[str, Any]) -> dict[str, bytes]:
    """Everything that the link shows, by name; of files in files, their contents, too."""
    files: dict[str, bytes] = {}
    for name in ("", "/report.csv", "/archive.zip"):
        response = await api.nobody.get(share["path"] + name, headers={"Accept": "text/html"})
        assert response.status_code == 200, response.text
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cache-Control"] == "no-store"
        assert "noindex" in response.headers["X-Robots-Tag"]
        files[name] = response.content + str(response.headers).encode()
    with zipfile.ZipFile(io.BytesIO(files["/archive.zip"])) as archive:
        files |= {name: archive.read(name) for name in archive.namelist()}
    texts = {
        f"{name} texts": pdf_texts(content).encode()
        for name, content in files.items()
        if name.endswith(".pdf")
    }
    return files | texts


def named(files: dict[str, bytes], names: tuple[str, ...]) -> dict[str, list[str]]:
    """The names in each file that has any."""
    hits = {
        name: [each for each in names if each.lower().encode() in content.lower()]
        for name, content in files.items()
    }
    return {name: each for name, each in hits.items() if each}


async def test_the_variant_for_blind_review_names_nobody(api: Api) -> None:
    paper, run_ids = await a_paper(api)
    hidden = (*NAMES, paper["id"], paper["selection_sha256"], *run_ids)
    hidden += tuple(run["price_tag_sha256"] for run in paper["runs"])
    share = await shared(api, paper=paper["id"], anonymous=True)
    files = await opened(api, share)
    assert named(files, hidden) == {}
    # The search finds names where they are: in every file that has words of its own.
    with_names = await opened(api, await shared(api, paper=paper["id"]))
    hits = named(with_names, hidden)
    assert {
        "",
        "/report.csv",
        *(f"report.{fmt}" for fmt in FORMATS if fmt != "pdf"),
    } <= hits.keys()
    assert {"report.pdf texts", "paper.json", "ro-crate-metadata.json"} <= hits.keys()
    assert {f"report.{fmt}" for fmt in FORMATS} <= files.keys()
    # All figures are those of the paper, and a stranger adds them up.
    assert archive_check.check({n: c for n, c in files.items() if _in_archive(n)}) == []
    sums = [json.loads(each["paper.json"])["totals"]["used"] for each in (files, with_names)]
    for axis, figure in sums[0].items():
        for part in ("value", "low", "high", "unit", "source"):
            assert figure[part] == sums[1][axis][part], axis
    assert json.loads(files["paper.json"])["score"]["metric"] == "accuracy"


def _in_archive(name: str) -> bool:
    return name != "" and not name.startswith("/") and not name.endswith(" texts")


async def test_a_link_is_counted_listed_and_withdrawn(api: Api) -> None:
    _, run_ids = await a_paper(api)
    share = await shared(api, run=run_ids[0])
    assert set(share["path"].removeprefix("/s/")) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )
    page = await api.nobody.get(share["path"])
    assert f"{RUN} 0" in page.text
    assert (await api.nobody.get(f"{share['path']}/report.csv")).is_success
    problem(await api.nobody.get(f"{share['path']}/archive.zip"), 409, "no-archive")
    [listed] = (await api.member.get("/v1/shares")).json()["items"]
    assert (listed["use_count"], listed["in_force"]) == (2, True)
    assert "secret" not in listed
    assert (await api.viewer.get("/v1/shares")).json()["items"] == []
    problem(await api.member.get("/v1/shares", params={"all": True}), 403, "role-required")
    everyone = (await api.admin.get("/v1/shares", params={"all": True})).json()["items"]
    assert [each["id"] for each in everyone] == [share["id"]]
    problem(await api.viewer.delete(f"/v1/shares/{share['id']}"), 404, "share-not-found")
    withdrawn = await api.member.delete(f"/v1/shares/{share['id']}")
    assert withdrawn.json()["in_force"] is False
    response = await api.nobody.get(share["path"])
    assert RUN not in problem(response, 410, "share-ended")["detail"]
    page = await api.nobody.get(share["path"], headers={"Accept": "text/html"})
    assert (page.status_code, RUN in page.text) == (410, False)
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "was withdrawn or has expired" in page.text
    problem(await api.nobody.get("/s/guessed"), 404, "share-not-found")
    log = (await api.admin.get("/v1/audit", params={"object_kind": "share"})).json()["items"]
    assert [each["action"] for each in log] == ["revoked", "created"]
    assert share["path"].removeprefix("/s/") not in json.dumps(log)


async def test_a_link_ends_with_its_time_its_user_and_their_rights(api: Api) -> None:
    paper, _ = await a_paper(api)
    report = paper["reports"][0]["id"]
    for target in ({"paper": paper["id"]}, {"run": paper["runs"][0]["run_id"]}):
        await shared(api, **target)
    share = await shared(api, report=report, days=1)

    async def in_force() -> list[bool]:
        listed = (await api.member.get("/v1/shares")).json()["items"]
        return [each["in_force"] for each in listed]

    async def status(**values: Any) -> int:
        """The status of the link after some changes."""
        async with api.database.session_scope() as session:
            for model, column, value in values["changes"]:
                before = update(model).values({column: value})
                await session.execute(before)
        return (await api.nobody.get(share["path"])).status_code

    assert await status(changes=[]) == 200
    assert await status(changes=[(Project, "visibility", "private")]) == 410
    assert await in_force() == [False] * 3
    assert await status(changes=[(Project, "visibility", "open")]) == 200
    assert await in_force() == [True] * 3
    now = datetime.now(UTC)
    assert await status(changes=[(User, "disabled_at", now)]) == 410
    assert await status(changes=[(User, "disabled_at", None)]) == 200
    assert await status(changes=[(Share, "expires_at", now - timedelta(seconds=1))]) == 410


async def test_only_who_made_it_shares_it(api: Api) -> None:
    paper, run_ids = await a_paper(api)
    report = paper["reports"][0]["id"]
    other = await api.admin.post("/v1/tokens", json={"name": "somebody", "role": "member"})
    headers = {"Authorization": f"Bearer {other.json()['secret']}"}
    for target in ({"paper": paper["id"]}, {"report": report}, {"run": run_ids[0]}):
        response = await api.nobody.post("/v1/shares", json=target, headers=headers)
        problem(response, 403, "not-yours-to-share")
        assert (await api.admin.post("/v1/shares", json=target)).status_code == 201
    problem(await api.viewer.post("/v1/shares", json={"run": run_ids[0]}), 403, "role-required")
    two = {"paper": paper["id"], "run": run_ids[0]}
    wrong = problem(await api.member.post("/v1/shares", json=two), 422, "invalid-request")
    assert "needs one of paper, report and run" in wrong["detail"]
    plain = {"title": "canary title", "runs": run_ids[:2]}
    made = (await api.member.post("/v1/reports", json=plain)).json()["id"]
    blind = await shared(api, report=made, anonymous=True)
    assert "canary" not in (await api.nobody.get(f"{blind['path']}/report.json")).text


async def test_pages_create_show_and_withdraw_links(api: Api) -> None:
    paper, _ = await a_paper(api)
    form = await api.member.get(
        "/shares/new", params={"paper": paper["id"]}, headers={"Accept": "text/html"}
    )
    assert f'name="paper" value="{paper["id"]}"' in form.text
    wrong = {"paper": paper["id"], "days": "0", "anonymous": ""}
    assert (await api.member.post("/shares", data=wrong, headers=SAME)).status_code == 422
    fields = {"paper": paper["id"], "days": "30", "anonymous": "true"}
    made = await api.member.post("/shares", data=fields, headers=SAME)
    assert made.status_code == 200, made.text
    secret = made.text.partition('href="./s/')[2].partition('"')[0]
    page: httpx.Response = await api.nobody.get(f"/s/{secret}", headers={"Accept": "text/html"})
    assert "Variant for blind review" in page.text
    mine = (await api.member.get("/shares", headers=SAME)).text
    all_links = (await api.admin.get("/admin/shares", headers=SAME)).text
    assert mine.count("for blind review") == all_links.count("for blind review") == 1
    [listed] = (await api.member.get("/v1/shares")).json()["items"]
    ended = await api.member.post(f"/shares/{listed['id']}/withdraw", headers=SAME)
    assert ended.status_code == 303
    assert (await api.nobody.get(f"/s/{secret}")).status_code == 410
