"""The whole OpenAPI document, fuzzed against a real server on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import httpx
import pytest
import uvicorn

from app import serving
from app.db import Database
from app.main import create_app
from app.settings import Settings
from tests.support.api import finished_run, make_token, run_body, running_run, study_body
from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
EXAMPLES = 5

# Some of the wrong bodies it makes are too large to be looked at.
REFUSALS = (
    "[checks.negative_data_rejection]",
    "expected-statuses = [401, 404, 405, 409, 413, 415, 422]",
)


@dataclass(frozen=True)
class Served:
    url: str
    token: str
    ids: dict[str, str]


async def _seed(url: str) -> tuple[str, list[str]]:
    database = Database(url)
    try:
        async with database.session_scope() as session:
            token = await make_token(session, "admin")
            await make_token(session, "admin")
            runs = [await finished_run(session), await running_run(session, 3)]
    finally:
        await database.dispose()
    return token, [str(run) for run in runs]


def _seed_over_rest(url: str, token: str, runs: list[str]) -> dict[str, str]:
    with httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_S
    ) as http:
        http.post("/v1/runs", json=run_body()).raise_for_status()
        body = {"title": "a report", "runs": runs[:1]}
        report = http.post("/v1/reports", json=body).raise_for_status().json()["id"]
        artifacts = http.get(f"/v1/runs/{runs[0]}/artifacts").json()["items"]
        study = http.post("/v1/studies", json=study_body()).raise_for_status().json()["id"]
        collected = {"project": "text", "title": "a paper", "runs": runs[:1], "rule": {}}
        paper = http.post("/v1/papers", json=collected).raise_for_status().json()["id"]
        http.post(f"/v1/papers/{paper}/reports", json={}).raise_for_status()
        share = http.post("/v1/shares", json={"paper": paper}).raise_for_status().json()["id"]
        made = http.post("/v1/tokens", json={"name": "v", "role": "viewer"}).json()
        viewer, user = made["id"], made["user_id"]
        http.post("/v1/projects/text/members", json={"user": "v"}).raise_for_status()
        limits = {"name": "b", "scope": "lab", "metric": "co2e_kg", "amount": 1e6}
        budget = http.post("/v1/budgets", json=limits).raise_for_status().json()["id"]
        site = http.post("/v1/sites", json={"name": "berlin"}).raise_for_status().json()["name"]
    return {
        "run_id": runs[0],
        "report_id": report,
        "study_id": study,
        "paper_id": paper,
        "share_id": share,
        "artifact_id": artifacts[0]["id"],
        "token_id": viewer,
        "name": site,
        "project": "text",
        "user": "v",
        "user_id": user,
        "budget_id": budget,
    }


@pytest.fixture
def served(
    migrated_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    data_dir = tmp_path_factory.mktemp("data")
    artifact = data_dir / "artifacts/run/1/model.safetensors"
    artifact.parent.mkdir(parents=True)
    artifact.write_bytes(b"weights")
    token, runs = asyncio.run(_seed(migrated_database_url))
    configured = Settings(database_url=migrated_database_url, data_dir=data_dir, sweep_s=3600)
    with serving.bind("127.0.0.1", 0) as listener:
        config = uvicorn.Config(create_app(configured), log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = serving.url_of(listener, "127.0.0.1")
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield Served(url, token, _seed_over_rest(url, token, runs))
        finally:
            server.should_exit = True
            thread.join(timeout=120)
            assert not thread.is_alive()


def _configuration(ids: dict[str, str]) -> str:
    values = [f'"path.{name}" = "{value}"' for name, value in ids.items()]
    return "\n".join([*REFUSALS, "[parameters]", *values]) + "\n"


def _readable(output: str) -> str:
    """The end of what schemathesis printed; a request it shows may have megabytes."""
    return "\n".join(line[:400] for line in output[-2_000_000:].splitlines()[-120:])


def _fuzz(served: Served, folder: Path, ids: dict[str, str], *options: str) -> int:
    """Runs schemathesis; returns the number of operations that it tested."""
    config = folder / "schemathesis.toml"
    config.write_text(_configuration(ids))
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
        *("run", f"{served.url}/openapi.json", "--no-color", "--seed", "1"),
        *("--header", f"Authorization: Bearer {served.token}"),
        *("--max-examples", str(EXAMPLES), *options),
        *("--request-timeout", str(PATIENCE_S)),
        # Streams do not end while a run continues, or ever, and have their own tests.
        *("--exclude-operation-id", "streamRunEvents"),
        *("--exclude-operation-id", "streamLab"),
        # Whether stages fit together is beyond what a JSON schema can say.
        *("--exclude-checks", "positive_data_acceptance"),
    ]
    hooks = {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.support.fewer_cases"}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **hooks},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, _readable(done.stdout + done.stderr)
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested is not None, _readable(done.stdout)
    return int(tested[1])


@pytest.mark.slow
def test_no_request_about_existing_objects_breaks_the_contract(
    served: Served, tmp_path: Path
) -> None:
    # Every bound of a run's schema, tried one by one, takes minutes: it is fuzzed below.
    takes_runs = ("createRun", "createStudy", "createQuote", "askBudgetWhatIf")
    bodies = [("--exclude-operation-id", name) for name in takes_runs]
    options = ("--phases", "examples,coverage", *chain.from_iterable(bodies))
    operations = operations_of(served.url)  # the server builds the document now, not in the fuzz
    assert _fuzz(served, tmp_path, served.ids, *options) == operations - 2 - len(takes_runs)


@pytest.mark.slow
def test_no_request_at_all_breaks_the_contract(served: Served, tmp_path: Path) -> None:
    options = ("--phases", "examples,fuzzing")
    operations = operations_of(served.url)
    assert _fuzz(served, tmp_path, {}, *options) == operations - 2


def operations_of(url: str) -> int:
    document = httpx.get(f"{url}/openapi.json", timeout=PATIENCE_S).raise_for_status().json()
    return sum(len(operations) for operations in document["paths"].values())
