"""Lists of runs beyond a page: backwards, from a day on, in groups, as files; saved views."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import text, update

from app.services.runs import exporting
from app.services.verification import hashes
from models import Project, ProjectMember, Run, SavedView
from tests.support.api import Api, finished_run, problem, run_body
from tests.support.site import NAMES

HTML = {"Accept": "text/html"}
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


async def some_runs(api: Api, number: int, *, is_finished: bool = False, **values: Any) -> None:
    """Runs a minute apart."""
    async with api.database.session_scope() as session:
        for place in range(number):
            run_id = (
                await finished_run(session) if is_finished else await _posted(api, f"run {place}")
            )
            at = BEGIN + timedelta(minutes=place)
            changes = {"created_at": at, "name": f"run {place}"} | values
            await session.execute(update(Run).where(Run.id == run_id).values(**changes))


async def _posted(api: Api, name: str) -> str:
    response = await api.member.post("/v1/runs", json=run_body(name=name))
    return str(response.json()["id"])


async def names(api: Api, **query: Any) -> tuple[list[str], dict[str, Any]]:
    response = await api.viewer.get("/v1/runs", params=query)
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return [run["name"] for run in page["items"]], page


@pytest.mark.parametrize("sort", ["-created_at", "name"])
async def test_every_page_leads_back_to_the_one_before(committed_api: Api, sort: str) -> None:
    await some_runs(committed_api, 7)
    seen: list[tuple[list[str], dict[str, Any]]] = []
    cursor: str | None = None
    while True:
        place = {} if cursor is None else {"cursor": cursor}
        seen.append(await names(committed_api, sort=sort, limit=3, **place))
        cursor = seen[-1][1]["next_cursor"]
        if cursor is None:
            break
    assert [len(rows) for rows, _ in seen] == [3, 3, 1]
    assert seen[0][1]["previous_cursor"] is None
    back = seen[-1]
    for expected in reversed(seen[:-1]):
        back = await names(committed_api, sort=sort, limit=3, cursor=back[1]["previous_cursor"])
        assert back[0] == expected[0]
        assert back[1]["next_cursor"] is not None
    assert back[1]["previous_cursor"] is None


async def test_a_list_begins_at_a_time_and_leads_to_both_sides(committed_api: Api) -> None:
    await some_runs(committed_api, 5)
    at = (BEGIN + timedelta(minutes=2)).isoformat()
    rows, page = await names(committed_api, start_at=at, limit=2)
    assert rows == ["run 2", "run 1"]
    before, _ = await names(committed_api, cursor=page["previous_cursor"], limit=2)
    assert before == ["run 4", "run 3"]
    rows, _ = await names(committed_api, start_at=at, sort="created_at")
    assert rows == ["run 2", "run 3", "run 4"]
    beyond, page = await names(committed_api, start_at="2020-01-01T00:00Z")
    assert beyond == []
    assert (await names(committed_api, cursor=page["previous_cursor"]))[0][-1] == "run 0"
    for query in ({"sort": "name"}, {"cursor": page["previous_cursor"]}):
        response = await committed_api.viewer.get("/v1/runs", params={"start_at": at, **query})
        assert problem(response, 422, "no-start-time")["errors"][0]["field"] == "start_at"


async def test_runs_that_are_not_finished_come_last_in_either_order(committed_api: Api) -> None:
    await some_runs(committed_api, 2)
    await some_runs(committed_api, 2, is_finished=True, name="done")
    for sort in ("finished_at", "-finished_at"):
        rows, _ = await names(committed_api, sort=sort)
        assert rows[:2] == ["done", "done"]
        paged = [
            (await names(committed_api, sort=sort, limit=1))[0],
        ]
        cursor = (await names(committed_api, sort=sort, limit=1))[1]["next_cursor"]
        while cursor:
            part, page = await names(committed_api, sort=sort, limit=1, cursor=cursor)
            paged.append(part)
            cursor = page["next_cursor"]
        assert [name for part in paged for name in part] == rows


def lines(response: httpx.Response) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(response.text)))


async def test_the_csv_has_every_run_of_every_page_with_exact_figures(
    committed_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE", 2)
    await some_runs(committed_api, 3, is_finished=True)
    await some_runs(committed_api, 2, name="=HYPERLINK(1)", tags=["+1", "a,b"])
    response = await committed_api.viewer.get("/v1/runs.csv", params={"sort": "created_at"})
    rows = lines(response)
    listed = (await committed_api.viewer.get("/v1/runs?sort=created_at")).json()["items"]
    assert [row["id"] for row in rows] == [run["id"] for run in listed]
    for row, run in zip(rows, listed, strict=True):
        assert row["created_at"].endswith("Z")
        if run["price_tag"] is None:
            assert row["name"] == "'=HYPERLINK(1)"
            assert row["tags"] == "'+1, a,b"
            assert row["it_energy_kwh"] == ""
            assert row["it_energy_kwh_reason"] == "no price tag has been issued yet"
            continue
        energy = run["price_tag"]["figures"]["it_energy_kwh"]
        for part in ("low", "high"):
            assert float(row[f"it_energy_kwh_{part}"]) == energy[part]
        assert float(row["it_energy_kwh"]) == energy["value"]
        assert row["it_energy_kwh_source"] == energy["source"]
    unknown = await committed_api.viewer.get("/v1/runs.csv?project=visoin")
    problem(unknown, 404, "project-not-found")


async def test_chosen_runs_are_a_table_for_a_paper(committed_api: Api) -> None:
    await some_runs(committed_api, 2, is_finished=True, name="50% & more | <b>")
    ids = [run["id"] for run in (await committed_api.viewer.get("/v1/runs")).json()["items"]]
    markdown = await committed_api.viewer.get("/v1/runs/table.md", params={"run": ids})
    assert markdown.text.count(r"50% &amp; more \| &lt;b&gt;") == 2
    assert re.search(r"IT energy \\\[\w+\\\]", markdown.text)
    assert " to " in markdown.text
    latex = await committed_api.viewer.get("/v1/runs/table.tex", params={"run": ids})
    assert latex.text.isascii()
    assert r"50\% \& more" in latex.text
    assert r"\toprule" in latex.text
    nobody = "00000000-0000-4000-8000-000000000000"
    response = await committed_api.viewer.get("/v1/runs/table.md", params={"run": [ids[0], nobody]})
    assert nobody in problem(response, 422, "nothing-chosen")["detail"]


async def test_groups_have_means_spread_and_count_what_is_unknown(committed_api: Api) -> None:
    await some_runs(committed_api, 3, is_finished=True, tags=["a"])
    await some_runs(committed_api, 1, tags=["a", "b"], name="waits")
    response = await committed_api.viewer.get("/v1/runs/groups?by=tag")
    groups = {group["key"]: group for group in response.json()["items"]}
    assert groups.keys() == {"a", "b"}
    energy = groups["a"]["figures"]["it_energy_kwh"]
    assert (groups["a"]["runs"], energy["known"], energy["unknown"]) == (4, 3, 1)
    assert groups["a"]["runs_by_status"] == {"succeeded": 3, "queued": 1}
    listed = (await committed_api.viewer.get("/v1/runs?status=succeeded")).json()["items"]
    figures = [run["price_tag"]["figures"]["it_energy_kwh"] for run in listed]
    for part in ("value", "low", "high"):
        mean = sum(figure[part] for figure in figures) / 3
        assert energy["mean"][part] == pytest.approx(mean, rel=1e-12)
    assert energy["std"] == pytest.approx(0.0, abs=1e-12)
    assert energy["mean"]["source"] == figures[0]["source"]
    nothing = groups["b"]["figures"]["it_energy_kwh"]
    assert (nothing["known"], nothing["mean"]["value"], nothing["std"]) == (0, None, None)
    assert nothing["mean"]["reason"] == "no price tag has been issued yet"


async def test_groups_distinguish_recipes_from_seeds(committed_api: Api) -> None:
    for seed in (1, 2):
        stage = {"kind": "command", "argv": ["echo", "hi"], "name": f"of seed {seed}"}
        for _ in range(seed):
            await committed_api.post_run(recipe={"stages": [stage]})
    await committed_api.post_run(recipe={"stages": [{"kind": "command", "argv": ["echo", "ho"]}]})
    for by in ("recipe", "seeds"):
        response = await committed_api.viewer.get("/v1/runs/groups", params={"by": by, "limit": 3})
        assert sorted(group["runs"] for group in response.json()["items"]) == [1, 2]
        assert response.json()["is_whole"] is False
    response = await committed_api.viewer.get("/v1/runs/groups?by=experiment")
    assert [group["name"] for group in response.json()["items"]] == ["text/sst2"]


async def test_views_are_ones_own_or_shared_and_one_is_the_projects_default(api: Api) -> None:
    await api.post_run(name="a")
    own = await api.member.post("/v1/views", json={"name": "mine", "query": "status=failed"})
    assert own.status_code == 201, own.text
    again = await api.member.post("/v1/views", json={"name": "mine", "query": "status=queued"})
    assert again.json()["id"] == own.json()["id"]
    shared = {"name": "all", "query": "columns=name", "project": "text", "is_default": True}
    made = await api.member.post("/v1/views", json=shared)
    assert made.status_code == 201, made.text
    problem(await api.viewer.post("/v1/views", json=shared), 403, "role-required")
    listed = (await api.viewer.get("/v1/views")).json()["items"]
    assert [(view["name"], view["is_own"]) for view in listed] == [("all", False)]
    problem(await api.viewer.get(f"/v1/views/{own.json()['id']}"), 404, "view-not-found")
    problem(await api.viewer.delete(f"/v1/views/{made.json()['id']}"), 403, "not-an-owner")
    page = await api.viewer.get("/runs?project=text", headers=HTML)
    assert "default view of this project" in page.text
    assert 'scope="col">Project' not in page.text
    plain = await api.viewer.get("/runs?project=text&sort=-created_at", headers=HTML)
    assert 'scope="col">Project' in plain.text
    assert (await api.member.delete(f"/v1/views/{own.json()['id']}")).status_code == 204
    assert len((await api.member.get("/v1/views")).json()["items"]) == 1


async def make_private(api: Api, project: str) -> None:
    async with api.database.session_scope() as session:
        await session.execute(
            update(Project).where(Project.name == project).values(visibility="private")
        )


async def test_the_default_view_of_a_hidden_project_is_not_shown(api: Api) -> None:
    await api.post_run(name="a")
    shared = {"name": "codename", "query": "q=unreleased", "project": "text", "is_default": True}
    assert (await api.member.post("/v1/views", json=shared)).status_code == 201
    await make_private(api, "text")
    page = await api.viewer.get("/runs?project=text", headers=HTML)
    for secret in ("codename", "unreleased", "default view of this project"):
        assert secret not in page.text
    assert "codename" in (await api.member.get("/runs?project=text", headers=HTML)).text


async def test_only_owners_replace_a_default_view_or_one_of_somebody_else(api: Api) -> None:
    await api.post_run(name="a")  # the member owns the project
    view = {"name": "all", "query": "columns=name", "project": "text"}
    made = (await api.member.post("/v1/views", json=view)).json()
    changed = view | {"query": "q=x"}
    async with api.database.session_scope() as session:
        await session.execute(update(ProjectMember).values(role="member"))
    assert (await api.member.post("/v1/views", json=changed)).json()["id"] == made["id"]
    async with api.database.session_scope() as session:
        await session.execute(update(SavedView).values(is_default=True))
    problem(await api.member.post("/v1/views", json=view), 403, "not-an-owner")
    assert (await api.admin.post("/v1/views", json=view)).json()["is_default"]
    other = view | {"name": "of the administrator"}
    assert (await api.admin.post("/v1/views", json=other)).status_code == 201
    problem(await api.member.post("/v1/views", json=other), 403, "not-an-owner")
    assert (await api.member.post("/v1/views", json=view | {"name": "new"})).status_code == 201


async def test_hashes_that_are_not_looked_up_are_not_called_unknown(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "MOST", 2)
    listed = [str(digit) * 64 for digit in range(4)]
    text = "\n".join(listed)
    checked = (await api.viewer.post("/v1/verifications", json={"text": text})).json()
    assert (checked["unknown"], checked["not_looked_up"]) == (listed[:2], listed[2:])
    form = {"Sec-Fetch-Site": "same-origin"} | HTML
    page = await api.viewer.post("/verify", files={"text": (None, text)}, headers=form)
    assert "2 further hashes were not looked up" in page.text
    assert [sha256 in page.text for sha256 in listed] == [True, True, False, False]


async def test_a_long_address_becomes_a_short_one_that_shows_the_same(api: Api) -> None:
    tags = [f"a tag of many letters {number} " + "x" * 70 for number in range(17)]
    await api.post_run(name="tagged", tags=tags)
    await api.post_run(name="other")
    query = str(httpx.QueryParams({"tag": tags, "sort": "name"}))
    assert len(query) > 1_500
    page = await api.member.get(f"/runs?{query}", headers=HTML)
    assert "too long to share" in page.text
    form = {"Sec-Fetch-Site": "same-origin"} | HTML
    stored = await api.member.post("/runs/links", data={"query": query}, headers=form)
    assert stored.status_code == 303
    short = urlsplit(stored.headers["location"]).query
    assert len(short) < 60
    again = await api.viewer.get(f"/runs?{short}", headers=HTML)
    assert "tagged" in again.text
    assert ">other<" not in again.text
    wider = await api.viewer.get(f"/runs?{short}&tag=&status=queued", headers=HTML)
    assert ">other<" in wider.text


async def test_wrong_values_keep_the_form_and_are_named_at_their_fields(api: Api) -> None:
    page = await api.member.get(
        "/runs?q=bert&created_after=yesterday&status=lost&columns=name", headers=HTML
    )
    assert page.status_code == 422
    for kept in ('value="bert"', 'value="yesterday"', 'name="columns" value="name"'):
        assert kept in page.text
    for name in ("created_after", "status"):
        assert f'href="#filter-{name}"' in page.text
        assert f'id="error-{name}"' in page.text
        assert f'id="filter-{name}"' in page.text
    missing = await api.member.get("/runs?project=visoin&q=x", headers=HTML)
    assert missing.status_code == 404
    assert 'id="error-project"' in missing.text
    assert 'aria-invalid="true" aria-describedby="error-project"' in missing.text


async def test_columns_are_chosen_and_moved_by_a_plain_form(api: Api) -> None:
    await api.post_run(name="a")
    moved = await api.member.get(
        "/runs?column=name&column=status&column=pool&move=pool:up&q=a", headers=HTML
    )
    assert moved.status_code == 303
    target = urlsplit(moved.headers["location"])
    assert parse_qs(target.query) == {"q": ["a"], "columns": ["name,pool,status"]}
    page = await api.member.get(f"/runs?{target.query}", headers=HTML)
    heads = [unescape(head) for head in re.findall(r'<th scope="col">(\w+)', page.text)]
    assert heads == ["Pool", "Status"]  # the name's is a link
    assert "aria-sort" not in page.text  # the order's column is not shown


async def test_names_are_shown_as_they_are_in_every_place(api: Api) -> None:
    for name in NAMES:
        await api.post_run(name=name.strip(), tags=[name.strip()[:100]], project=name.strip())
        view = {"name": name.strip(), "query": "sort=name"}
        assert (await api.member.post("/v1/views", json=view)).status_code == 201
    for query in ("", "?by=tag", "?by=experiment", "?columns=name,tags,project"):
        page = await api.member.get(f"/runs{query}", headers=HTML)
        assert page.status_code == 200
        assert "<img" not in page.text
        for name in NAMES:
            assert name.strip() in unescape(page.text), query


async def test_the_refreshed_part_keeps_its_rows_and_counts_new_runs(api: Api) -> None:
    for number in range(3):
        await api.post_run(name=f"run {number}")
    page = await api.member.get("/runs?limit=2", headers=HTML)
    link = re.search(r'id="refresh" hx-get="([^"]+)"', page.text)
    assert link is not None
    await api.post_run(name="the newest")
    target = urlsplit(unescape(link[1]))
    partial = {**HTML, "HX-Request-Type": "partial"}
    part = await api.member.get(f"/runs?{target.query}", headers=partial)
    assert part.status_code == 200
    assert "<html" not in part.text
    assert "1 new run" in part.text
    assert "the newest" not in part.text
    assert ">run 2<" in part.text
    assert ">run 1<" in part.text
    whole = await api.member.get("/runs?limit=2", headers=partial)
    assert "<form" in whole.text
    assert "<html" not in whole.text
    assert whole.headers["vary"] == "HX-Request-Type"


async def test_selected_runs_are_reported_and_tabulated(committed_api: Api) -> None:
    await some_runs(committed_api, 1, is_finished=True)
    (run,) = (await committed_api.viewer.get("/v1/runs")).json()["items"]
    form = {"Sec-Fetch-Site": "same-origin"} | HTML
    made = await committed_api.member.post("/runs/report", data={"run": run["id"]}, headers=form)
    assert made.status_code == 303
    assert re.fullmatch(r"\.\./v1/reports/[0-9a-f-]+\.html", made.headers["location"])
    for use, word in (("md", "| Run |"), ("tex", "booktabs")):
        table = await committed_api.viewer.get(
            f"/runs/selected?run={run['id']}&to={use}", headers=HTML
        )
        assert word in table.text
    nothing = await committed_api.viewer.get("/runs/selected?to=md", headers=HTML)
    assert nothing.status_code == 422
    assert "choose runs first" in nothing.text


async def test_hashes_are_verified_where_their_runs_may_be_seen(committed_api: Api) -> None:
    async with committed_api.database.session_scope() as session:
        await finished_run(session, name="run 0")
    (run,) = (await committed_api.viewer.get("/v1/runs")).json()["items"]
    tag = (await committed_api.viewer.get(f"/v1/runs/{run['id']}/price-tag")).json()
    sha256 = tag["content_sha256"]
    of_own_run = await committed_api.viewer.get(f"/v1/verifications/{sha256.upper()}")
    assert of_own_run.json()["outcome"] == "verified"
    assert of_own_run.json()["run_id"] == run["id"]
    document = {"text": (await committed_api.viewer.get(f"/v1/runs/{run['id']}/price-tag")).text}
    checked = await committed_api.viewer.post("/v1/verifications", json=document)
    assert checked.json()["outcome"] == "verified"
    assert [step["status"] for step in checked.json()["steps"]] == ["ok", "ok"]
    forged = document["text"].replace('"name":"run 0"', '"name":"run 1"')
    assert forged != document["text"]
    differs = (await committed_api.viewer.post("/v1/verifications", json={"text": forged})).json()
    assert differs["outcome"] == "differs"
    assert differs["steps"][1]["detail"].startswith("name: 'run 1'")
    quoted = {"text": f"see {sha256} and {'0' * 64}."}
    verification = (await committed_api.viewer.post("/v1/verifications", json=quoted)).json()
    assert ([item["sha256"] for item in verification["items"]], verification["unknown"]) == (
        [sha256],
        ["0" * 64],
    )
    async with committed_api.database.session_scope() as session:
        await session.execute(text("UPDATE projects SET visibility = 'private'"))
    hidden = await committed_api.viewer.get(f"/v1/verifications/{sha256}")
    unknown = await committed_api.viewer.get(f"/v1/verifications/{'0' * 64}")
    assert hidden.status_code == unknown.status_code == 404
    assert hidden.text.replace(sha256, "") == unknown.text.replace("0" * 64, "")
    differs = (await committed_api.viewer.post("/v1/verifications", json={"text": forged})).json()
    assert differs["items"] == []
    assert len(differs["steps"]) == 1  # not what was issued


async def test_the_page_verifies_what_is_pasted_or_chosen(committed_api: Api) -> None:
    async with committed_api.database.session_scope() as session:
        await finished_run(session, name=NAMES[1])
    (run,) = (await committed_api.viewer.get("/v1/runs")).json()["items"]
    tag = (await committed_api.viewer.get(f"/v1/runs/{run['id']}/price-tag")).text
    sha256 = re.search(r'"content_sha256":"(\w+)"', tag)
    assert sha256 is not None
    form = {"Sec-Fetch-Site": "same-origin"} | HTML
    pasted = await committed_api.viewer.post(
        "/verify", files={"text": (None, f" {sha256[1]}\r\n"), "file": ("", b"")}, headers=form
    )
    assert pasted.status_code == 303
    assert pasted.headers["location"] == f"./verify/{sha256[1]}"
    page = await committed_api.viewer.get(f"/verify/{sha256[1]}", headers=HTML)
    assert "<h1>Verified</h1>" in page.text
    assert "&lt;img src=x" in page.text
    files: dict[str, Any] = {"text": (None, ""), "file": ("tag.json", tag.encode())}
    uploaded = await committed_api.viewer.post("/verify", files=files, headers=form)
    assert uploaded.status_code == 200
    assert "The document is the one that was issued here" in uploaded.text
    for path, status, words in (
        (f"/verify/{'0' * 64}", 404, "Not issued here"),
        ("/verify?sha256=abc", 422, "is not a hash"),
    ):
        response = await committed_api.viewer.get(path, headers=HTML)
        assert response.status_code == status
        assert words in response.text
    nothing: dict[str, Any] = {"text": (None, ""), "file": ("", b"")}
    empty = await committed_api.viewer.post("/verify", files=nothing, headers=form)
    assert empty.status_code == 422
