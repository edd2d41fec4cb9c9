from __future__ import annotations

import asyncio
import hashlib
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from app.schemas.tokens import TokenCreate
from app.services.people import tokens
from models import Token
from tests.support.api import Api, fields, problem


async def test_a_token_works_from_creation_to_revocation(api: Api) -> None:
    made = (await api.admin.post("/v1/tokens", json={"name": "ci", "role": "viewer"})).json()
    bearer = {"Authorization": f"Bearer {made['secret']}"}
    assert made["secret"].startswith("pt_")
    assert (await api.nobody.get("/v1/runs", headers=bearer)).status_code == 200
    gone = await api.admin.delete(f"/v1/tokens/{made['id']}")
    assert gone.json()["revoked_at"] is not None
    problem(await api.nobody.get("/v1/runs", headers=bearer), 401, "unauthenticated")
    again = await api.admin.delete(f"/v1/tokens/{made['id']}")
    assert again.json()["revoked_at"] == gone.json()["revoked_at"]


async def test_only_a_hash_of_the_secret_is_kept_and_it_is_shown_once(api: Api) -> None:
    made = (await api.admin.post("/v1/tokens", json={"name": "ci", "role": "viewer"})).json()
    secret = made["secret"]
    listed = (await api.admin.get("/v1/tokens")).text
    assert made["id"] in listed
    assert secret not in listed
    async with api.database.session_scope() as session:
        stored = (await session.execute(select(Token).where(Token.name == "ci"))).scalar_one()
    assert stored.secret_sha256 == hashlib.sha256(secret.encode()).hexdigest()
    # 43 characters of 6 bits hold the 256 random ones.
    assert len(secret.removeprefix("pt_")) == 43


async def test_use_of_a_token_is_recorded(api: Api) -> None:
    await api.viewer.get("/v1/recipes")
    listed = (await api.admin.get("/v1/tokens")).json()["items"]
    used = {item["name"]: item["last_used_at"] is not None for item in listed}
    assert used == {"a admin": True, "a member": False, "a viewer": True}


@pytest.mark.parametrize("role", ["viewer", "member"])
async def test_only_admins_manage_tokens(api: Api, role: str) -> None:
    client = getattr(api, role)
    problem(await client.get("/v1/tokens"), 403, "role-required")
    # Whatever the body is: it is not looked at.
    problem(await client.post("/v1/tokens", content=b"{"), 403, "role-required")
    problem(await client.delete(f"/v1/tokens/{uuid4()}"), 403, "role-required")


async def test_the_last_admin_stays(api: Api) -> None:
    listed = (await api.admin.get("/v1/tokens")).json()["items"]
    (admin,) = [item["id"] for item in listed if item["role"] == "admin"]
    problem(await api.admin.delete(f"/v1/tokens/{admin}"), 409, "last-admin")
    await api.admin.post("/v1/tokens", json={"name": "second", "role": "admin"})
    assert (await api.admin.delete(f"/v1/tokens/{admin}")).status_code == 200


async def test_two_admins_cannot_revoke_each_other_at_once(committed_api: Api) -> None:
    database = committed_api.database
    async with database.session_scope() as session:
        await tokens.create(session, TokenCreate(name="second", role="admin"))
        listed = (await tokens.list_all(session)).items
    admins = [item.id for item in listed if item.role == "admin"]

    async def revoke(token_id: Any) -> str:
        try:
            async with database.session_scope() as session:
                await tokens.revoke(session, token_id)
        except tokens.LastAdminError:
            return "refused"
        return "revoked"

    assert sorted(await asyncio.gather(*map(revoke, admins))) == ["refused", "revoked"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "viewer"}, "name"),
        ({"name": "x", "role": "owner"}, "role"),
        ({"name": "", "role": "viewer"}, "name"),
        ({"name": "x", "role": "viewer", "secret": "pt_mine"}, "secret"),
    ],
)
async def test_an_invalid_token_request_is_rejected(
    api: Api, body: dict[str, Any], field: str
) -> None:
    refused = problem(await api.admin.post("/v1/tokens", json=body), 422, "invalid-request")
    assert field in fields(refused)


async def test_an_unknown_token_is_not_found(api: Api) -> None:
    problem(await api.admin.delete(f"/v1/tokens/{uuid4()}"), 404, "token-not-found")
