"""`pricetag queue`: what waits, why, and until when."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from pricetag.cli.app import run as pricetag
from tests.support.fake_api import Answer, FakeApi

Captured = pytest.CaptureFixture[str]
START = {
    "at": "2026-03-01T12:30:10Z",
    "low": "2026-03-01T12:20:10Z",
    "high": "2026-03-01T13:10:10Z",
    "reason": None,
}
UNKNOWN = {"at": None, "low": None, "high": None, "reason": "no live worker can take the run"}


def waiting(position: int, **more: Any) -> dict[str, Any]:
    return {
        "position": position,
        "run_id": f"6f0c0d0e-0000-4000-8000-00000000000{position}",
        "name": f"run {position}",
        "project": "text",
        "experiment": "sst2",
        "user": "ada",
        "gpus": 1,
        "priority": 0,
        "created_at": "2026-03-01T12:00:00Z",
        "not_before": None,
        "reason": {"code": "places-taken", "message": "2 of 2 accelerators in use", "hint": None},
        "expected_start": START,
        "quote": None,
        "blocked_by": [],
    } | more


def pool(*runs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "pool": "default",
        "workers": 1,
        "gpus": 2,
        "gpus_busy": 2,
        "cpu_slots": 0,
        "cpu_slots_busy": 0,
        "busy_ratio": 1.0,
        "running_count": 2,
        "waiting_count": len(runs),
        "waiting_hidden": 0,
        "blocked_count": 0,
        "finished_last_hour": 3,
        "waiting": list(runs),
    } | more


def shown(api: FakeApi, capsys: Captured, *pools: dict[str, Any]) -> str:
    body = {"at": "2026-03-01T12:00:00Z", "rule": "By priority.", "pools": list(pools)}
    api.answers["GET /v1/queue"] = Answer(body)
    assert pricetag(["queue"]) == 0
    return capsys.readouterr().out


def test_each_pool_shows_use_reasons_and_expected_starts(api: FakeApi, capsys: Captured) -> None:
    hint = "pools with a live worker: default"
    reason = {"code": "no-worker-in-pool", "message": "no worker serves pool lab", "hint": hint}
    lab = pool(waiting(2, reason=reason, expected_start=UNKNOWN), pool="lab", workers=0, gpus=0)
    output = " ".join(shown(api, capsys, pool(waiting(1)), lab).split())
    assert "Pool default 1 worker, 2 of 2 accelerators in use, 2 running, 1 waiting" in output
    assert "2026-03-01 12:30 (12:20 to 13:10)" in output
    assert "1 n/a a worker" in output
    assert "2: no worker serves pool lab (pools with a live worker: default)" in output


def test_hidden_and_further_runs_are_counted(api: FakeApi, capsys: Captured) -> None:
    output = shown(api, capsys, pool(waiting(2), waiting_count=9, waiting_hidden=1))
    assert "1 run hidden from you" in output
    assert "7 more: --limit shows up to 200 of a pool" in output


def test_an_empty_queue_says_how_to_start_a_worker(api: FakeApi, capsys: Captured) -> None:
    assert "pricetag worker" in shown(api, capsys)


def test_options_become_parameters_and_json_is_unchanged(api: FakeApi, capsys: Captured) -> None:
    body = {"at": "2026-03-01T12:00:00Z", "rule": "By priority.", "pools": [pool(waiting(1))]}
    api.answers["GET /v1/queue"] = Answer(body)
    assert pricetag(["queue", "--pool", "lab", "--limit", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == body
    assert parse_qs(api.asked[-1].query) == {"pool": ["lab"], "limit": ["3"]}
