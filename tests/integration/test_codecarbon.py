"""Clients of CodeCarbon, unmodified: what they send becomes runs, once, and late records too."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from sqlalchemy import func, select, update

from app.db import Database, libpq_url
from app.services.intake import codecarbon_filing
from app.services.intake.codecarbon import DEFAULT_EXPERIMENT
from benchmarks.pushes.bench import opened
from models import CodecarbonRecord, CodecarbonRun, Experiment, LogLine, Metric, Project, Run
from tests.support.api import Api, make_token, problem
from tests.support.service import wait_until

RUN: dict[str, Any] = {
    "timestamp": "2026-03-04T05:06:07.123456+01:00",
    "experiment_id": "vision/baselines",
    "os": "Linux",
    "python_version": "3.11.9",
    "codecarbon_version": "3.3.2",
    "cpu_count": 8,
    "cpu_model": "Xeon",
    "gpu_count": 2,
    "gpu_model": "2 x NVIDIA A100",
    "longitude": None,
    "latitude": None,
    "region": None,
    "provider": None,
    "ram_total_size": 64.0,
    "tracking_mode": "machine",
}
DELTA: dict[str, Any] = {
    "timestamp": "2026-03-04T05:08:07.123456+01:00",
    "run_id": "",
    "duration": 100,
    "emissions_sum": 0.002,
    "emissions_rate": 2e-5,
    "cpu_power": 36.0,
    "gpu_power": 180.0,
    "ram_power": 10.0,
    "cpu_energy": 0.001,
    "gpu_energy": 0.005,
    "ram_energy": 0.0005,
    "energy_consumed": 0.0065,
    "cpu_utilization_percent": 10.0,
    "gpu_utilization_percent": None,
    "ram_utilization_percent": 1.0,
    "wue": 0,
}
TOTAL: dict[str, Any] = {
    **{name: RUN[name] for name in ("codecarbon_version", "cpu_model", "gpu_count", "gpu_model")},
    "timestamp": "2026-03-04T05:08:07",
    "project_name": "speech",
    "run_id": "5f0c0d0e-0000-4000-8000-000000000005",
    "experiment_id": DEFAULT_EXPERIMENT,
    "duration": 100.5,
    "emissions": 0.004,
    "cpu_energy": 0.0012,
    "gpu_energy": 0.006,
    "ram_energy": 0.0006,
    "energy_consumed": 0.0078,
    "pue": 1.2,
    "user": "ann",
}
START = datetime(2026, 3, 4, 5, 0, tzinfo=UTC)
LATER = timedelta(hours=2)

LONG_AGO = datetime.now(UTC) - timedelta(days=31)


def key(client: httpx.AsyncClient) -> str:
    """The token of a client, as CodeCarbon has it in its settings."""
    return client.headers["Authorization"].removeprefix("Bearer ")


async def send(
    client: httpx.AsyncClient, path: str, body: Mapping[str, Any] | bytes, api_key: str | None = ""
) -> httpx.Response:
    """As the client sends it: the key in its own header, JSON, and no other header of ours."""
    own = key(client) if api_key == "" else api_key
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = client.build_request("POST", f"/codecarbon{path}", content=content)
    request.headers.pop("Authorization", None)
    request.headers["Content-Type"] = "application/json"
    if own is not None:
        request.headers["x-api-token"] = own
    return await client.send(request)


async def accepted(client: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    answer = await send(client, path, body)
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def begun(api: Api, **changes: Any) -> str:
    return str((await accepted(api.member, "/runs", RUN | changes))["id"])


async def received(api: Api, run_id: str, *seconds: float) -> None:
    """Gives the records of a run, in the order of their arrival, times after the start."""
    async with api.database.session_scope() as session:
        query = select(CodecarbonRecord.id).where(CodecarbonRecord.run_id == UUID(run_id))
        ids = (await session.execute(query.order_by(CodecarbonRecord.id))).scalars().all()
        assert len(ids) == len(seconds)
        for record_id, at_s in zip(ids, seconds, strict=True):
            await session.execute(
                update(CodecarbonRecord)
                .where(CodecarbonRecord.id == record_id)
                .values(received_at=START + timedelta(seconds=at_s))
            )


async def worked(api: Api, run_id: str, after: timedelta) -> int:
    """Applies the records of a run at some time after the start."""
    async with api.database.session_scope() as session:
        return await codecarbon_filing.work_on(session, UUID(run_id), START + after)


async def price_tag(api: Api, run_id: str) -> dict[str, Any]:
    answer = await api.member.get(f"/v1/runs/{run_id}/price-tag")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def energies(tag: Mapping[str, Any]) -> dict[str, float]:
    return {each["id"]: each["it_energy_kwh"]["value"] for each in tag["components"]}


async def test_differences_become_a_run_that_ends_after_a_silence(api: Api) -> None:
    run_id = await begun(api)
    assert await worked(api, run_id, LATER) == 0  # nothing was measured: there is no run
    assert (await api.member.get(f"/v1/runs/{run_id}")).status_code == 404
    for stamp in ("05:08", "05:10", "05:12"):
        delta = DELTA | {"run_id": run_id, "timestamp": stamp, "of_a_later_version": {"x": [1]}}
        await accepted(api.member, "/emissions", delta)
    # 100 s each; the second follows at once, before the third 50 s are in none of them.
    await received(api, run_id, 100, 200, 350)
    assert await worked(api, run_id, timedelta(seconds=360)) == 3
    run = (await api.member.get(f"/v1/runs/{run_id}")).json()
    assert (run["status"], run["origin"]) == ("running", "codecarbon")
    assert (run["project"], run["experiment"]) == ("vision", "baselines")
    assert run["measured_by"] == "codecarbon 3.3.2"
    assert run["started_at"] == "2026-03-04T05:00:00Z"
    assert await worked(api, run_id, timedelta(seconds=949)) == 0
    assert (await api.member.get(f"/v1/runs/{run_id}")).json()["status"] == "running"
    await worked(api, run_id, timedelta(seconds=951))
    run = (await api.member.get(f"/v1/runs/{run_id}")).json()
    assert (run["status"], run["status_reason"]["code"]) == ("succeeded", "codecarbon-silent")
    tag = await price_tag(api, run_id)
    assert energies(tag) == {
        "cpu": pytest.approx(0.003),
        "gpu": pytest.approx(0.015),
        "ram": pytest.approx(0.0015),
    }
    assert tag["it_energy_kwh"]["source"] == "estimated"
    assert tag["duration_s"]["value"] == 350
    assert tag["coverage_ratio"]["value"] == pytest.approx(300 / 350)
    assert (tag["device_count"], tag["components"][1]["name"]) == (2, "2 x NVIDIA A100")
    async with api.database.session_scope() as session:
        metrics = (await session.execute(select(Metric.name, Metric.value))).all()
        lines = (await session.execute(select(LogLine.text).order_by(LogLine.seq))).scalars().all()
    assert {name: value for name, value in metrics} == {
        "codecarbon/energy_consumed": pytest.approx(0.0195),
        "codecarbon/emissions": pytest.approx(0.006),
        "codecarbon/duration": 300,
        "codecarbon/unreported_time": pytest.approx(50),
    }
    assert "its durations add up to 300 s of 350 s" in lines[-1]
    checked = (await api.member.get(f"/v1/runs/{run_id}/price-tag/verification")).json()
    assert checked["outcome"] == "verified", checked


async def test_records_that_come_twice_or_late_are_counted_once(api: Api) -> None:
    run_id = await begun(api)
    assert await begun(api) == run_id  # the answer was lost
    first = DELTA | {"run_id": run_id}
    for _ in range(2):
        await accepted(api.member, "/emissions", first)
    async with api.database.session_scope() as session:
        assert await session.scalar(select(func.count(CodecarbonRecord.id))) == 1
    await received(api, run_id, 100)
    assert await worked(api, run_id, LATER) == 1
    assert energies(await price_tag(api, run_id))["gpu"] == pytest.approx(0.005)
    await accepted(api.member, "/emissions", first)
    await accepted(api.member, "/emissions", first | {"timestamp": "later"})
    late_s = LATER.total_seconds() + 100
    await received(api, run_id, 100, late_s)
    assert await worked(api, run_id, timedelta(seconds=late_s + 5)) == 0  # more may follow
    assert await worked(api, run_id, timedelta(seconds=late_s + 61)) == 1
    tag = await price_tag(api, run_id)
    assert tag["version"] == 2
    assert energies(tag)["gpu"] == pytest.approx(0.010)
    assert tag["duration_s"]["value"] == late_s
    assert tag["coverage_ratio"]["value"] == pytest.approx(200 / late_s)
    run = (await api.member.get(f"/v1/runs/{run_id}")).json()
    assert run["finished_at"] == "2026-03-04T07:01:40Z"


async def test_sums_replace_earlier_ones_and_their_pue_is_divided_out(api: Api) -> None:
    path = f"/records/{key(api.member)}"
    later = TOTAL | {"duration": 200.5, "cpu_energy": 0.0024, "gpu_energy": 0.012}
    later |= {"ram_energy": 0.0012, "energy_consumed": 0.0156, "emissions": 0.008}
    for body in (TOTAL, later, TOTAL, TOTAL | {"user": "late"}):
        answer = await send(api.nobody, path, body, None)
        assert answer.status_code == 201, answer.text
    run_id = TOTAL["run_id"]
    await received(api, run_id, 100.5, 200.5, 201)
    assert await worked(api, run_id, LATER) == 3
    tag = await price_tag(api, run_id)
    assert energies(tag) == {
        "cpu": pytest.approx(0.002),
        "gpu": pytest.approx(0.01),
        "ram": pytest.approx(0.001),
    }
    assert tag["coverage_ratio"]["value"] == 1
    assert (await api.member.get(f"/v1/runs/{run_id}")).json()["project"] == "speech"
    problem(await send(api.member, "/emissions", DELTA | {"run_id": run_id}), 409, CONFLICT)
    wrong = await send(api.nobody, "/records/pt_wrong", TOTAL, None)
    assert "pricetag codecarbon" in problem(wrong, 401, "unauthenticated")["detail"]


CONFLICT = "codecarbon-conflict"


async def test_the_sum_without_an_id_finds_differences_that_were_lost(api: Api) -> None:
    path = f"/records/{key(api.member)}"
    closing = TOTAL | {"run_id": "None", "duration": 30, "experiment_id": RUN["experiment_id"]}
    closing |= {"pue": 1.0}
    alone = problem(await send(api.nobody, path, closing, None), 404, "codecarbon-run-not-found")
    assert "0 of your clients" in alone["detail"]
    run_id = await begun(api)
    delta = DELTA | {"run_id": run_id, "duration": 28}
    await accepted(api.member, "/emissions", delta)
    answer = await send(api.nobody, path, closing, None)
    assert (answer.status_code, answer.json()) == (201, {"run_id": run_id})
    async with api.database.session_scope() as session:
        assert (await session.execute(select(CodecarbonRun.id))).scalars().all() == [UUID(run_id)]
        await codecarbon_filing.work_on(session, UUID(run_id), datetime.now(UTC) + LATER)
    # 6 Wh of the accelerators in place of 5, 1.2 of the processors in place of 1.
    assert energies(await price_tag(api, run_id)) == {
        "cpu": pytest.approx(0.0012),
        "gpu": pytest.approx(0.006),
        "ram": pytest.approx(0.0006),
    }
    await begun(api, timestamp="another")
    other = DELTA | {"run_id": await begun(api, timestamp="another")}
    await accepted(api.member, "/emissions", other)
    both = problem(await send(api.nobody, path, closing, None), 404, "codecarbon-run-not-found")
    assert "2 of your clients" in both["detail"]


@pytest.mark.parametrize(
    ("api_key", "status", "says"),
    [
        (None, 401, "The api_key is missing. Set api_key in .codecarbon.config"),
        ("api_key", 401, "The api_key is the default of CodeCarbon. Set api_key"),
        ("pt_wrong", 401, "The api_key is not valid: This token is unknown"),
        ("viewer", 403, "This needs the role member (to send measurements)"),
    ],
)
async def test_a_wrong_key_is_answered_with_what_to_set(
    api: Api, api_key: str | None, status: int, says: str
) -> None:
    secret = key(api.viewer) if api_key == "viewer" else api_key
    for path in ("/runs", "//runs", "/emissions"):
        answer = await send(api.member, path, RUN, secret)
        assert (answer.status_code, says in answer.text) == (status, True), answer.text


@pytest.mark.parametrize(
    ("experiment_id", "place"),
    [
        ("speech", ("speech", "codecarbon")),
        ("speech/asr", ("speech", "asr")),
        ("lab/vision", ("lab/vision", "codecarbon")),  # a project of this name exists
        ("lab/vision/cnn", ("lab/vision", "cnn")),
        ("{experiment}", ("lab/vision", "known")),
        ("{project}", ("lab/vision", "codecarbon")),
    ],
)
async def test_the_experiment_names_a_project_here(
    api: Api, experiment_id: str, place: tuple[str, str]
) -> None:
    async with api.database.session_scope() as session:
        project = Project(name="lab/vision")
        session.add(project)
        await session.flush()
        experiment = Experiment(project_id=project.id, name="known")
        session.add(experiment)
        await session.flush()
        named = experiment_id.format(experiment=experiment.id, project=project.id)
    run_id = await begun(api, experiment_id=named)
    async with api.database.session_scope() as session:
        client = await session.get_one(CodecarbonRun, UUID(run_id))
        assert (client.project, client.experiment) == place


@pytest.mark.parametrize(
    "experiment_id", [DEFAULT_EXPERIMENT, None, "5f0c0d0e-0000-4000-8000-000000000009"]
)
async def test_an_unknown_experiment_is_answered_with_what_to_set(
    api: Api, experiment_id: str | None
) -> None:
    answer = await send(api.member, "/runs", RUN | {"experiment_id": experiment_id})
    detail = problem(answer, 404, "codecarbon-experiment")["detail"]
    assert "Set experiment_id in .codecarbon.config" in detail


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"energy_consumed": None}, 422, "energy_consumed: must be a number"),
        ({"energy_consumed": "0.1"}, 422, "energy_consumed: must be a number"),
        ({"cpu_energy": -1}, 422, "cpu_energy: must not be negative"),
        ({"gpu_energy": 1e9}, 422, "gpu_energy: is more than 100 kW"),
        ({"duration": 1e300}, 422, "duration: is 1e+300 s"),
        ({"duration": True}, 422, "duration: must be a number"),
        ({"run_id": "None"}, 422, "run_id: must be a UUID"),
        ({"run_id": "5f0c0d0e-0000-4000-8000-000000000009"}, 404, "You have no CodeCarbon run"),
        (b'{"duration": NaN}', 422, "is not JSON"),
        (b'{"duration": 1e999}', 422, "is not a finite number"),
        (b"[]", 422, "is not a JSON object"),
        (b"\xff", 422, "is not UTF-8"),
        (b'{"run_id": "\\u0000"}', 422, "NUL byte"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", 422, "nested deeper"),
        (b" " * 70_000, 413, "larger than the 65536 bytes"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_an_impossible_record_is_answered_with_the_field(
    api: Api, change: dict[str, Any] | bytes, status: int, says: str
) -> None:
    run_id = await begun(api)
    body = change if isinstance(change, bytes) else DELTA | {"run_id": run_id} | change
    answer = await send(api.member, "/emissions", body)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text
    async with api.database.session_scope() as session:
        assert await session.scalar(select(func.count(CodecarbonRecord.id))) == 0


async def test_others_cannot_add_to_a_run(api: Api) -> None:
    run_id = await begun(api)
    async with api.database.session_scope() as session:
        other = await make_token(session, "ingest")
    answer = await send(api.member, "/emissions", DELTA | {"run_id": run_id}, other)
    problem(answer, 404, "codecarbon-run-not-found")


async def test_a_client_whose_records_make_no_run_does_not_hold_up_others(api: Api) -> None:
    bad, good = await begun(api, timestamp="bad"), await begun(api, timestamp="good")
    for run_id in (bad, good):
        await accepted(api.member, "/emissions", DELTA | {"run_id": run_id})
    async with api.database.session_scope() as session:
        client = await session.get_one(CodecarbonRun, UUID(bad))
        client.project = ""
    (text,) = await codecarbon_filing.one_round(api.database)
    assert bad in text
    assert "must not be empty" in text
    assert (await api.member.get(f"/v1/runs/{good}")).json()["status"] == "running"
    assert await codecarbon_filing.one_round(api.database) == []
    async with api.database.session_scope() as session:
        assert await session.scalar(select(func.count(CodecarbonRecord.id))) == 2  # kept
    checks = (await api.admin.get("/v1/health")).json()["checks"]
    (check,) = [each for each in checks if each["name"] == "codecarbon"]
    assert check["state"] == "warning"
    assert "records of 1 client cannot be applied" in check["message"]
    assert "must not be empty" in check["message"]
    async with api.database.session_scope() as session:
        assert await codecarbon_filing.forget_without_run(session) == 0  # too early
        await session.execute(update(CodecarbonRun).values(created_at=LONG_AGO))
        assert await codecarbon_filing.forget_without_run(session) == 0  # its record is new
        await session.execute(update(CodecarbonRecord).values(received_at=LONG_AGO))
        assert await codecarbon_filing.forget_without_run(session) == 1
        (left,) = (await session.execute(select(CodecarbonRecord.run_id))).scalars()
    assert str(left) == good


async def test_more_records_than_one_transaction_takes_are_applied_in_one_round(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codecarbon_filing, "AT_ONCE", 2)
    run_id = await begun(api)
    for stamp in range(5):
        await accepted(api.member, "/emissions", DELTA | {"run_id": run_id, "timestamp": stamp})
    assert await codecarbon_filing.one_round(api.database) == []
    async with api.database.session_scope() as session:
        waiting = select(func.count()).where(CodecarbonRecord.applied_at.is_(None))
        assert await session.scalar(waiting) == 0
        client = await session.get_one(CodecarbonRun, UUID(run_id))
        assert (client.tally or {})["records"] == 5


PROGRAM = """
import os, time
from codecarbon import OfflineEmissionsTracker

tracker = OfflineEmissionsTracker()
tracker.start()
while not os.path.exists("stop"):
    time.sleep(0.1)
tracker.stop()
"""
UNTIL_STOP = "while [ ! -e stop ]; do sleep 0.1; done"
CONFIG = """[codecarbon]
output_methods = api
api_endpoint = {url}/codecarbon/
api_key = {token}
experiment_id = real/client
api_call_interval = 1
measure_power_secs = 1
tracking_mode = process
country_iso_code = DEU
"""


def logs_of(home: Path, url: str, *commands: Sequence[str]) -> list[str]:
    """Runs programs side by side until each has sent a record; what they have logged."""
    environment = {**os.environ, "HOME": str(home), "CUDA_VISIBLE_DEVICES": ""}
    programs = [
        subprocess.Popen(
            command,
            cwd=home,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    query = "SELECT count(DISTINCT run_id) FROM codecarbon_records"
    try:
        with psycopg.connect(libpq_url(url), autocommit=True) as connection:
            wait_until(
                lambda: connection.execute(query).fetchone() == (len(commands),),
                "a record of each program",
                every_s=0.3,
            )
    finally:
        (home / "stop").touch()
        logs = [program.communicate()[0] for program in programs]
    return logs


async def _token(url: str) -> str:
    database = Database(url)
    try:
        async with database.session_scope() as session:
            return await make_token(session, "ingest")
    finally:
        await database.dispose()


async def _measured(url: str) -> list[tuple[str, str, float]]:
    """Status, origin and reported energy of the runs, after a silence."""
    database = Database(url)
    try:
        async with database.session_scope() as session:
            energy = func.sum(CodecarbonRecord.body["energy_consumed"].as_float())
            query = select(CodecarbonRecord.run_id, energy).group_by(CodecarbonRecord.run_id)
            reported = (await session.execute(query)).all()
            for run_id, _ in reported:
                await codecarbon_filing.work_on(session, run_id, datetime.now(UTC) + LATER)
            runs = [(await session.get_one(Run, run_id), kwh) for run_id, kwh in reported]
            return [(run.status, run.origin, kwh) for run, kwh in runs]
    finally:
        await database.dispose()


def test_the_real_client_and_its_monitor_send_their_runs_to_a_real_server(
    migrated_database_url: str, tmp_path: Path
) -> None:
    """Its configuration file ends the address with a slash, so that it asks for ``//runs``."""
    token = asyncio.run(_token(migrated_database_url))
    home = tmp_path / "home"
    home.mkdir()
    with opened(migrated_database_url, tmp_path, token, part_bytes=1000) as (_, url):
        (home / ".codecarbon.config").write_text(CONFIG.format(url=url, token=token))
        wait_until(lambda: _answers(url), "the server")
        logs = logs_of(
            home,
            migrated_database_url,
            [sys.executable, "-c", PROGRAM],
            [
                *(str(Path(sys.executable).with_name("codecarbon")), "monitor", "--offline"),
                *("--country-iso-code", "DEU", "--", "sh", "-c", UNTIL_STOP),
            ],
        )
    runs = asyncio.run(_measured(migrated_database_url))
    assert [run[:2] for run in runs] == [("succeeded", "codecarbon")] * 2, logs
    assert all(kwh > 0 for _, _, kwh in runs)
    assert not any("ApiClient Error" in log for log in logs), logs


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False
