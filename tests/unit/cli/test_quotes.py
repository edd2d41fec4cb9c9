"""`pricetag quote`, `submit --dry-run`, and the projection of a followed run."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pricetag.cli.app import run as pricetag
from pricetag.cli.views.progress import RunProgress
from pricetag.cli.views.quote import quote_view
from tests.support.fake_api import RUN_ID, Answer, FakeApi, run

Captured = pytest.CaptureFixture[str]

JOB = """\
project: text
experiment: sst2
name: a script
recipe:
  stages:
    - kind: command
      code: mine
      argv: [python, train.py]
"""


def quantity(value: float | None, unit: str, reason: str | None = None) -> dict[str, Any]:
    spread: dict[str, Any] = {"low": None, "high": None, "source": None}
    if value is not None:
        spread = {"low": value / 2, "high": value * 2, "source": "estimated"}
    return {"value": value, **spread, "unit": unit, "reason": reason}


QUANTITIES = {
    "duration_s": quantity(120.0, "s"),
    "it_energy_kwh": quantity(0.012, "kWh"),
    "facility_energy_kwh": quantity(0.0185, "kWh"),
    "co2e_kg": quantity(0.009, "kg"),
    "cost": quantity(None, "money", "no tariff is known, and no price of these devices"),
}
QUOTE: dict[str, Any] = {
    "method": "history",
    "text": "12 runs of the same script, other arguments in pool 'default'",
    "quantities": QUANTITIES,
    "pool": "default",
    "gpus": 0,
    "level": "same-script",
    "runs": [f"{number:08}-0000-4000-8000-000000000000" for number in range(12)],
    "run_count": 12,
    "work_ratio": 3.0,
    "steps": [],
    "factors": [],
    "notes": ["a note"],
}
HIT = {"quoted": 120.0, "actual": 150.0, "factor": 1.25, "log_error": 0.223, "inside": True}
SCORE: dict[str, Any] = {
    "runs": 9,
    "unquoted": 2,
    "groups": [
        {
            **{"method": "history", "level": "same-recipe", "pool": "default"},
            **{"quantity": "it_energy_kwh", "count": 7, "median_factor": 1.08},
            **{"bias_factor": 0.97, "inside_ratio": 6 / 7},
        }
    ],
}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    file = tmp_path / "job.yaml"
    file.write_text(JOB)
    return file


@pytest.mark.parametrize("command", [["quote"], ["submit", "--dry-run"]])
def test_a_quote_of_a_file_books_nothing(
    command: list[str], job: Path, api: FakeApi, capsys: Captured
) -> None:
    api.answers["POST /v1/quotes"] = Answer(QUOTE)
    assert pricetag([*command, str(job)]) == 0
    out = capsys.readouterr().out
    assert "12.0 Wh (6.00 to 24.0 Wh)" in out
    assert "n/a (no tariff is known" in out
    assert "Based on 12 runs of the same script" in out
    assert "scaled by 3.00" in out
    assert "00000000, 00000001, 00000002, 00000003, 00000004 and 7 more" in out
    assert "a note" in out
    assert [(asked.method, asked.path) for asked in api.asked] == [("POST", "/v1/quotes")]
    sent = json.loads(api.asked[0].body)["run"]
    assert sent["recipe"]["stages"][0]["argv"] == ["python", "train.py"]


def test_the_reason_of_an_unknown_quote_is_shown_once(
    job: Path, api: FakeApi, capsys: Captured
) -> None:
    reason = "no similar run has succeeded in pool 'a' yet"
    unknown = {name: quantity(None, figure["unit"], reason) for name, figure in QUANTITIES.items()}
    quote = {**QUOTE, "method": "unknown", "text": reason, "quantities": unknown}
    quote |= {"runs": [], "run_count": 0, "work_ratio": None, "notes": [reason]}
    api.answers["POST /v1/quotes"] = Answer(quote)
    assert pricetag(["quote", str(job)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.count(reason) == 1
    quote["quantities"] = {**unknown, "cost": quantity(None, "money", "no tariff is known")}
    assert pricetag(["quote", str(job)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert (out.count(reason), out.count("no tariff is known")) == (1, 1)


def test_a_quote_as_json_is_the_server_s_own(job: Path, api: FakeApi, capsys: Captured) -> None:
    api.answers["POST /v1/quotes"] = Answer(QUOTE)
    assert pricetag(["quote", str(job), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == QUOTE


def test_the_quote_of_a_run_shows_how_close_it_was(api: FakeApi, capsys: Captured) -> None:
    stored = {
        **QUOTE,
        "run_id": RUN_ID,
        "created_at": "2026-03-01T12:00:00Z",
        "projection": {"at": None, "progress_ratio": 0.25, "quantities": QUANTITIES},
        "score": {"status": "failed", "price_tag_version": 1, "quantities": {"duration_s": HIT}},
    }
    api.answers[f"GET /v1/runs/{RUN_ID}"] = Answer(run())
    api.answers[f"GET /v1/runs/{RUN_ID}/quote"] = Answer(stored)
    assert pricetag(["quote", "--run", RUN_ID]) == 0
    out = capsys.readouterr().out
    assert "Current projection (25.0% done)" in out
    assert "The run failed before it completed all of the quoted work." in out
    row = next(line for line in out.splitlines() if "1.25" in line)
    assert row.split() == ["Time", "2.00", "min", "2.50", "min", "1.25", "yes"]


def test_the_score_shows_the_error_of_quotes(api: FakeApi, capsys: Captured) -> None:
    api.answers["GET /v1/quotes/score"] = Answer(SCORE)
    assert pricetag(["quote", "--score"]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if "same-recipe" in line)
    assert row.split() == [
        *("same-recipe", "default", "IT", "energy", "7", "x", "1.08", "x", "0.970", "85.7%"),
    ]
    assert "9 runs scored, 2 of them without a figure" in out
    api.answers["GET /v1/quotes/score"] = Answer({"runs": 0, "unquoted": 0, "groups": []})
    assert pricetag(["quote", "--score"]) == 0
    assert capsys.readouterr().out.strip() == "0 runs scored, 0 of them without a figure"


@pytest.mark.parametrize("arguments", [[], ["--score", "--run", "last"], ["x.yaml", "--score"]])
def test_a_quote_takes_exactly_one_of_file_run_and_score(
    arguments: list[str], capsys: Captured
) -> None:
    assert pricetag(["quote", *arguments]) == 2
    assert capsys.readouterr().err == "pricetag: use one of FILE, --run RUN and --score\n"


def test_an_invalid_file_is_rejected_by_the_client(tmp_path: Path, capsys: Captured) -> None:
    wrong = tmp_path / "job.yaml"
    wrong.write_text(JOB.replace("command", "comand"))
    assert pricetag(["quote", str(wrong)]) == 2
    assert "recipe.stages.0.kind" in capsys.readouterr().err


def test_a_followed_run_shows_its_projection() -> None:
    progress = RunProgress("a run", clock=lambda: 0.0)
    progress.update("status", {"status": "running"})
    payload = {"key": "0", "done": 1, "total": 4, "t_s": 1.0, "power_w": 100.0}
    progress.update("progress", payload)
    assert "in the end" not in progress.line()
    progress.update("progress", {**payload, "projection": {"quantities": QUANTITIES}})
    assert "12.0 Wh at the end (6.00 to 24.0 Wh) | 2:00 in total" in progress.line()
    unknown = {**QUANTITIES, "it_energy_kwh": quantity(None, "kWh", "too early")}
    progress.update("progress", {**payload, "projection": {"quantities": unknown}})
    assert "in the end" not in progress.line()
    progress.update("status", {"status": "succeeded"})
    progress.projection = {"quantities": QUANTITIES}
    assert "in the end" not in progress.line()


def test_a_reason_is_printed_once() -> None:
    reason = "no run has reported the number of examples in this data yet"
    unknown = {name: quantity(None, "kWh", "no estimate") for name in QUANTITIES}
    for notes in ([reason], [reason, reason, "a note", "a note"]):
        quote = QUOTE | {"method": "unknown", "text": reason, "runs": [], "run_count": 0}
        text = drawn_quote(quote | {"quantities": unknown, "notes": notes, "work_ratio": None})
        assert text.count(reason) == 1
        assert text.count("a note") <= 1


def drawn_quote(quote: dict[str, Any]) -> str:
    out = io.StringIO()
    Console(file=out, width=120, color_system=None).print(quote_view(quote))
    return out.getvalue()
