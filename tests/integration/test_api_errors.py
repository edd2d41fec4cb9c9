from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from app.api.deps import Resources
from app.db import Database
from app.main import create_app
from app.services.live.events import EventHub
from app.settings import Settings
from tests.support.api import Api, fields, problem, run_body

JSON = {"Content-Type": "application/json"}
YAML = {"Content-Type": "application/yaml"}


def written(**changes: object) -> str:
    return json.dumps(run_body(**changes))


@pytest.mark.parametrize(
    ("content", "code", "field"),
    [
        ("", "malformed-json", None),
        ("{", "malformed-json", None),
        ('{"a": 1, "a": 2}', "malformed-json", None),
        ("[]", "invalid-recipe", None),
        ('"text"', "invalid-recipe", None),
        ("NaN", "malformed-json", None),
        (written().replace('"a run"', "Infinity"), "malformed-json", None),
        (written().replace('"a run"', "1e999"), "invalid-request", "name"),
        (written().replace('"a run"', "9" * 30), "invalid-request", "name"),
        (written().replace('"a run"', "9" * 5000), "malformed-json", None),
        (written(name="a\x00b"), "invalid-request", "name"),
        (written().replace('"a run"', '"\\ud800"'), "invalid-request", "name"),
        ('{"\\ud800": 1}', "invalid-request", None),
        ("[" * 5000, "body-too-deep", None),
        ('{"a": ' + "[" * 60 + "]" * 60 + "}", "body-too-deep", None),
        (json.dumps({"a": [1] * 30_000}), "body-too-large", None),
        (written(nmae="x"), "invalid-recipe", "nmae"),
        (written(resources={"gpus": "2"}), "invalid-recipe", "resources.gpus"),
        (written(resources={"gpus": -1}), "invalid-recipe", "resources.gpus"),
        (written(priority=True), "invalid-recipe", "priority"),
        (written(recipe={"stages": []}), "invalid-recipe", "recipe.stages"),
        (written(tags="x"), "invalid-recipe", "tags"),
    ],
)
async def test_an_invalid_body_is_rejected_with_its_field(
    api: Api, content: str, code: str, field: str | None
) -> None:
    refused = problem(await api.member.post("/v1/runs", content=content, headers=JSON), 422, code)
    if field is not None:
        assert field in fields(refused)
        assert field in refused["detail"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("project: [a\nx: }", "line 2"),
        ("a: 1\nb: 2\na: 3\n", "line 3"),
        ("a: b: c", "column 5"),
        ("&x [*x]", ""),
        ("a: !!python/object/apply:os.system [true]", "tag"),
        ("[" * 100_000, "deeper"),
        ("a: \x00", "character 3"),
    ],
)
async def test_malformed_yaml_is_reported_with_its_position(
    api: Api, content: str, message: str
) -> None:
    response = await api.member.post("/v1/runs", content=content, headers=YAML)
    assert response.status_code == 422
    assert message in response.json()["detail"]


async def test_a_yaml_with_nested_aliases_is_rejected_in_time(api: Api) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    response = await api.member.post("/v1/runs", content="\n".join(lines), headers=YAML)
    problem(response, 422, "body-too-large")


async def test_a_body_that_is_not_utf_8_is_rejected(api: Api) -> None:
    response = await api.member.post("/v1/runs", content=b'{"a": "\xff"}', headers=JSON)
    problem(response, 422, "malformed-body")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
async def test_a_compressed_body_is_rejected(api: Api, encoding: str) -> None:
    response = await api.member.post(
        "/v1/runs", content=b"\x1f\x8b\x08", headers={**JSON, "Content-Encoding": encoding}
    )
    assert encoding in problem(response, 415, "unsupported-media-type")["detail"]


async def test_a_body_of_another_media_type_is_rejected(api: Api) -> None:
    response = await api.member.post(
        "/v1/runs", content=written(), headers={"Content-Type": "text/plain"}
    )
    refused = problem(response, 415, "unsupported-media-type")
    assert "application/yaml" in refused["detail"]


async def test_a_huge_body_is_rejected_while_it_arrives(api: Api) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b" " * 65_536

    response = await api.member.post("/v1/runs", content=endless(), headers=JSON)
    problem(response, 413, "body-too-large")
    assert sent < 2 * api.settings.max_body_bytes


async def test_a_declared_huge_body_is_not_read(api: Api) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"x"
        raise AssertionError("the body was read on")

    headers = JSON | {"Content-Length": str(10**9)}
    problem(
        await api.member.post("/v1/runs", content=never(), headers=headers), 413, "body-too-large"
    )


async def test_a_slow_body_holds_no_connection(committed_api: Api) -> None:
    pool = committed_api.database.engine.pool
    held: list[int] = []

    async def slow() -> AsyncIterator[bytes]:
        for part in (written()[:20], written()[20:]):
            yield part.encode()
            held.append(pool.checkedout())  # type: ignore[attr-defined]

    response = await committed_api.member.post("/v1/runs", content=slow(), headers=JSON)
    assert response.status_code == 202
    assert held == [0, 0]


async def test_a_body_is_not_read_before_the_token(api: Api) -> None:
    response = await api.nobody.post("/v1/runs", content=b"{" * 5_000_000, headers=JSON)
    problem(response, 401, "unauthenticated")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("staus=failed", "staus"),
        ("status=done", "status"),
        ("limit=0", "limit"),
        ("limit=1000", "limit"),
        ("limit=x", "limit"),
        ("sort=price", "sort"),
        ("project=%00", "project"),
        ("tag=", "tag"),
        ("created_after=yesterday", "created_after"),
        ("created_after=5", "created_after"),
        ("created_after=2026-03-01T12:00:00", "created_after"),
    ],
)
async def test_an_invalid_query_is_rejected_with_its_parameter(
    api: Api, query: str, field: str
) -> None:
    refused = problem(await api.viewer.get(f"/v1/runs?{query}"), 422, "invalid-request")
    assert fields(refused) == [field]


async def test_an_unknown_query_parameter_is_rejected_everywhere(api: Api) -> None:
    for path in ("/v1/recipes", "/v1/nodes", "/healthz", "/v1/tokens"):
        refused = problem(await api.admin.get(path, params={"x": "1"}), 422, "invalid-request")
        assert fields(refused) == ["x"]


@pytest.mark.parametrize("key", ["", "with space", "x" * 201, "\t"])
async def test_an_invalid_idempotency_key_is_rejected(api: Api, key: str) -> None:
    response = await api.member.post("/v1/runs", json=run_body(), headers={"Idempotency-Key": key})
    assert fields(problem(response, 422, "invalid-request")) == ["Idempotency-Key"]


async def test_an_invalid_id_is_rejected(api: Api) -> None:
    assert fields(problem(await api.viewer.get("/v1/runs/12"), 422, "invalid-request")) == [
        "run_id"
    ]


async def test_unknown_paths_and_methods_are_errors(api: Api) -> None:
    problem(await api.viewer.get("/v1/rums"), 404, "not-found")
    refused = await api.viewer.delete("/v1/runs")
    problem(refused, 405, "method-not-allowed")
    assert refused.headers["allow"] == "GET, POST"


@pytest.mark.parametrize("secret", ["pt_wrong", "", "é", "pt_\ud800"])
async def test_an_invalid_token_is_rejected(api: Api, secret: str) -> None:
    header = (b"Authorization", b"Bearer " + secret.encode("utf-8", "surrogatepass"))
    response = await api.nobody.get("/v1/runs", headers=[header])
    problem(response, 401, "unauthenticated")


async def test_an_internal_error_is_reported_as_such(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("app.api.v1.catalog.recipes.list_recipes", fail)
    refused = problem(await api.viewer.get("/v1/recipes"), 500, "internal-error")
    assert "secret" not in json.dumps(refused)


@asynccontextmanager
async def bare(url: str, data_dir: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The API on a database that holds nothing, or is not there."""
    database = Database(url)
    settings = Settings(database_url=url, data_dir=data_dir)
    app = create_app(settings)
    app.state.resources = Resources(settings, database, EventHub(database))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": "Bearer pt_x"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://pricetag.test", headers=headers
    ) as client:
        yield client
    await database.dispose()


async def test_an_unreachable_database_is_reported_and_health_still_responds(
    tmp_path: Path,
) -> None:
    async with bare(f"postgresql://nobody@/nothing?host={tmp_path}", tmp_path) as client:
        for path in ("/v1/runs", "/readyz", "/v1/recipes", f"/v1/runs/{uuid4()}/events"):
            refused = await client.get(path)
            problem(refused, 503, "database-away")
            assert int(refused.headers["retry-after"]) > 0
        assert (await client.get("/healthz")).json()["status"] == "ok"


async def test_readiness_names_the_migration(api: Api) -> None:
    assert (await api.nobody.get("/readyz")).json()["status"] == "ready"


async def test_a_database_that_was_never_migrated_is_not_ready(
    fresh_database_url: str, tmp_path: Path
) -> None:
    async with bare(fresh_database_url, tmp_path) as client:
        refused = problem(await client.get("/readyz"), 503, "not-migrated")
    assert "pricetag migrate" in refused["detail"]
