"""The page of a run: what it shows in every state, and what it lets whom do."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, update

from app.services.attempts import execution
from models import Run, User
from tests.support.api import Api, finished_run, running_run
from tests.support.executions import JournalMaker, claimed, make_run
from tests.support.site import NAMES

HTML = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
ACTIONS = ("Cancel", "Resume", "Re-price", "Report")


async def page(api: Api, run_id: UUID | str, query: str = "", by: str = "viewer") -> str:
    client: httpx.AsyncClient = getattr(api, by)
    response = await client.get(f"/runs/{run_id}{query}", headers=HTML)
    assert response.status_code == 200, response.text
    return response.text


async def post(api: Api, by: str, path: str, **data: Any) -> httpx.Response:
    client: httpx.AsyncClient = getattr(api, by)
    return await client.post(path, headers=HTML, data=data)


async def finished(api: Api, **values: Any) -> UUID:
    async with api.database.session_scope() as session:
        member = (await session.execute(select(User.id).where(User.name == "a member"))).scalar()
        return await finished_run(session, created_by=member, **values)


def buttons(text: str) -> list[str]:
    """The buttons of the page's own content."""
    content = text.partition("<main")[2]
    labels = re.findall(r"<button[^>]*>(.*?)</button>", content, re.S)
    return [re.sub(r"<[^>]+>", "", label).strip() for label in labels]


def texts(page_text: str) -> str:
    """The visible text of a page, in one line."""
    content = page_text.partition("<main")[2]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", content)))


async def test_a_finished_run_shows_its_bill_and_where_it_comes_from(api: Api) -> None:
    run_id = await finished(api)
    text = texts(await page(api, run_id))
    assert "Bill version 1, 100.0% of the run time metered" in text
    assert "Stage train used 62.5% of the IT energy" in text
    for heading in (
        *("By component", "By stage", "Power", "Attempts", "Causes of error", "Second opinion"),
        *("Log", "Recipe", "Factors", "Provenance", "Artifacts"),
    ):
        assert f" {heading} " in text, heading
    assert "torch 2.13.0" in text
    assert "model.safetensors" in text
    tag = (await api.viewer.get(f"/v1/runs/{run_id}/price-tag")).json()
    html = await page(api, run_id)
    assert f'<data value="{tag["it_energy_kwh"]["value"]}">' in html
    assert tag["content_sha256"][:12] in html


async def test_the_state_of_the_page_is_in_its_address(api: Api) -> None:
    run_id = await finished(api)
    await api.admin.post(f"/v1/runs/{run_id}/price-tag/reprice", json={})
    newest = await page(api, run_id)
    assert "Version 2 of 2" in newest
    first = await page(api, run_id, "?version=1")
    assert "Version 1 of 2" in first
    assert re.search(r'aria-current="true">1</a> <span class="badge">shown', first)
    missing = await api.viewer.get(f"/runs/{run_id}?version=3", headers=HTML)
    assert missing.status_code == 404
    window = texts(await page(api, run_id, "?attempt=1&from_s=10&to_s=15"))
    assert "IT energy 208 mWh" in window
    problem = await page(api, run_id, "?from_s=15&to_s=10")
    assert 'role="alert"' in problem
    assert (await page(api, run_id, "?from_s=&to_s=")).count('role="alert"') == 0


async def test_a_failed_run_says_why_and_shows_what_it_used(api: Api) -> None:
    async with api.database.session_scope() as session:
        run = await make_run(session)
        claim = await claimed(session, run.id)
        journal = JournalMaker(claim.attempt_id)
        journal.whole("failed", {"code": "out-of-memory", "message": "The GPU ran out of memory."})
        await execution.ingest(session, claim.attempt_id, journal.records)
    text = await page(api, run.id)
    assert 'class="notice notice-bad" id="reason"><p>The GPU ran out of memory.</p></div>' in text
    assert "Bill <span" in text


async def test_a_lost_attempt_stays_on_the_bill(api: Api) -> None:
    async with api.database.session_scope() as session:
        run = await make_run(session)
        for status in ("interrupted", "succeeded"):
            claim = await claimed(session, run.id)
            journal = JournalMaker(claim.attempt_id)
            journal.whole(status)
            await execution.ingest(session, claim.attempt_id, journal.records)
    html = await page(api, run.id)
    text = texts(html)
    for number, status in ((1, "interrupted"), (2, "succeeded")):
        row = re.search(rf'<th scope="row">[^/]*Attempt {number}</bdi></th>.*?</tr>', html)
        assert row is not None
        assert f"<td>{status}</td>" in row[0]
    assert html.count("data-attempt=") - html.count('id="traces"') == 2
    assert "Whole run" in text


async def test_a_queued_run_says_what_it_waits_for(api: Api) -> None:
    run_id = await api.post_run()
    text = texts(await page(api, run_id))
    assert "Why it waits" in text
    assert "No worker serves pool" in text
    assert "Position 1 in the queue of pool" in text
    assert "The price tag is issued when an attempt of the run ends." in text
    assert 'id="traces"' not in await page(api, run_id)


async def test_a_running_run_shows_what_it_has_used_so_far(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await running_run(session, 5)
        progress = {"done": 40, "total": 100, "unit": "steps", "power_w": 155.0}
        await session.execute(update(Run).where(Run.id == run_id).values(progress=progress))
    text = await page(api, run_id)
    assert 'value="0.4"' in text
    assert "40 of 100 steps" in text
    assert re.search(r'<data value="155.0">155 <span class="unit">W</span></data>.*so far', text)
    assert "the job has not reported it yet" in text
    fragment = await api.viewer.get(f"/run-progress/{run_id}", headers=HTML)
    assert fragment.text.strip().startswith("<div")
    assert "40 of 100 steps" in fragment.text
    assert f'data-live="../run-progress/{run_id}"' in fragment.text


async def test_a_canceled_run_without_an_attempt_has_no_bill(api: Api) -> None:
    run_id = await api.post_run()
    cancelled = await post(api, "member", f"/runs/{run_id}/cancel")
    assert (cancelled.status_code, cancelled.headers["location"]) == (303, f"../../runs/{run_id}")
    text = texts(await page(api, run_id, by="member"))
    assert "The run cancelled before any attempt" in text
    assert buttons(await page(api, run_id, by="member"))[0] == "Resume"


async def test_actions_are_offered_to_those_who_may_and_rejected_for_others(api: Api) -> None:
    run_id = await finished(api)
    assert not set(buttons(await page(api, run_id))) & set(ACTIONS)
    own = buttons(await page(api, run_id, by="member"))
    assert {"Report", "Re-price"} <= set(own)
    assert "Cancel" not in own
    queued = await api.post_run()
    assert "Cancel" in buttons(await page(api, queued, by="member"))
    assert "Cancel" not in buttons(await page(api, queued))
    for path, data in (
        (f"{queued}/cancel", {}),
        (f"{run_id}/reprice", {}),
        (f"{run_id}/report", {"format": "md"}),
    ):
        refused = await post(api, "viewer", f"/runs/{path}", **data)
        assert refused.status_code == 403, path
    assert (await api.viewer.get(f"/v1/runs/{queued}")).json()["status"] == "queued"


async def test_forms_do_what_the_api_does_and_lead_to_it(api: Api) -> None:
    run_id = await finished(api)
    repriced = await post(api, "member", f"/runs/{run_id}/reprice", as_of="")
    assert repriced.headers["location"] == f"../../runs/{run_id}?version=2"
    wrong = await post(api, "member", f"/runs/{run_id}/reprice", as_of="yesterday")
    assert wrong.status_code == 422
    assert "as_of" in wrong.text
    report = await post(api, "member", f"/runs/{run_id}/report", format="md", version="1")
    assert report.status_code == 303
    path = report.headers["location"].removeprefix("../..")
    rendered = await api.member.get(path)
    assert rendered.headers["content-type"].startswith("text/markdown")
    assert "version 1 of 2" in rendered.text
    unknown = await post(api, "member", f"/runs/{run_id}/report", format="docx")
    assert unknown.status_code == 422
    verify = await post(api, "viewer", f"/runs/{run_id}/verify", version="1")
    assert verify.headers["location"] == f"../../runs/{run_id}/verification?version=1"
    checks = await api.viewer.get(f"/runs/{run_id}/verification?version=1", headers=HTML)
    assert "Verified: every check agrees" in checks.text
    assert checks.text.count("<td>ok</td>") == 3


@pytest.mark.parametrize("name", NAMES)
async def test_any_name_is_shown_as_text(api: Api, name: str) -> None:
    run_id = await finished(api, name=name.strip(), tags=[name.strip()[:200]])
    text = await page(api, run_id)
    assert "<img src=x" not in text
    assert f"<h1><bdi>{name.strip()}</bdi></h1>" in unescape(text)
    log = await api.viewer.get(f"/runs/{run_id}/log", headers=HTML)
    assert "<img src=x" not in log.text


async def test_the_log_is_searched_and_each_line_has_an_address(api: Api) -> None:
    async with api.database.session_scope() as session:
        run = await make_run(session)
        claim = await claimed(session, run.id)
        journal = JournalMaker(claim.attempt_id)
        journal.start()
        for number in range(700):
            journal.add("log", 1.0, stream="stdout", text=f"step {number} <b>")
        await execution.ingest(session, claim.attempt_id, journal.records)

    async def log(query: str = "") -> str:
        response = await api.viewer.get(f"/runs/{run.id}/log{query}", headers=HTML)
        assert response.status_code == 200
        return response.text

    newest = await log()
    assert newest.count("<li id=") == 500
    assert "step 699 &lt;b&gt;" in newest
    assert "step 199 " not in newest
    matches = await log("?q=STEP+69&attempt=")
    assert matches.count("<li id=") == 11
    around = await log("?attempt=1&line=300")
    assert '<li id="L1-300" class="linked">' in around
    assert around.count("<li id=") == 451
    beginning = await log("?line=0&attempt=")
    following = re.search(r'rel="next" href="[^"?]*(\?[^"]+)"', beginning)
    assert following is not None
    assert "step 699 " in await log(unescape(following[1]))
    assert "No line contains this text" in await log("?q=nothing")
    empty = await api.viewer.get(f"/runs/{await api.post_run()}/log", headers=HTML)
    assert "The run has written nothing" in empty.text


async def test_power_is_a_picture_too_with_its_files(api: Api) -> None:
    run_id = await finished(api)
    shown = await api.viewer.get(f"/runs/{run_id}/power", headers=HTML)
    assert "GPU 1 reached 100 W, the highest power of a component." in shown.text
    address = re.search(r'href="\.\./\.\./(v1/charts/[0-9a-f]+\.csv)"', shown.text)
    assert address is not None
    rows = (await api.viewer.get(f"/{address[1]}")).text
    assert "GPU 1" in rows
    assert "CPU" in rows
    bare = await api.viewer.get(f"/runs/{await api.post_run()}/power", headers=HTML)
    assert "No power was recorded" in bare.text


async def test_runs_of_private_projects_are_not_there_for_others(api: Api) -> None:
    run_id = await api.post_run(project="secret")
    await api.admin.patch("/v1/projects/secret", json={"visibility": "private"})
    pages = [f"runs/{run_id}{path}" for path in ("", "/log", "/power", "/verification")]
    for path in (*pages, f"run-progress/{run_id}"):
        response = await api.viewer.get(f"/{path}", headers=HTML)
        assert response.status_code == 404, path
    missing = await api.viewer.get(f"/runs/{UUID(int=1)}", headers=HTML)
    assert missing.status_code == 404


async def failed(api: Api, message: str) -> UUID:
    async with api.database.session_scope() as session:
        run = await make_run(session)
        claim = await claimed(session, run.id)
        journal = JournalMaker(claim.attempt_id)
        journal.whole("failed", {"code": "unexpected-error", "message": message})
        await execution.ingest(session, claim.attempt_id, journal.records)
        return run.id


TRACEBACK = """Traceback (most recent call last):
  File "train.py", line 3, in <module>
    <img src=x>
RuntimeError: out of patience"""


@pytest.mark.parametrize(
    ("message", "headline"),
    [
        (TRACEBACK, "RuntimeError: out of patience"),
        ("RuntimeError: first\n  second", "RuntimeError: first"),
    ],
)
async def test_the_lines_of_a_failure_stay_lines(api: Api, message: str, headline: str) -> None:
    run_id = await failed(api, message)
    text = await page(api, run_id)
    assert f'<div class="notice notice-bad" id="reason"><p>{headline}</p>' in text
    [lines] = re.findall(r'<pre [^>]*id="reason-text"[^>]*><code>(.*?)</code>', text, re.S)
    assert unescape(lines) == message
    assert "<img src=x>" not in text


async def test_a_failure_of_one_line_is_a_sentence(api: Api) -> None:
    run_id = await failed(api, "it broke")
    text = await page(api, run_id)
    assert "<p>it broke</p></div>" in text
    assert "reason-text" not in text
