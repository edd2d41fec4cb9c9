"""What cannot be undone is asked first, and the question itself changes nothing."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.web.rendering import TEMPLATES
from models import User
from tests.support.api import Api, finished_run
from tests.support.site import NAMES

HTML = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
IRREVERSIBLE = ("cancel_run_here", "cancel_waiting", "reprice_run_here", "delete_view")


async def asked(api: Api, path: str, **query: Any) -> str:
    response = await api.member.get(path, params=query, headers=HTML)
    assert response.status_code == 200, response.text
    return unescape(response.text)


def form(text: str) -> str:
    opening = re.search(r'<form class="card question" method="post" action="([^"]+)"', text)
    assert opening is not None, text
    return opening[1]


@pytest.mark.parametrize("name", [name.strip() for name in NAMES])
@pytest.mark.parametrize("path", ["runs", "queue"])
async def test_a_run_is_canceled_only_after_a_question(api: Api, path: str, name: str) -> None:
    run_id = await api.post_run(name=name)
    text = await asked(api, f"/{path}/{run_id}/cancel")
    assert "Cancel this run?" in text
    assert f"<bdi>{name}</bdi>" in text
    assert form(text) == f"../../{path}/{run_id}/cancel"
    assert (await api.member.get(f"/v1/runs/{run_id}")).json()["status"] == "queued"
    ended = await api.member.post(f"/{path}/{run_id}/cancel", headers=HTML)
    assert ended.status_code == 303
    late = await api.member.get(f"/{path}/{run_id}/cancel", headers=HTML)
    assert late.status_code == 409
    assert "already canceled" in late.text


async def test_a_version_is_issued_only_after_a_question(api: Api) -> None:
    async with api.database.session_scope() as session:
        member = (await session.execute(select(User.id).where(User.name == "a member"))).scalar()
        run_id = await finished_run(session, created_by=member)
    text = await asked(api, f"/runs/{run_id}/reprice", as_of="2026-03-05T00:00Z")
    assert "the factors known on 2026-03-05T00:00Z" in text
    assert '<input type="hidden" name="as_of" value="2026-03-05T00:00Z">' in text
    assert "Budgets use the new version" not in text
    assert "Budgets use the new version" in await asked(api, f"/runs/{run_id}/reprice", as_of="")
    wrong = await api.member.get(f"/runs/{run_id}/reprice?as_of=yesterday", headers=HTML)
    assert wrong.status_code == 422
    versions = (await api.member.get(f"/v1/runs/{run_id}/price-tags")).json()["items"]
    assert [item["version"] for item in versions] == [1]


async def test_a_view_is_deleted_only_after_a_question(api: Api) -> None:
    saved = await api.member.post(
        "/v1/views", json={"name": "<b>failures</b>", "query": "status=failed"}
    )
    view_id = saved.json()["id"]
    text = await asked(api, f"/runs/views/{view_id}/delete")
    assert "Delete this view?" in text
    assert form(text) == f"../../../runs/views/{view_id}/delete"
    assert (await api.member.get(f"/v1/views/{view_id}")).status_code == 200
    assert (
        "&lt;b&gt;failures"
        in (await api.member.get(f"/runs/views/{view_id}/delete", headers=HTML)).text
    )


@pytest.mark.parametrize("page", IRREVERSIBLE)
def test_no_page_posts_what_cannot_be_undone_without_a_question(page: str) -> None:
    posting = [
        file.name
        for file in Path(TEMPLATES).rglob("*.html")
        if re.search(rf"rel\('{page}'", file.read_text(encoding="utf-8"))
    ]
    assert posting == []
