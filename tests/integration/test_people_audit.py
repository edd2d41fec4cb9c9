"""Direct access to the database, and changes by SQL, are in the audit log."""

from __future__ import annotations

from sqlalchemy import text

from app.schemas.tokens import TokenCreate
from app.schemas.users import UserCreate
from app.services.people import tokens, users
from app.services.principals import DirectAccess
from tests.support.api import Api


async def test_direct_database_access_is_in_the_audit_log(api: Api) -> None:
    by = DirectAccess.of_this_process()
    async with api.database.session_scope() as session:
        token = await tokens.create(session, TokenCreate(name="ada", role="admin"), by)
        await tokens.revoke(session, token.id, by)
    log = (await api.admin.get("/v1/audit", params={"access": "direct-database"})).json()["items"]
    assert [(entry["action"], entry["object_kind"]) for entry in log] == [
        ("revoked", "token"),
        ("created", "token"),
        ("created", "user"),
    ]
    assert {(entry["actor"], entry["os_user"]) for entry in log} == {("service", by.os_user)}
    assert {entry["user_id"] for entry in log} == {None}


async def test_sql_that_changes_users_or_tokens_is_in_the_audit_log_too(
    committed_api: Api,
) -> None:
    """As a job could do that found the address of the database."""
    database = committed_api.database
    async with database.session_scope() as session:
        user = await users.create(session, UserCreate(name="eve"), None)
    async with database.session_scope() as session:
        await session.execute(
            text("UPDATE users SET role = 'admin' WHERE id = :id"), {"id": user.id}
        )
        await session.execute(
            text(
                "INSERT INTO tokens (id, user_id, name, secret_sha256, created_at)"
                " VALUES (gen_random_uuid(), :id, 't', 'stolen', now())"
            ),
            {"id": user.id},
        )
        # Its use is not a change.
        await session.execute(text("UPDATE tokens SET last_used_at = now()"))
        await session.execute(text("DELETE FROM tokens WHERE name = 't'"))
    response = await committed_api.admin.get("/v1/audit", params={"actor": "database"})
    assert "stolen" not in response.text
    log = response.json()["items"]
    assert [(entry["action"], entry["object_kind"]) for entry in log] == [
        ("deleted", "token"),
        ("created", "token"),
        ("changed", "user"),
    ]
    assert {entry["access"] for entry in log} == {"direct-database"}
    assert (log[2]["before"]["role"], log[2]["after"]["role"]) == ("member", "admin")
    assert log[0]["after"]["database_session"]["application"] == "pricetag tests"
