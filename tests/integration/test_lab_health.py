"""The state of the service, and metrics for Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select, text, update

from app.db import Session
from app.schemas.lab_health import MeterHealth
from app.schemas.stream import DeviceState, PowerFrame
from app.services.health import lab_health, prometheus
from app.services.queueing import waiting
from app.services.queueing.waiting import Offer
from app.settings import Settings
from models import Artifact
from tests.support.api import Api, a_principal, finished_run, problem, running_run


async def health(api: Api) -> dict[str, Any]:
    response = await api.admin.get("/v1/health")
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def check(document: dict[str, Any], name: str) -> dict[str, Any]:
    (named,) = [one for one in document["checks"] if one["name"] == name]
    return dict(named)


async def with_worker(api: Api, pool: str) -> None:
    async with api.database.session_scope() as session:
        await waiting.announce(session, f"w {pool}", "node", Offer(pool, 1, 1, True))


async def test_waiting_runs_without_a_worker_are_a_warning_that_says_what_to_do(api: Api) -> None:
    await api.post_run(resources={"gpus": 0, "pool": "far"})
    document = await health(api)
    assert document["state"] == "warning"
    assert check(document, "workers")["message"].endswith("start one there")
    await with_worker(api, "near")
    assert "runs wait in far" in check(await health(api), "workers")["message"]
    await with_worker(api, "far")
    document = await health(api)
    assert check(document, "workers") == {
        "name": "workers",
        "state": "ok",
        "message": "2 live workers on 1 node",
    }
    assert document["queue"] == [{"pool": "far", "queued": 1, "running": 0}]


async def test_database_migration_and_versions_are_stated(api: Api) -> None:
    document = await health(api)
    database = document["database"]
    assert database["revision"] == database["head"]
    assert database["size_bytes"] > 1_000_000
    assert 0 < database["connections"] <= database["max_connections"]
    assert check(document, "migration")["state"] == "ok"
    assert document["versions"]["pricetag"]
    problem(await api.member.get("/v1/health"), 403, "role-required")


async def test_alarms_are_failures_and_notices_warnings(api: Api) -> None:
    resources = api.app.state.resources
    resources.notices.put("fold", "hours wait to be added up")
    assert (await health(api))["state"] == "warning"
    resources.alarms.put("balances", "balances differ from their rows")
    document = await health(api)
    assert document["state"] == "failed"
    assert check(document, "figures")["message"] == "balances differ from their rows"


@pytest.mark.parametrize(
    ("meters", "nodes", "state", "part"),
    [
        ([("a", True)], {"a"}, "ok", "1 device reporting"),
        ([("a", True), ("a", False)], {"a"}, "warning", "stopped within the last hour: H200 of a"),
        ([], {"b"}, "warning", "no report from b: run 'pricetag doctor' there"),
        ([], set(), "ok", "0 devices reporting"),
    ],
)
def test_meters_that_are_silent_are_named(
    meters: Sequence[tuple[str, bool]], nodes: set[str], state: str, part: str
) -> None:
    devices = [
        MeterHealth(node=node, component="gpu:1", name="H200", reporting=reporting)
        for node, reporting in meters
    ]
    meter_check = lab_health._of_meters(devices, nodes)
    assert meter_check.state == state
    assert part in meter_check.message


def test_disks_are_listed_once_and_a_missing_folder_by_its_parent(tmp_path: Path) -> None:
    (disk,) = lab_health._disks([tmp_path, tmp_path / "missing/artifacts"])
    assert disk.folder == str(tmp_path)
    full = disk.model_copy(update={"free_bytes": 1})
    assert lab_health._of_disk(full).state == "warning"
    assert "free space" in lab_health._of_disk(full).message


async def test_artifacts_that_do_not_reach_the_store_are_counted(
    session: Session, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, artifacts_url=f"file://{tmp_path}/store")
    assert await lab_health._of_store(session, Settings(data_dir=tmp_path)) == ()
    await finished_run(session)
    await finished_run(session)
    (store,) = await lab_health._of_store(session, settings)
    assert (store.state, store.message.partition(" of ")[0]) == ("ok", "2 artifacts")
    first = select(Artifact.id).limit(1).scalar_subquery()
    gone = update(Artifact).where(Artifact.id == first).values(not_stored="the file is missing")
    await session.execute(gone)
    (store,) = await lab_health._of_store(session, settings)
    assert store.state == "warning"
    assert "1 artifact cannot be moved (one of them: the file is missing)" in store.message


def families(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by metric and labels."""
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


async def test_metrics_are_of_the_lab_without_names(api: Api) -> None:
    await api.post_run(project="secret project", resources={"gpus": 0, "pool": "far"})
    await with_worker(api, "near")
    async with api.database.session_scope() as session:
        await running_run(session, 2)
    response = await api.viewer.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert "secret project" not in response.text
    metrics = families(response.text)
    assert metrics["pricetag_open_runs"]["far", "queued"] == 1
    assert metrics["pricetag_open_runs"]["default", "running"] == 1
    assert metrics["pricetag_live_workers"]["near",] == 1
    assert metrics["pricetag_alarms"][()] == 0
    assert "pricetag_power_watts" not in metrics  # nothing reports, which is not 0 W
    problem(await api.nobody.get("/metrics"), 401, "unauthenticated")


BOARD = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "pricetag.json"
METRIC = re.compile(r"\b((?:pricetag|process)_\w+)(?:\{([^}]*)\})?")
METERED_HOUR = """
INSERT INTO energy_hours (id, node_name, component, name, kind, method, gain_std_ratio, hour,
    energy_j, covered_s, flags)
VALUES (gen_random_uuid(), 'node', 'cpu', 'EPYC', 'cpu', 'counter', 0.05, :hour, 3.6e6, 3600, '[]')
"""
GROUPED = re.compile(r"\bby \(([^)]*)\)")


def this_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


async def test_the_board_of_grafana_uses_metrics_and_labels_that_exist(api: Api) -> None:
    await api.post_run()
    await with_worker(api, "default")
    power = prometheus.DevicePower("node", "gpu:1", "H200", 300)
    async with api.database.session_scope() as session:
        await session.execute(text(METERED_HOUR), {"hour": this_hour()})
        caller = await a_principal(session)
        exposed = await prometheus.metrics(session, caller, powers=[power], alarms=0)
    labels = {
        sample.name: {"job", "instance", *sample.labels}
        for family in text_string_to_metric_families(exposed.decode())
        for sample in family.samples
    }
    board = json.loads(BOARD.read_text())
    queries = [variable["query"] for variable in board["templating"]["list"]]
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    used = set()
    for expression in (*expressions, *queries):
        names = METRIC.findall(expression)
        assert names or expression == "prometheus"
        for name, matchers in names:
            used.add(name)
            assert name in labels, expression
            selected = set(re.findall(r"(\w+)=", matchers))
            grouped = {each.strip() for by in GROUPED.findall(expression) for each in by.split(",")}
            assert selected | grouped <= labels[name], expression
    legends = [target["legendFormat"] for panel in board["panels"] for target in panel["targets"]]
    for expression, legend in zip(expressions, legends, strict=True):
        (name, _), *_ = METRIC.findall(expression)
        assert set(re.findall(r"{{(\w+)}}", legend)) <= labels[name]
    assert {name for name in labels if name.startswith("pricetag_")} <= used


def test_power_is_the_latest_sample_of_devices_that_report() -> None:
    def device(number: int, *, reporting: bool = True) -> DeviceState:
        return DeviceState(
            id=number, node="n", component=f"gpu:{number}", kind="gpu", name="H200", limit_w=None,
            reporting=reporting,
        )  # fmt: skip

    frames = [
        PowerFrame(t0=0, dt_ms=100, ids=[1, 2, 3], w=[[100, 110], [50, None], [7, 8]]),
        PowerFrame(t0=200, dt_ms=100, ids=[1], w=[[120, None]]),
    ]
    devices = [device(1), device(2), device(3, reporting=False), device(4)]
    assert [(one.component, one.power_w) for one in prometheus.powers(devices, frames)] == [
        ("gpu:1", 120),
        ("gpu:2", 50),
    ]
