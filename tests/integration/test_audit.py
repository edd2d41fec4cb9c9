"""The audit log: what is recorded, who may read it, and that nothing is ever taken out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.db import Session
from app.services import audit
from app.services.audit import SecretInAuditLogError
from tests.support.api import Api, problem


async def entries(api: Api, **params: Any) -> list[dict[str, Any]]:
    answer = await api.admin.get("/v1/audit", params=params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def test_creating_and_revoking_a_token_is_recorded_without_its_secret(api: Api) -> None:
    made = (await api.admin.post("/v1/tokens", json={"name": "ci", "role": "viewer"})).json()
    for _ in range(2):  # revoking it again changes nothing, and is not recorded
        await api.admin.delete(f"/v1/tokens/{made['id']}")
    answer = await api.admin.get("/v1/audit", params={"object_id": made["id"]})
    assert made["secret"] not in answer.text
    assert "secret" not in answer.text
    revoked, created = answer.json()["items"]
    assert (created["action"], created["actor"]) == ("created", "a admin")
    assert created["before"] is None
    assert created["after"] == {
        "name": "ci",
        "user": "ci",
        "role": "viewer",
        "project": None,
        "expires_at": None,
    }
    assert (created["access"], created["os_user"]) == ("token", None)
    assert created["user_id"] == (await api.admin.get("/v1/me")).json()["user"]["id"]
    assert revoked["action"] == "revoked"
    assert revoked["before"]["revoked_at"] is None
    assert revoked["after"]["revoked_at"] is not None
    assert {revoked["object_kind"], created["object_kind"]} == {"token"}


async def test_actions_on_the_server_s_own_machine_are_those_of_the_service(api: Api) -> None:
    # The fixture made its tokens without a caller, as the command on the server does.
    found = await entries(api, actor="service", object_kind="token")
    assert {entry["after"]["name"] for entry in found} == {"a admin", "a member", "a viewer"}
    assert {entry["token_id"] for entry in found} == {None}


@pytest.mark.parametrize("role", ["viewer", "member"])
async def test_only_admins_read_the_audit_log(api: Api, role: str) -> None:
    problem(await getattr(api, role).get("/v1/audit"), 403, "role-required")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
async def test_no_operation_writes_the_audit_log(api: Api, method: str) -> None:
    problem(await getattr(api.admin, method)("/v1/audit"), 405, "method-not-allowed")


async def test_filters_and_pages(api: Api) -> None:
    start = datetime.now(UTC)
    async with api.database.session_scope() as session:
        for number in range(5):
            await audit.record(
                session,
                None,
                action="changed" if number % 2 else "created",
                object_kind="site",
                object_id=f"s{number}",
                after={"number": number},
            )
    chosen: dict[str, Any] = {"object_kind": "site", "limit": 2}
    found, cursor = [], None
    for _ in range(3):
        params = chosen | ({"cursor": cursor} if cursor else {})
        page = (await api.admin.get("/v1/audit", params=params)).json()
        found += [entry["object_id"] for entry in page["items"]]
        cursor = page["next_cursor"]
    assert found == ["s4", "s3", "s2", "s1", "s0"]
    assert cursor is None
    assert len(await entries(api, object_kind="site", action="created")) == 3
    until = (start - timedelta(hours=1)).isoformat()
    assert await entries(api, object_kind="site", until=until) == []
    assert len(await entries(api, object_kind="site", since=start.isoformat())) == 5
    assert await entries(api, object_kind="site", token_id=str(uuid4())) == []


@pytest.mark.parametrize("cursor", ["x", "WyJhdWRpdCIsIngiXQ", "WyJydW5zIiwiMSJd"])
async def test_a_cursor_of_another_list_is_rejected(api: Api, cursor: str) -> None:
    answer = await api.admin.get("/v1/audit", params={"cursor": cursor})
    problem(answer, 422, "invalid-cursor")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "TRUNCATE tokens CASCADE",
    ],
)
async def test_the_database_itself_rejects_changes_to_the_audit_log(
    session: Session, statement: str
) -> None:
    await audit.record(session, None, action="created", object_kind="site", object_id="a")
    with pytest.raises(DBAPIError, match="audit_log is append-only"):
        await session.execute(text(statement))


async def test_values_are_kept_exactly_and_secrets_rejected(session: Session) -> None:
    token_id, at = uuid4(), datetime(2026, 3, 1, tzinfo=UTC)
    values = {"amount": Decimal("0.10"), "id": token_id, "at": at, "ratios": [0.5], "none": None}
    assert audit.plain({"inner": values}) == {
        "inner": {
            "amount": "0.10",
            "id": str(token_id),
            "at": "2026-03-01T00:00:00+00:00",
            "ratios": [0.5],
            "none": None,
        }
    }
    for secret in ({"secret": "pt_x"}, {"token": {"secret_sha256": "0"}}):
        with pytest.raises(SecretInAuditLogError):
            await audit.record(
                session, None, action="created", object_kind="token", object_id=1, after=secret
            )
