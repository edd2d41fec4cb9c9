"""What a request costs before it does anything: connections, statements, transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from app.db import Database
from app.services.attempts import execution
from tests.support.api import Api, run_body, running_run
from tests.support.executions import JournalMaker, claimed, make_run


class Counts:
    """What one engine did."""

    def __init__(self) -> None:
        self.connections = 0
        self.commits = 0
        self.statements: list[str] = []


@contextmanager
def counted(database: Database) -> Iterator[Counts]:
    counts, engine = Counts(), database.engine.sync_engine

    def checkout(*_: Any) -> None:
        counts.connections += 1

    def commit(*_: Any) -> None:
        counts.commits += 1

    def execute(_: Any, __: Any, statement: str, *___: Any) -> None:
        counts.statements.append(statement)

    listeners = (("checkout", checkout), ("commit", commit), ("before_cursor_execute", execute))
    for name, listener in listeners:
        event.listen(engine, name, listener)
    try:
        yield counts
    finally:
        for name, listener in listeners:
            event.remove(engine, name, listener)


def touching(counts: Counts, table: str) -> list[str]:
    return [s for s in counts.statements if f" {table} " in s.replace("\n", " ")]


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/budgets", "/v1/recipes", "/v1/nodes"])
async def test_the_caller_is_checked_in_the_transaction_of_the_request(
    committed_api: Api, path: str
) -> None:
    await committed_api.viewer.get("/v1/me")  # notes the use of the token
    with counted(committed_api.database) as counts:
        assert (await committed_api.viewer.get(path)).status_code == 200
    assert (counts.connections, counts.commits) == (1, 1)
    assert len(touching(counts, "tokens")) == 1


async def test_the_use_of_a_token_is_noted_once_a_minute(committed_api: Api) -> None:
    with counted(committed_api.database) as counts:
        for _ in range(5):
            await committed_api.viewer.get("/v1/me")
    noted = [s for s in counts.statements if s.startswith("UPDATE tokens")]
    assert len(noted) == 1
    async with committed_api.database.session_scope() as session:
        await session.execute(
            text("UPDATE tokens SET last_used_at = last_used_at - interval '61 seconds'")
        )
    with counted(committed_api.database) as counts:
        await committed_api.viewer.get("/v1/me")
        await committed_api.viewer.get("/v1/me")
    assert len([s for s in counts.statements if s.startswith("UPDATE tokens")]) == 1


async def test_many_simultaneous_first_requests_need_one_connection_each(
    committed_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than the pool has: none holds a connection while it waits for another."""
    monkeypatch.setattr(committed_api.database.engine.pool, "_timeout", 600.0)
    requests = [committed_api.viewer.get("/v1/me") for _ in range(40)]
    async with asyncio.timeout(120):
        responses = await asyncio.gather(*requests)
    assert {response.status_code for response in responses} == {200}


class Client:
    """One request, with a body that arrives on a signal."""

    def __init__(self, api: Api, method: str, path: str, body: bytes = b"") -> None:
        self._api, self._body = api, body
        self.release = asyncio.Event()
        self.waits = asyncio.Event()
        self.sent: list[Mapping[str, Any]] = []
        authorization = api.member.headers["authorization"]
        headers = {"authorization": authorization, "content-type": "application/json"}
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            "scheme": "http",
            "server": ("pricetag.test", 80),
            "client": ("127.0.0.1", 1),
            "root_path": "",
        }

    async def _receive(self) -> dict[str, Any]:
        self.waits.set()
        await self.release.wait()
        if self.sent:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def _send(self, message: Mapping[str, Any]) -> None:
        self.sent.append(message)

    def start(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._api.app(self.scope, self._receive, self._send))


def checked_out(api: Api) -> int:
    pool: Any = api.database.engine.pool
    return int(pool.checkedout())


async def test_nothing_is_held_while_a_body_arrives(committed_api: Api) -> None:
    body = b'{"project": "p", "experiment": "e", "name": "n", "recipe": {"stages": [{"kind": '
    client = Client(committed_api, "POST", "/v1/runs", body + b'"command", "argv": ["true"]}]}}')
    task = client.start()
    async with asyncio.timeout(60):
        await client.waits.wait()
        assert checked_out(committed_api) == 0
        client.release.set()
        await task
    assert client.sent[0]["status"] == 202


async def test_nothing_is_held_while_a_stream_waits(committed_api: Api) -> None:
    async with committed_api.database.session_scope() as session:
        run_id = await running_run(session, 3)
    client = Client(committed_api, "GET", f"/v1/runs/{run_id}/events")
    task = client.start()
    async with asyncio.timeout(60):
        while not any(message.get("body") for message in client.sent):
            await asyncio.sleep(0.01)
        while checked_out(committed_api):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert checked_out(committed_api) == 0
        assert not task.done()
        client.release.set()
        await task


async def test_a_rejected_caller_is_rejected_before_its_body(committed_api: Api) -> None:
    client = Client(committed_api, "POST", "/v1/runs", b"{}")
    client.scope["headers"] = [(b"authorization", b"Bearer pt_no")]
    async with asyncio.timeout(60):
        await client.start()
    assert client.sent[0]["status"] == 401
    assert checked_out(committed_api) == 0


async def test_a_connection_that_was_just_used_is_not_tested(
    committed_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with committed_db.session_scope() as session:
        await session.execute(text("SELECT 2"))
    pings: list[object] = []
    dialect = committed_db.engine.sync_engine.dialect
    real = dialect.do_ping

    def ping(connection: Any) -> bool:
        pings.append(connection)
        return real(connection)

    monkeypatch.setattr(dialect, "do_ping", ping)
    monkeypatch.setattr("app.db.FRESH_S", 3600.0)
    for _ in range(3):
        async with committed_db.session_scope() as session:
            await session.execute(text("SELECT 2"))
    assert pings == []
    monkeypatch.setattr("app.db.FRESH_S", 0.0)
    async with committed_db.session_scope() as session:
        await session.execute(text("SELECT 2"))
    assert len(pings) == 1


async def test_connections_that_died_while_idle_are_replaced(
    committed_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart of the database: no request fails for it."""
    other = Database(committed_db.url, pool_size=3)
    sessions = [other.sessions() for _ in range(3)]
    for session in sessions:
        await session.execute(text("SELECT 1"))
    for session in sessions:
        await session.close()
    async with committed_db.session_scope() as session:
        await session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
                " current_database() AND application_name = 'pricetag' AND pid <> pg_backend_pid()"
            )
        )
    monkeypatch.setattr("app.db.FRESH_S", 0.0)
    for _ in range(4):
        async with other.session_scope() as session:
            assert (await session.execute(text("SELECT 3"))).scalar_one() == 3
    await other.dispose()


async def test_a_batch_of_readings_is_the_same_few_statements_however_long(
    committed_db: Database,
) -> None:
    """A text that changes with the rows would be compiled, parsed and planned every second."""
    async with committed_db.session_scope() as session:
        run = await make_run(session)
        journal = JournalMaker((await claimed(session, run.id)).attempt_id)
        journal.start()
        journal.read(0.0)
        await execution.ingest(session, journal.attempt_id, journal.records)
    texts = []
    for seconds in ([1], [2, 3, 4, 5], [3599, 3601]):  # in the last one, an hour begins
        begin = len(journal.records)
        for second in seconds:
            journal.read(float(second))
            journal.add("progress", float(second), key=None, done=second, total=9e9, unit="s")
        with counted(committed_db) as counts:
            async with committed_db.session_scope() as session:
                await execution.ingest(session, journal.attempt_id, journal.records[begin:])
        texts.append(counts.statements)
    assert texts[0] == texts[1] == texts[2]
    assert len(texts[0]) <= 7


async def test_posting_a_run_takes_as_many_statements_under_ten_budgets_as_under_one(
    committed_api: Api,
) -> None:
    """Each statement is a round trip to the database."""

    async def statements() -> list[str]:
        with counted(committed_api.database) as counts:
            response = await committed_api.member.post("/v1/runs", json=run_body())
        assert response.status_code == 202, response.text
        return counts.statements

    async def limit(number: int) -> None:
        body = {"name": f"limit {number}", "scope": "lab", "metric": "co2e_kg", "amount": 1000.0}
        response = await committed_api.admin.post("/v1/budgets", json=body)
        assert response.status_code == 201, response.text

    await limit(0)
    await statements()  # creates the project, and resolves the factors
    under_one = await statements()
    for number in range(1, 10):
        await limit(number)
    under_ten = await statements()
    assert len(under_ten) == len(under_one) <= 16, under_one
