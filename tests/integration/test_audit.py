"""The audit log: what is recorded, who may read it, and that nothing is ever removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from app.db import Database, Session
from app.repositories.people import audit as audit_rows
from app.repositories.people.audit import AuditFilter
from app.services import cursors
from app.services.people import audit
from app.services.people.audit import SecretInAuditLogError
from models import AuditEntry, Token, User
from models.budget import AUDIT_FILTERS
from tests.support.api import Api, problem
from tests.support.plans import planned


async def entries(api: Api, **params: Any) -> list[dict[str, Any]]:
    response = await api.admin.get("/v1/audit", params=params)
    assert response.status_code == 200, response.text
    return list(response.json()["items"])


async def test_creating_and_revoking_a_token_is_recorded_without_its_secret(api: Api) -> None:
    made = (await api.admin.post("/v1/tokens", json={"name": "ci", "role": "viewer"})).json()
    for _ in range(2):  # revoking it again changes nothing, and is not recorded
        await api.admin.delete(f"/v1/tokens/{made['id']}")
    response = await api.admin.get("/v1/audit", params={"object_id": made["id"]})
    assert made["secret"] not in response.text
    assert "secret" not in response.text
    revoked, created = response.json()["items"]
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


async def test_entries_have_the_names_of_the_objects_that_they_mention(api: Api) -> None:
    ada = (await api.admin.post("/v1/users", json={"name": "ada"})).json()["id"]
    body = {"name": "b", "scope": "user", "user": "ada", "metric": "co2e_kg", "amount": 1}
    budget = (await api.admin.post("/v1/budgets", json=body)).json()["id"]
    await api.admin.patch(f"/v1/users/{ada}", json={"name": "ada l"})
    created, *_ = await entries(api, object_kind="budget")
    assert created["object_id"] == budget
    assert created["after"]["scope_id"] == ada
    assert created["names"] == {budget: "b", ada: "ada l"}
    site = (await api.admin.post("/v1/sites", json={"name": "berlin"})).json()
    assert (await entries(api, object_id=site["name"]))[0]["names"] == {}


async def test_actions_on_the_server_s_own_machine_are_those_of_the_service(api: Api) -> None:
    # The fixture made its tokens without a caller, as the command on the server does.
    logged = await entries(api, actor="service", object_kind="token")
    assert {entry["after"]["name"] for entry in logged} == {"a admin", "a member", "a viewer"}
    assert {entry["token_id"] for entry in logged} == {None}


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
    filters: dict[str, Any] = {"object_kind": "site", "limit": 2}
    ids, cursor = [], None
    for _ in range(3):
        params = filters | ({"cursor": cursor} if cursor else {})
        page = (await api.admin.get("/v1/audit", params=params)).json()
        ids += [entry["object_id"] for entry in page["items"]]
        cursor = page["next_cursor"]
    assert ids == ["s4", "s3", "s2", "s1", "s0"]
    assert cursor is None
    assert len(await entries(api, object_kind="site", action="created")) == 3
    until = (start - timedelta(hours=1)).isoformat()
    assert await entries(api, object_kind="site", until=until) == []
    assert len(await entries(api, object_kind="site", since=start.isoformat())) == 5
    viewer = (await api.viewer.get("/v1/me")).json()["token"]["id"]
    assert await entries(api, object_kind="site", token_id=viewer) == []


@pytest.mark.parametrize("cursor", ["x", "WyJhdWRpdCIsIngiXQ", "WyJydW5zIiwiMSJd"])
async def test_a_cursor_of_another_list_is_rejected(api: Api, cursor: str) -> None:
    response = await api.admin.get("/v1/audit", params={"cursor": cursor})
    problem(response, 422, "invalid-cursor")


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


START = datetime(2026, 5, 1, tzinfo=UTC)
ACTIONS, KINDS, ACCESS = ("created", "changed", "closed"), ("site", "budget"), ("token", "service")


def made_up(users: list[UUID], tokens: list[UUID]) -> list[dict[str, Any]]:
    """Entries of few values, many at one time; later entries are not always of later times."""
    random = Random(5)
    return [
        {
            "at": START + timedelta(minutes=random.randrange(40)),
            "user_id": random.choice([*users, None]),
            "token_id": random.choice([*tokens, None]),
            "actor": random.choice(["ada", "bob"]),
            "access": random.choice(ACCESS),
            "action": random.choice(ACTIONS),
            "object_kind": random.choice(KINDS),
            "object_id": f"o{random.randrange(9)}",
        }
        for _ in range(300)
    ]


def filters_of(rows: list[dict[str, Any]], random: Random) -> AuditFilter:
    """One to four filters; values of an entry, or of nothing."""
    row = random.choice(rows)
    names = random.sample(sorted({*row} - {"at"}), random.randrange(1, 5))
    values = {name: row[name] for name in names}
    if random.random() < 0.2 and "actor" in values:
        values["actor"] = "nobody"
    if random.random() < 0.4:
        values["since"] = START + timedelta(minutes=random.randrange(30))
    if random.random() < 0.4:
        values["until"] = START + timedelta(minutes=random.randrange(10, 40))
    return AuditFilter(**values)


def fits(row: dict[str, Any], filters: AuditFilter) -> bool:
    """What the documentation says about each filter."""
    wanted = {name: value for name, value in vars(filters).items() if value is not None}
    since, until = wanted.pop("since", row["at"]), wanted.pop("until", None)
    return (
        all(row[name] == value for name, value in wanted.items())
        and row["at"] >= since
        and (until is None or row["at"] < until)
    )


@pytest.mark.parametrize("look_ahead", [3, 40, 2_000])
async def test_combined_filters_give_the_pages_of_a_plain_list(
    session: Session, monkeypatch: pytest.MonkeyPatch, look_ahead: int
) -> None:
    monkeypatch.setattr(audit_rows, "LOOK_AHEAD", look_ahead)
    users = [User(id=uuid4(), name=name, role="member") for name in ("u1", "u2")]
    session.add_all(users)
    await session.flush()
    tokens = [Token(user_id=users[0].id, name="t", secret_sha256=str(n)) for n in range(2)]
    session.add_all(tokens)
    await session.flush()
    rows = made_up([user.id for user in users], [token.id for token in tokens])
    await session.execute(insert(AuditEntry), rows)
    stored = (await session.execute(select(AuditEntry).order_by(AuditEntry.id))).scalars().all()
    entries = [vars(entry) for entry in stored]
    assert len(entries) >= len(rows)
    random = Random(6)
    for _ in range(60):
        filters = filters_of(rows, random)
        fitting = [(entry["at"], entry["id"]) for entry in entries if fits(entry, filters)]
        expected = [entry_id for _, entry_id in sorted(fitting, reverse=True)]
        listed: list[int] = []
        before = None
        while True:
            page = await audit_rows.page(session, filters, before=before, limit=7)
            listed += [entry.id for entry in page]
            if len(page) < 7:
                break
            before = page[-1].at, page[-1].id
        assert listed == expected, filters


async def empty_the_log(session: Session) -> None:
    """Makes its table and indexes new until the test ends: other tests left dead rows in them."""
    await session.execute(text("SET LOCAL session_replication_role = replica"))
    await session.execute(text("TRUNCATE audit_log"))
    await session.execute(text("SET LOCAL session_replication_role = DEFAULT"))


async def test_each_filter_reads_an_index_in_order_of_time(db: Database, session: Session) -> None:
    await empty_the_log(session)
    await session.execute(
        text(
            "INSERT INTO audit_log (at, actor, access, action, object_kind, object_id)"
            " SELECT now() - n * interval '1 min', 'actor ' || n % 5, 'token', 'a' || n % 3,"
            " 'kind' || n % 4, 'o' || n FROM generate_series(1, 20000) AS n"
        )
    )
    await session.execute(text("ANALYZE audit_log"))
    for value in ("actor 1", "nobody"):
        for name in AUDIT_FILTERS:
            wanted = uuid4() if name in ("user_id", "token_id") else value
            with planned(db) as plans:
                values: dict[str, Any] = {name: wanted}
                filters = AuditFilter(**values)
                await audit_rows.page(session, filters, before=None, limit=51)
            [plan] = plans
            names = [node.get("Index Name") for node in plan.nodes]
            assert f"ix_audit_log_{name}_at_id" in names, plan.tree
            assert "audit_log" not in plan.read_whole(), plan.tree
    together = AuditFilter(actor="actor 1", action="a1", object_kind="kind1", object_id="o999999")
    with planned(db) as plans:
        await audit_rows.page(session, together, before=None, limit=51)
    assert plans
    assert not any("audit_log" in plan.read_whole() for plan in plans)


async def test_a_cursor_behind_the_log_is_rejected(api: Api) -> None:
    cursor = cursors.encode("audit", "999999999999")
    response = await api.admin.get("/v1/audit", params={"cursor": cursor})
    problem(response, 422, "invalid-cursor")
