"""Users with tokens over the API, for tests."""

from __future__ import annotations

from typing import Any

from tests.support.api import Api


async def made(api: Api, path: str, **body: Any) -> dict[str, Any]:
    """What an administrator creates by posting to the path."""
    response = await api.admin.post(path, json=body)
    assert response.status_code == 201, response.text
    return dict(response.json())


async def a_user(api: Api, name: str, user_role: str = "member", **token: Any) -> dict[str, Any]:
    """A user with a token; `bearer` are the headers of a request with it."""
    user = await made(api, "/v1/users", name=name, role=user_role)
    secret = await made(api, f"/v1/users/{user['id']}/tokens", name="t", **token)
    bearer = {"Authorization": f"Bearer {secret['secret']}"}
    return {**user, "token": secret, "bearer": bearer}


async def as_user(api: Api, user: dict[str, Any], method: str, path: str, **more: Any) -> Any:
    """A request with the user's token."""
    return await api.nobody.request(method, path, headers=user["bearer"], **more)
