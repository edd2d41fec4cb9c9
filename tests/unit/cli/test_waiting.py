"""A run that no live worker can take states this wherever it is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pricetag.cli.app import run as pricetag
from pricetag.cli.follow import PlainLines
from pricetag.cli.views import RunProgress
from tests.support.fake_api import RUN_ID, Answer, FakeApi, events, problem, run

Captured = pytest.CaptureFixture[str]
REASON: dict[str, Any] = {
    "code": "no-worker-in-pool",
    "message": "no worker serves pool lab",
    "hint": "pools with a live worker: default",
    "pools_served": ["default"],
}
SENTENCE = "waiting: no worker serves pool lab (pools with a live worker: default)"
WARNING = "the run waits: no worker serves pool lab (pools with a live worker: default)"


@pytest.fixture
def queued(api: FakeApi, tmp_path: Path) -> Path:
    (tmp_path / "job.yaml").write_text("project: text\n")
    api.answers |= {
        "POST /v1/runs": Answer(run("queued", waiting=REASON, warnings=[WARNING]), 202),
        f"GET /v1/runs/{RUN_ID}": Answer(run("queued", waiting=REASON)),
        f"GET /v1/runs/{RUN_ID}/price-tag": problem(404, "price-tag-not-found", "None yet."),
    }
    return tmp_path / "job.yaml"


def test_submit_warns_and_accepts(queued: Path, capsys: Captured) -> None:
    assert pricetag(["submit", str(queued)]) == 0
    out, err = capsys.readouterr()
    assert err == f"pricetag: warning: {WARNING}\n"
    assert out.startswith(f"{RUN_ID} queued\n")
    assert pricetag(["submit", str(queued), "--json"]) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out)["waiting"], err) == (REASON, "")


def test_show_prints_why_a_run_waits(queued: Path, capsys: Captured) -> None:
    assert pricetag(["show", RUN_ID]) == 0
    assert SENTENCE in capsys.readouterr().out.splitlines()
    assert pricetag(["show", RUN_ID, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"]["waiting"] == REASON


def test_waiting_shows_the_reason_until_it_is_gone(
    queued: Path, api: FakeApi, capsys: Captured
) -> None:
    calls = iter([run("queued", waiting=REASON)])
    api.answers[f"GET /v1/runs/{RUN_ID}"] = lambda _: Answer(next(calls, run("cancelled")))
    api.answers[f"GET /v1/runs/{RUN_ID}/events"] = events(
        ("status", {"status": "queued"}),
        ("waiting", {"waiting": None}),
        ("status", {"status": "cancelled"}),
    )
    assert pricetag(["show", RUN_ID, "--wait"]) == 4
    lines = [line for line in capsys.readouterr().out.splitlines() if " | " in line]
    assert lines == [
        f"MiniLM [int8] | queued | {SENTENCE}",
        "MiniLM [int8] | queued",
        "MiniLM [int8] | canceled",
    ]


def test_the_reason_ends_when_the_run_starts() -> None:
    written: list[str] = []
    progress = RunProgress("a run")
    show = PlainLines(progress, written.append, clock=lambda: 0.0)
    for kind, payload in (
        ("status", {"status": "queued"}),
        ("waiting", {"waiting": REASON}),
        ("waiting", {"waiting": REASON | {"message": "another reason"}}),
        ("status", {"status": "running"}),
    ):
        progress.update(kind, payload)
        show()
    assert written == [
        "a run | queued",
        f"a run | queued | {SENTENCE}",
        "a run | queued | waiting: another reason (pools with a live worker: default)",
        "a run | running",
    ]
