"""Sessions of browsers in the API: own ones for everybody, all for administrators."""

from __future__ import annotations

import uuid
from typing import Any

from app.services.people import users, web_sessions
from tests.support.api import Api, problem


async def begin(api: Api, name: str, browser: str = "Firefox") -> str:
    async with api.database.session_scope() as session:
        user = await users.named(session, name)
        return str((await web_sessions.begin(session, user, "link", browser=browser)).id)


async def listed(api: Api, **query: str) -> list[dict[str, Any]]:
    response = await api.admin.get("/v1/sessions", params=query)
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


async def test_everybody_lists_and_ends_their_own_sessions(api: Api) -> None:
    own, other = await begin(api, "a member"), await begin(api, "a viewer")
    items = (await api.member.get("/v1/sessions")).json()["items"]
    assert [(item["id"], item["user"], item["current"]) for item in items] == [
        (own, "a member", False)
    ]
    problem(await api.member.delete(f"/v1/sessions/{other}"), 404, "session-not-found")
    problem(await api.member.delete(f"/v1/sessions/{uuid.uuid4()}"), 404, "session-not-found")
    for _ in range(2):  # ending it again changes nothing
        ended = await api.member.delete(f"/v1/sessions/{own}")
        assert (ended.status_code, ended.json()["id"]) == (200, own)
    assert (await api.member.get("/v1/sessions")).json()["items"] == []
    log = (await api.admin.get("/v1/audit", params={"object_id": own})).json()["items"]
    assert [entry["action"] for entry in log] == ["revoked", "created"]


async def test_administrators_page_through_all_sessions_and_end_any(api: Api) -> None:
    made = [await begin(api, name) for name in ("a member", "a viewer", "a member", "a admin")]
    problem(await api.member.get("/v1/sessions", params={"all": "true"}), 403, "role-required")
    seen: list[str] = []
    query = {"all": "true", "limit": "3"}
    while True:
        page = (await api.admin.get("/v1/sessions", params=query)).json()
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == made[::-1]
    assert [item["id"] for item in await listed(api)] == made[3:]
    cursor = {"cursor": query["cursor"]}  # of another list
    problem(await api.admin.get("/v1/sessions", params=cursor), 422, "invalid-cursor")
    assert (await api.admin.delete(f"/v1/sessions/{made[1]}")).status_code == 200
    assert made[1] not in {item["id"] for item in await listed(api, all="true")}
