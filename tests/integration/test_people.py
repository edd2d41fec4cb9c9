"""Users, their tokens and their projects over the API."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text, update

from app.schemas.tokens import TokenCreate
from app.schemas.users import UserChange
from app.services.live import events
from app.services.people import tokens, users
from models import Token, User
from tests.support.api import Api, a_principal, fields, problem, run_body, running_run
from tests.support.people import a_user, as_user, made


async def test_tokens_of_a_disabled_user_stop_at_once_and_runs_stay_the_user_s(api: Api) -> None:
    ada = await a_user(api, "ada")
    second = await made(api, f"/v1/users/{ada['id']}/tokens", name="second")
    run = (await as_user(api, ada, "POST", "/v1/runs", json=run_body())).json()
    disabled = await api.admin.patch(f"/v1/users/{ada['id']}", json={"disabled": True})
    assert disabled.json()["disabled_at"] is not None
    for secret in (ada["token"]["secret"], second["secret"]):
        bearer = {"Authorization": f"Bearer {secret}"}
        problem(await api.nobody.get("/v1/me", headers=bearer), 401, "unauthenticated")
    shown = (await api.viewer.get(f"/v1/runs/{run['id']}")).json()
    assert (shown["created_by"], shown["user"], shown["status"]) == (ada["id"], "ada", "queued")
    listed = (await api.admin.get(f"/v1/users/{ada['id']}/tokens")).json()["items"]
    assert [(token["in_force"], token["revoked_at"]) for token in listed] == [(False, None)] * 2
    refused = await api.admin.post(f"/v1/users/{ada['id']}/tokens", json={"name": "third"})
    problem(refused, 409, "user-disabled")
    await api.admin.patch(f"/v1/users/{ada['id']}", json={"disabled": False})
    assert (await as_user(api, ada, "GET", "/v1/me")).status_code == 200


async def test_an_open_stream_ends_when_its_token_stops(
    committed_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the user is disabled, or the project closed to them."""
    api = committed_api
    monkeypatch.setattr(events, "POLL_S", 0.05)

    async def stream_of(role: str) -> tuple[asyncio.Task[None], UUID]:
        async with api.database.session_scope() as session:
            run_id = await running_run(session, 1)
            principal = await a_principal(session, role)  # type: ignore[arg-type]
        begun = asyncio.Event()

        async def follow() -> None:
            hub = events.EventHub(api.database)
            async for _ in events.stream(api.database, hub, principal, run_id, 0):
                begun.set()

        task = asyncio.create_task(follow())
        async with asyncio.timeout(60):
            await begun.wait()
        return task, principal.user_id if role == "viewer" else run_id

    first, viewer_id = await stream_of("viewer")
    second, run_id = await stream_of("member")
    await asyncio.sleep(0.2)
    assert not first.done()
    assert not second.done()
    async with api.database.session_scope() as session:
        await users.change(session, viewer_id, UserChange(disabled=True), None)
    async with asyncio.timeout(60):
        await first
    assert not second.done()
    async with api.database.session_scope() as session:
        await session.execute(
            text(
                "UPDATE projects SET visibility = 'private'"
                " WHERE id = (SELECT project_id FROM runs WHERE id = :run_id)"
            ),
            {"run_id": run_id},
        )
    async with asyncio.timeout(60):
        await second


async def test_the_last_administrator_stays(api: Api) -> None:
    me = (await api.admin.get("/v1/me")).json()["user"]["id"]
    # An administrator without a token cannot help anybody.
    await made(api, "/v1/users", name="without a token", role="admin")
    lower = await a_user(api, "with a lower token", "admin", role="viewer")
    expired = await a_user(api, "with an expired token", "admin")
    async with api.database.session_scope() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        expired_id = UUID(expired["token"]["id"])
        await session.execute(update(Token).where(Token.id == expired_id).values(expires_at=past))
    for changes in ({"disabled": True}, {"role": "member"}):
        problem(await api.admin.patch(f"/v1/users/{me}", json=changes), 409, "last-admin")
    assert (await api.admin.patch(f"/v1/users/{me}", json={"role": "admin"})).status_code == 200
    assert (
        await api.admin.patch(f"/v1/users/{lower['id']}", json={"disabled": True})
    ).status_code == 200
    await a_user(api, "second", "admin")
    demoted = await api.admin.patch(f"/v1/users/{me}", json={"role": "viewer"})
    assert demoted.json()["role"] == "viewer"
    problem(await api.admin.get("/v1/users"), 403, "role-required")


async def test_two_administrators_cannot_disable_each_other_at_once(committed_api: Api) -> None:
    database = committed_api.database
    async with database.session_scope() as session:
        await tokens.create(session, TokenCreate(name="second", role="admin"))
        page = await users.list_page(session, None, 50)
    admins = [user.id for user in page.items if user.role == "admin"]

    async def disable(user_id: UUID) -> str:
        try:
            async with database.session_scope() as session:
                await users.change(session, user_id, UserChange(disabled=True), None)
        except users.LastAdminError:
            return "refused"
        return "disabled"

    assert sorted(await asyncio.gather(*map(disable, admins))) == ["disabled", "refused"]


async def test_the_server_creates_a_first_administrator_whenever_none_can_act(api: Api) -> None:
    async with api.database.session_scope() as session:
        assert await tokens.create_first_admin(session) is None
        await session.execute(update(Token).values(expires_at=datetime.now(UTC)))
        first = await tokens.create_first_admin(session)
        assert first is not None
        assert (first.user, first.role) == ("first admin", "admin")
        assert await tokens.create_first_admin(session) is None
        await session.execute(update(User).values(disabled_at=datetime.now(UTC)))
        again = await tokens.create_first_admin(session)
        assert again is not None
        assert (again.user, again.role) == ("first admin (2)", "admin")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "ada", "role": "owner"}, "role"),
        ({"name": "ada", "email": "nowhere"}, "email"),
        ({"name": "ada", "external_identity": {"issuer": "x"}}, "external_identity.subject"),
        ({"name": "ada", "disabled": True}, "disabled"),
    ],
)
async def test_an_invalid_user_is_rejected_with_its_field(
    api: Api, body: dict[str, Any], field: str
) -> None:
    assert field in fields(
        problem(await api.admin.post("/v1/users", json=body), 422, "invalid-request")
    )


async def test_names_and_external_identities_are_unique(api: Api) -> None:
    identity = {"issuer": "https://login.example.org", "subject": "1"}
    ada = await made(api, "/v1/users", name="ada", external_identity=identity)
    assert ada["external_identity"] == identity
    for body in ({"name": "ada"}, {"name": "eve", "external_identity": identity}):
        problem(await api.admin.post("/v1/users", json=body), 409, "user-exists")
    eve = await made(api, "/v1/users", name="eve")
    clashes: tuple[dict[str, Any], ...] = ({"name": "ada"}, {"external_identity": identity})
    for body in clashes:
        changed = await api.admin.patch(f"/v1/users/{eve['id']}", json=body)
        problem(changed, 409, "user-exists")
    renamed = await api.admin.patch(f"/v1/users/{eve['id']}", json={"name": "eva"})
    assert renamed.json()["name"] == "eva"
    problem(await api.admin.patch(f"/v1/users/{uuid4()}", json={}), 404, "user-not-found")
    number = await api.admin.patch(f"/v1/users/{eve['id']}", json={"disabled": 0})
    assert fields(problem(number, 422, "invalid-request")) == ["disabled"]


async def test_a_token_can_do_at_most_what_its_user_may(api: Api) -> None:
    ada = await a_user(api, "ada", role="viewer")
    assert (await as_user(api, ada, "GET", "/v1/me")).json()["role"] == "viewer"
    problem(await as_user(api, ada, "POST", "/v1/runs", json=run_body()), 403, "role-required")
    path = f"/v1/users/{ada['id']}/tokens"
    beyond = await api.admin.post(path, json={"name": "t", "role": "admin"})
    assert fields(problem(beyond, 422, "invalid-token")) == ["role"]
    own = await made(api, path, name="own")
    bearer = {"Authorization": f"Bearer {own['secret']}"}
    assert (await api.nobody.post("/v1/runs", json=run_body(), headers=bearer)).is_success
    # A role that is lowered later holds for every token.
    await api.admin.patch(f"/v1/users/{ada['id']}", json={"role": "ingest"})
    problem(await api.nobody.get("/v1/runs", headers=bearer), 403, "role-required")
    assert (await api.nobody.get("/v1/me", headers=bearer)).json()["role"] == "ingest"


async def test_nobody_can_create_a_token_with_more_rights_than_their_own(api: Api) -> None:
    await api.post_run(project="p")
    end = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    later = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    ada = await a_user(api, "ada", role="viewer", expires_at=end, project="p")
    path = f"/v1/users/{ada['id']}/tokens"
    for beyond, field in (
        ({"role": "member"}, "role"),
        ({"expires_at": later}, "expires_at"),
        ({"project": "text"}, "project"),
    ):
        refused = await as_user(api, ada, "POST", path, json={"name": "t", **beyond})
        assert fields(problem(refused, 403, "beyond-own-token")) == [field]
    inherited = (await as_user(api, ada, "POST", path, json={"name": "t"})).json()
    assert (inherited["role"], inherited["project"]) == ("viewer", "p")
    assert datetime.fromisoformat(inherited["expires_at"]) == datetime.fromisoformat(end)
    other = (await api.member.get("/v1/me")).json()["user"]["id"]
    refused = await as_user(api, ada, "GET", f"/v1/users/{other}/tokens")
    problem(refused, 403, "role-required")
    revoked = await as_user(api, ada, "DELETE", f"{path}/{inherited['id']}")
    assert revoked.json()["revoked_at"] is not None
    foreign = (await api.member.get("/v1/me")).json()["token"]["id"]
    problem(await as_user(api, ada, "DELETE", f"{path}/{foreign}"), 404, "token-not-found")


async def test_a_token_expires(api: Api) -> None:
    ada = await made(api, "/v1/users", name="ada")
    path = f"/v1/users/{ada['id']}/tokens"
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    refused = await api.admin.post(path, json={"name": "t", "expires_at": past})
    assert fields(problem(refused, 422, "invalid-token")) == ["expires_at"]
    no_zone = await api.admin.post(path, json={"name": "t", "expires_at": "2100-01-01T00:00:00"})
    assert fields(problem(no_zone, 422, "invalid-request")) == ["expires_at"]
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    token = await made(api, path, name="t", expires_at=later)
    bearer = {"Authorization": f"Bearer {token['secret']}"}
    assert (await api.nobody.get("/v1/me", headers=bearer)).is_success
    async with api.database.session_scope() as session:  # as if an hour had passed
        this = update(Token).where(Token.id == UUID(token["id"]))
        await session.execute(this.values(expires_at=datetime.fromisoformat(past)))
    problem(await api.nobody.get("/v1/me", headers=bearer), 401, "unauthenticated")


async def test_a_token_without_a_user_belongs_to_the_user_of_its_name(api: Api) -> None:
    first = await made(api, "/v1/tokens", name="ci", role="member")
    second = await made(api, "/v1/tokens", name="ci", role="viewer")
    assert (first["user"], second["user_id"]) == ("ci", first["user_id"])
    assert (first["role"], second["role"]) == ("member", "viewer")
    higher = await api.admin.post("/v1/tokens", json={"name": "ci", "role": "admin"})
    assert fields(problem(higher, 422, "invalid-token")) == ["role"]
    for name in ("ci", "new"):
        missing = await api.admin.post("/v1/tokens", json={"name": name})
        assert fields(problem(missing, 422, "invalid-token")) == ["role"]
    named = await made(api, "/v1/tokens", name="laptop", user="ci")
    assert (named["name"], named["user"], named["role"]) == ("laptop", "ci", "member")
    unknown = await api.admin.post("/v1/tokens", json={"name": "t", "user": "nobody"})
    assert fields(problem(unknown, 422, "unknown-user")) == ["user"]


async def test_a_user_can_read_their_own_account(api: Api) -> None:
    me: httpx.Response = await api.member.get("/v1/me")
    document = me.json()
    assert (document["user"]["name"], document["role"]) == ("a member", "member")
    assert document["token"]["project"] is None
    assert document["projects"] == []
    await api.post_run(project="p")
    document = (await api.member.get("/v1/me")).json()
    assert document["projects"] == [{"project": "p", "role": "owner"}]


async def test_runs_are_filtered_by_the_user_who_posted_them(api: Api) -> None:
    ada, bob = await a_user(api, "ada"), await a_user(api, "bob")
    for user, name in ((ada, "a1"), (bob, "b1"), (ada, "a2")):
        await as_user(api, user, "POST", "/v1/runs", json=run_body(name=name))
    hidden = run_body(name="b2", project="bob's own")
    await as_user(api, bob, "POST", "/v1/runs", json=hidden)
    private = await as_user(
        api, bob, "PATCH", "/v1/projects/bob's own", json={"visibility": "private"}
    )
    assert private.status_code == 200

    async def names(caller: dict[str, Any], **query: Any) -> list[str]:
        response = await as_user(api, caller, "GET", "/v1/runs", params=query)
        assert response.status_code == 200, response.text
        return [item["name"] for item in response.json()["items"]]

    assert await names(ada, user="me") == await names(bob, user="ada") == ["a2", "a1"]
    assert await names(bob, user="me") == ["b2", "b1"]
    assert await names(ada, user="bob") == ["b1"]  # the other one is in bob's private project
    assert await names(ada, user="ada", sort="name", limit=1) == ["a1"]
    assert await names(ada, user="me", status="cancelled") == []
    unknown = await as_user(api, ada, "GET", "/v1/runs", params={"user": "somebody else"})
    assert problem(unknown, 404, "user-not-found")["errors"][0]["field"] == "user"


async def test_the_role_ingest_says_what_little_it_can_do(api: Api) -> None:
    robot = await a_user(api, "robot", "ingest")
    assert (await as_user(api, robot, "GET", "/v1/me")).json()["role"] == "ingest"
    for method, path in (("GET", "/v1/runs"), ("POST", "/v1/runs"), ("GET", "/v1/users")):
        refused = problem(
            await as_user(api, robot, method, path, json=run_body()), 403, "role-required"
        )
        assert (
            "such a token can call /v1/intake and GET /v1/me, and nothing else" in refused["detail"]
        )
    viewer = problem(await api.viewer.post("/v1/runs", json=run_body()), 403, "role-required")
    assert "ingest" not in viewer["detail"]
    document = (await api.nobody.get("/openapi.json")).json()
    role = document["components"]["schemas"]["UserCreate"]["properties"]["role"]
    assert "`GET /v1/me`, and nothing else" in role["description"]
