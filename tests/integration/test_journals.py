"""The journals of local runs: taken part by part, settled as those of workers are."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import Request
from sqlalchemy import func, select, update

from app.api.body import BodyError, read_bytes
from app.housekeeping import end_silent
from models import Reading, ReadingBlock, RejectedRecord, Run, SentJournal, Token, User
from pricetag.imports.source import Source
from pricetag.line_chain import NO_LINES, extended
from pricetag.local.importing import Filing, carry_out, plan
from pricetag.local.runs import read_run
from pricetag.local.settings import LocalSettings, LocalSite
from pricetag.local.settling import settled
from pricetag.tag.measured import reported_text
from tests.support.api import Api, make_token, problem
from tests.support.local_runs import (
    ATTEMPT_ID,
    RUN_ID,
    SITE,
    journal_bytes,
    plant,
    records,
    start_record,
)
from tests.support.slurm import on_node

PATH = "/v1/intake/journals"
IMPORTED = Path(__file__).parents[1] / "data/imports/2026-03-04T0510Z_carbontracker.log"
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(autouse=True)
def same_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own factors are those of the local site."""
    for name in ("pue", "grid_g_per_kwh", "currency"):
        monkeypatch.setenv(f"PRICETAG_{name.upper()}", str(SITE[name]))


async def send(
    client: httpx.AsyncClient, content: bytes, begin_byte: int = 0, **more: Any
) -> httpx.Response:
    query: dict[str, Any] = {"attempt_id": ATTEMPT_ID, "begin_byte": begin_byte}
    query |= more
    return await client.post(PATH, params=query, content=content, headers=NDJSON)


async def accepted(
    client: httpx.AsyncClient, content: bytes, begin_byte: int = 0, **more: Any
) -> dict[str, Any]:
    answer = await send(client, content, begin_byte, **more)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def written(*changed: dict[str, Any]) -> bytes:
    """A journal with these records; by default that of a whole local run."""
    return journal_bytes(changed or None)


async def count(api: Api, what: Any) -> int:
    async with api.database.session_scope() as session:
        number: int = (await session.execute(select(func.count()).select_from(what))).scalar_one()
        return number


async def readings(api: Api) -> int:
    """Stored readings: packed ones by their steps."""
    rows = await count(api, Reading)
    async with api.database.session_scope() as session:
        steps = (await session.execute(select(func.sum(ReadingBlock.steps + 1)))).scalar_one()
    return rows + int(steps or 0)


async def test_the_price_tag_of_a_pushed_run_is_the_local_one(api: Api, tmp_path: Path) -> None:
    local = plant(tmp_path)
    content = local.journal.read_bytes()
    lines = content.splitlines(keepends=True)
    sent = b""
    for line in lines:
        state = await accepted(api.member, line, len(sent))
        sent += line
        chain = extended(NO_LINES, sent.splitlines())
        assert (state["size_bytes"], state["chain_sha256"]) == (len(sent), chain)
    assert (state["status"], state["records"], state["rejected"]) == ("succeeded", len(lines), 0)
    assert state["price_tag_version"] == 1
    tag = (await api.member.get(f"/v1/runs/{RUN_ID}/price-tag")).json()
    expected = local.price_tag
    assert expected is not None
    own = {name: tag[name] for name in expected if name != "content_sha256"}
    assert own == {name: value for name, value in expected.items() if name != "content_sha256"}
    assert own["it_energy_kwh"]["value"] == pytest.approx(400 / 3.6e6)
    run = (await api.member.get(f"/v1/runs/{RUN_ID}")).json()
    for name in ("project", "experiment", "tags", "created_at", "finished_at", "origin", "status"):
        assert str(run[name]).replace("Z", "+00:00") == str(local.run[name])
    checked = (await api.member.get(f"/v1/runs/{RUN_ID}/price-tag/verification")).json()
    assert checked["outcome"] == "verified", checked


async def test_the_nodes_and_restarts_of_a_job_are_attempts_of_one_run(api: Api) -> None:
    """They arrive at the same time, and in any order."""
    nodes = [
        on_node("a", restart=1, nodes=2, begin_s=100),
        on_node("b", restart=1, nodes=2, begin_s=102),
        on_node("a", restart=0, nodes=2, begin_s=0, status="failed"),
    ]
    sent = [journal_bytes(node) for node in nodes]
    ids = [node[0]["attempt_id"] for node in nodes]
    ends = [content.rindex(b"\n", 0, -1) + 1 for content in sent]

    for content, attempt_id, end in zip(sent, ids, ends, strict=True):
        state = await accepted(api.member, content[:end], attempt_id=attempt_id)
        assert (state["run_id"], state["status"]) == (RUN_ID, "running")
    again = await accepted(api.member, sent[0][: ends[0]], attempt_id=ids[0])
    assert again["size_bytes"] == ends[0]
    results = [
        await accepted(api.member, content[end:], end, attempt_id=attempt_id)
        for content, attempt_id, end in zip(sent, ids, ends, strict=True)
    ]
    assert [state["price_tag_version"] for state in results] == [1, 2, 3]
    assert [state["status"] for state in results] == ["succeeded"] * 3  # of the last restart
    run = (await api.member.get(f"/v1/runs/{RUN_ID}")).json()
    assert (run["origin"], run["tags"]) == ("slurm", ["slurm-job:9"])
    assert str(run["created_at"]).startswith("2026-03-04T05:06:07")
    assert str(run["finished_at"]).startswith("2026-03-04T05:07:59")  # 102 + 10 s later
    tag = (await api.member.get(f"/v1/runs/{RUN_ID}/price-tag")).json()
    assert tag["it_energy_kwh"]["value"] == pytest.approx(3 * 400 / 3.6e6)
    assert tag["duration_s"]["value"] == 22.0
    assert {"several_attempts", "nodes_unmetered"} <= {*tag["flags"]}
    assert [each["node"] for each in tag["attempts"]] == ["a", "a", "b"]
    local = settled(*nodes)["price_tag"]
    for name in ("it_energy_kwh", "co2e_kg", "duration_s", "power_w", "flags"):
        assert tag[name] == local[name], name
    for version in (1, 3):
        query = {"version": version}
        path = f"/v1/runs/{RUN_ID}/price-tag/verification"
        checked = (await api.member.get(path, params=query)).json()
        assert checked["outcome"] == "verified", checked


async def test_a_part_that_comes_twice_is_taken_once_and_another_one_is_named(api: Api) -> None:
    content = written()
    half = content.index(b"\n", len(content) // 2) + 1
    first = await accepted(api.member, content[:half])
    stored = await readings(api)
    assert await accepted(api.member, content[:half]) == first
    assert await readings(api) == stored
    other = content[:half].replace(b'"counter_j": 80.0', b'"counter_j": 81.0')
    assert other != content[:half]
    conflict = problem(await send(api.member, other), 409, "journal-conflict")["detail"]
    assert f"Bytes 0 to {half} have arrived" in conflict
    inside = content.index(b"\n") + 1
    problem(await send(api.member, content[inside:half], inside), 409, "journal-conflict")
    gap = problem(await send(api.member, content[half:], half + 1), 409, "journal-gap")
    assert f"continue with byte {half}" in gap["detail"]
    assert (await api.member.get(f"{PATH}/{ATTEMPT_ID}")).json() == first | {"warnings": []}
    last = await accepted(api.member, content[half:], half)
    assert (last["status"], last["size_bytes"]) == ("succeeded", len(content))
    assert await accepted(api.member, content[half:], half) == last
    versions = (await api.member.get(f"/v1/runs/{RUN_ID}/price-tags")).json()["items"]
    assert [version["version"] for version in versions] == [1]


async def test_lines_that_are_not_records_are_kept_with_the_reason(api: Api) -> None:
    good = records()
    lines = written().splitlines()
    lines[2] = b'{"seq": 2, "type": "reading", "t_s": '
    lines[3] = b"\xff\xfe"
    later = {"seq": 8, "type": "thermal", "t_s": 2.0, "at": good[0]["at"], "celsius": 40}
    lines[8] = json.dumps(later).encode()
    lines[5] = json.dumps({"seq": 2_000_000_000, **good[5]}).encode()
    lines[6] = json.dumps({"seq": 6, **good[0]}).encode()
    lines[7] = json.dumps({"seq": 7, **good[7], "t_s": -1.0}).encode()
    state = await accepted(api.member, b"\n".join(lines) + b"\n")
    assert (state["status"], state["rejected"], state["price_tag_version"]) == ("succeeded", 6, 1)
    async with api.database.session_scope() as session:
        kept = (
            await session.execute(select(RejectedRecord).order_by(RejectedRecord.seq))
        ).scalars()
        reasons = {row.seq: row.reason for row in kept}
    assert sorted(reasons) == [2, 3, 5, 6, 7, 8]
    for seq, part in (
        (2, "it is not JSON"),
        (3, "it is not JSON"),
        (8, "thermal: type: "),
        (5, "its number is 2000000000, not 5"),
        (6, "a second start"),
        (7, "t_s: Input should be greater"),
    ):
        assert part in reasons[seq]
    shown = (await api.member.get(f"/v1/runs/{RUN_ID}")).json()["attempts"][0]["rejected"]
    assert shown["count"] == 6


@pytest.mark.parametrize(
    ("first", "code", "says"),
    [
        ({"type": "reading"}, "invalid-journal", "'reading', not 'start'"),
        ({"run_id": "x"}, "invalid-journal", "run_id"),
        ({"attempt_id": str(uuid4())}, "invalid-journal", "but the request is for"),
        ({"components": [{"id": "cpu"}]}, "invalid-journal", "components.0.kind"),
        ({"run": {"name": "a"}}, "invalid-journal", "run.origin"),
        (
            {"components": [{**start_record()["components"][0], "baseline_w": 1e300}]},
            "invalid-journal",
            "baseline_w of 'rapl:0' is 1e+300",
        ),
        ({"format": 2}, "journal-too-new", "update the server"),
        ({"at": "1970-01-01T00:00:00+00:00"}, "intake-clock", "1970-01-01"),
        ({"at": "2999-01-01T00:00:00+00:00"}, "intake-clock", "2999-01-01"),
    ],
)
async def test_a_journal_that_cannot_begin_leaves_nothing(
    api: Api, first: dict[str, Any], code: str, says: str
) -> None:
    start, *rest = records()
    answer = await send(api.member, written({**start, **first}, *rest))
    document = problem(answer, 422, code)
    assert says in json.dumps(document, ensure_ascii=False)
    assert await count(api, Run) == 0
    problem(await api.member.get(f"{PATH}/{ATTEMPT_ID}"), 404, "journal-not-found")


async def test_bodies_without_whole_lines_are_rejected_and_leave_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = written()
    problem(await send(api.member, b""), 422, "invalid-journal")
    problem(await send(api.member, content[:-1]), 422, "invalid-journal")
    problem(await send(api.member, content, 5), 404, "journal-not-found")

    async def zipped(body: bytes, **headers: str) -> httpx.Response:
        query = {"attempt_id": ATTEMPT_ID, "begin_byte": "0"}
        sent = {**NDJSON, "Content-Encoding": "gzip", **headers}
        return await api.member.post(PATH, params=query, content=body, headers=sent)

    packed = gzip.compress(content)
    problem(await zipped(packed[:-9]), 422, "malformed-body")
    problem(await zipped(packed + packed), 422, "malformed-body")
    problem(await zipped(content), 422, "malformed-body")
    bomb = gzip.compress(content[:100] + b" " * 50_000_000)
    assert "decompressed" in problem(await zipped(bomb), 413, "body-too-large")["detail"]
    other = {"Content-Type": "application/json"}
    problem(await zipped(packed, **other), 415, "unsupported-media-type")
    monkeypatch.setattr(api.settings, "max_journal_bytes", len(content) - 1)
    problem(await zipped(packed), 413, "journal-too-large")
    assert await count(api, Run) == 0
    monkeypatch.setattr(api.settings, "max_journal_bytes", len(content))
    assert (await zipped(packed)).json()["status"] == "succeeded"


async def test_a_part_that_fails_in_the_middle_changes_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails after the records were applied: the next try finds the state before."""
    content = written()
    half = content.index(b"\n", len(content) // 2) + 1
    before = await accepted(api.member, content[:half])
    stored = await readings(api)

    async def broken(*arguments: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr("app.repositories.attempts.journals.add_chunk", broken)
        assert (await send(api.member, content[half:], half)).status_code == 500
    state = (await api.member.get(f"{PATH}/{ATTEMPT_ID}")).json()
    assert state == before | {"warnings": []}
    assert await readings(api) == stored
    assert (await accepted(api.member, content[half:], half))["status"] == "succeeded"


async def test_the_role_ingest_sends_and_does_nothing_else(api: Api) -> None:
    async with api.database.session_scope() as session:
        secret = await make_token(session, "ingest")
    headers = {"Authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api.app), base_url="http://pricetag.test", headers=headers
    ) as robot:
        content = written()
        half = content.index(b"\n", len(content) // 2) + 1
        assert (await accepted(robot, content[:half]))["status"] == "running"
        job_id = str(uuid4())
        for client, name, status in ((robot, "a", 200), (api.member, "b", 403)):
            node = on_node(name, restart=0, nodes=2, begin_s=0)
            sent = journal_bytes(node, run_id=job_id)
            answer = await send(client, sent, attempt_id=node[0]["attempt_id"])
            assert answer.status_code == status  # nobody else adds nodes to a job
        problem(await robot.get(f"/v1/runs/{RUN_ID}"), 403, "role-required")
        problem(await send(api.member, content[half:], half), 403, "not-your-run")
        problem(await api.member.get(f"{PATH}/{ATTEMPT_ID}"), 404, "journal-not-found")
        problem(await send(api.viewer, content[half:], half), 403, "role-required")
        async with api.database.session_scope() as session:
            robots = select(User.id).where(User.name == "a ingest").scalar_subquery()
            past = update(Token).where(Token.user_id == robots)
            await session.execute(past.values(expires_at=func.now()))
        expired = problem(await send(robot, content[half:], half), 401, "unauthenticated")
        assert "expired" in expired["detail"]
    # Another token of the same user, or an administrator's, continues.
    state = (await api.admin.get(f"{PATH}/{ATTEMPT_ID}")).json()
    assert state["size_bytes"] == half
    assert (await accepted(api.admin, content[half:], half))["status"] == "succeeded"


async def test_a_token_of_one_project_sends_to_no_other(api: Api) -> None:
    await api.post_run(project="vision")
    made = await api.admin.post(
        "/v1/tokens", json={"name": "edge", "role": "ingest", "project": "vision"}
    )
    if made.status_code == 422:  # the user has to be a member first
        await api.admin.post("/v1/users", json={"name": "edge"})
        await api.admin.post("/v1/projects/vision/members", json={"user": "edge"})
        body = {"name": "edge", "user": "edge", "role": "ingest", "project": "vision"}
        made = await api.admin.post("/v1/tokens", json=body)
    headers = {"Authorization": f"Bearer {made.json()['secret']}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api.app), base_url="http://pricetag.test", headers=headers
    ) as edge:
        problem(await send(edge, written()), 403, "not-a-member")
        state = await accepted(edge, written(), project="vision")
        assert (await edge.get(f"{PATH}/{ATTEMPT_ID}")).json()["run_id"] == state["run_id"]
    assert (await api.admin.get(f"/v1/runs/{RUN_ID}")).json()["project"] == "vision"


async def test_own_factors_and_a_clock_that_was_set_are_remarked(api: Api) -> None:
    start, *rest, end = records()
    own = {**start, "factors": {**SITE, "site": "desk", "grid_zone": "FRA"}}
    moved = {**end, "at": "2026-03-05T05:06:07+00:00"}
    state = await accepted(api.member, written(own, *rest, moved))
    texts = " ".join(state["warnings"])
    assert "the site desk does not exist here" in texts
    assert "pue 1.25, grid_zone FRA, grid_g_per_kwh 100.0" in texts
    assert "changed by +86,390 s" in texts
    run = (await api.member.get(f"/v1/runs/{RUN_ID}")).json()
    assert run["finished_at"] == "2026-03-04T05:06:17Z"


async def test_a_journal_without_its_end_waits_until_somebody_ends_it(api: Api) -> None:
    content = written(*records(ends=False))
    half = content.index(b"\n", len(content) // 2) + 1
    await accepted(api.member, content[:half])
    state = await accepted(api.member, content[half:], half)
    assert (state["status"], state["price_tag_version"]) == ("running", None)
    path = f"/v1/runs/{RUN_ID}"
    run = (await api.member.get(path)).json()
    assert run["status_reason"]["code"] == "records-arriving"
    listed = (await api.member.get(f"{PATH}/{ATTEMPT_ID}", params={"parts": True})).json()
    assert [(part["begin_byte"], part["size_bytes"]) for part in listed["parts"]] == [
        (0, half),
        (half, len(content) - half),
    ]
    problem(await api.viewer.post(f"{path}/cancel"), 403, "role-required")
    assert (await api.member.post(f"{path}/cancel")).json()["status"] == "failed"
    run = (await api.member.get(path)).json()
    assert (run["status"], run["status_reason"]["code"]) == ("failed", "journal-incomplete")
    assert run["price_tag"]["it_energy_kwh"] == pytest.approx(400 / 3.6e6)
    assert run["finished_at"] == "2026-03-04T05:06:17Z"
    assert (await accepted(api.member, content[half:], half))["status"] == "failed"
    answer = await send(api.member, written()[len(content) :], len(content))
    assert "ended by" in problem(answer, 409, "journal-ended")["detail"]
    problem(await api.member.post(f"{path}/cancel"), 409, "run-finished")


async def test_a_journal_of_which_no_more_arrives_is_ended(api: Api) -> None:
    await accepted(api.member, written(*records(ends=False)))

    async def status() -> str:
        await end_silent(api.settings, api.database)
        return str((await api.member.get(f"/v1/runs/{RUN_ID}")).json()["status"])

    assert await status() == "running"
    silent = timedelta(days=api.settings.journal_silence_days)
    async with api.database.session_scope() as session:
        past = update(SentJournal).values(updated_at=SentJournal.updated_at - silent)
        await session.execute(past)
    assert await status() == "failed"


async def test_readings_that_no_machine_can_have_are_set_aside(api: Api) -> None:
    changes: list[tuple[int, dict[str, Any], str]] = [
        (2, {"counter_j": 1e300}, "reading: counter_j is 1e+300, more than"),
        (5, {"counter_j": -5.0}, "reading: counter_j is negative (-5)"),
        (6, {"power_w": 1e6}, "reading: power_w is 1e+06, more than"),
        (7, {"counter_j": 1e9}, "reading: counter_j rose by 1e+09 J in 3 s, more than"),
        (
            8,
            {"flags": ["lost"], "integrated_j": 1e6},
            "reading: integrated_j rose by 1e+06 J in 6 s, more than",
        ),
        (11, {"t_s": 1e9}, "reading: t_s is 1e+09 s, which is in the future"),
        (12, {"counter_j": "320"}, "reading: counter_j is not a number"),
    ]
    lines = written().splitlines(keepends=True)
    for seq, change, _ in changes:
        lines[seq] = json.dumps(json.loads(lines[seq]) | change).encode() + b"\n"
    first = b"".join(lines[:7])
    await accepted(api.member, first)
    end = {**json.loads(lines[-1]), "unread_j": {"rapl:0": 1e300}}
    false_end = json.dumps(end).encode() + b"\n"
    rest = b"".join(lines[7:-1]) + false_end
    state = await accepted(api.member, rest, len(first))
    assert (state["status"], state["rejected"]) == ("running", len(changes) + 1)
    async with api.database.session_scope() as session:
        kept = (await session.execute(select(RejectedRecord))).scalars()
        reasons = {row.seq: row.reason for row in kept}
    for seq, _, why in changes:
        assert reasons[seq].startswith(why)
    assert reasons[len(lines) - 1].startswith("end: rapl:0 is 1e+300, more than")
    whole = {**json.loads(lines[-1]), "seq": len(lines)}
    state = await accepted(api.member, json.dumps(whole).encode() + b"\n", len(first) + len(rest))
    assert state["it_energy_kwh"] == pytest.approx(400 / 3.6e6)


async def test_a_client_that_dies_within_a_part_is_not_an_error_of_the_server() -> None:
    arriving = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    async def receive() -> dict[str, Any]:
        return next(arriving, {"type": "http.disconnect"})

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(BodyError, match="ended before the body") as ended:
        await read_bytes(request, 100)
    assert ended.value.status == 400


async def test_an_imported_run_is_settled_as_on_the_machine_that_imported_it(
    api: Api, tmp_path: Path
) -> None:
    site = LocalSite.from_record(SITE | {"electricity_per_kwh": None})
    filing = Filing(LocalSettings(tmp_path / "local", site, "local"))
    (run,) = carry_out(plan(Source(IMPORTED, UTC), filing), filing)
    local = read_run(filing.folder_of(run))
    assert local is not None
    expected = local.price_tag
    assert expected is not None
    content = local.journal.read_bytes()
    state = await accepted(api.member, content, attempt_id=str(run.attempt_id))
    assert (state["status"], state["rejected"]) == ("succeeded", 0)
    tag = (await api.member.get(f"/v1/runs/{run.run_id}/price-tag")).json()
    own = {name: tag[name] for name in expected if name != "content_sha256"}
    assert own == {name: value for name, value in expected.items() if name != "content_sha256"}
    assert own["it_energy_kwh"]["source"] == "estimated"
    shown = (await api.member.get(f"/v1/runs/{run.run_id}")).json()
    assert (shown["origin"], shown["measured_by"]) == ("import", run.measured_by)
    figures = [(each.name, each.value, each.unit) for each in run.reported]
    assert figures
    page = await api.member.get(f"/runs/{run.run_id}", headers={"Accept": "text/html"})
    assert f"<bdi>{reported_text(figures)}</bdi>; those of the price tag" in unescape(page.text)
    checked = (await api.member.get(f"/v1/runs/{run.run_id}/price-tag/verification")).json()
    assert checked["outcome"] == "verified", checked
