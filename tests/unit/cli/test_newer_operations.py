"""Commands about outlook, what-if, priority, views, previews, sessions and health.

Each response is of the schema of the API, so that a command that reads another field fails here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import BaseModel

from app.schemas.burn_down import BudgetOutlook, WhatIfRead
from app.schemas.factor_preview import FactorPreview
from app.schemas.lab_health import LabHealth
from app.schemas.sessions import SessionPage
from app.schemas.views import ViewList
from pricetag.cli.app import run as pricetag
from tests.support.fake_api import RUN_ID, Answer, FakeApi, run

Captured = pytest.CaptureFixture[str]
ID, OTHER = (f"6f0c0d0e-0000-4000-8000-00000000000{letter}" for letter in "bc")
NOW = "2026-03-01T12:00:00Z"
QUOTE: dict[str, Any] = {
    "method": "unknown",
    "text": "no similar run has succeeded",
    "quantities": {
        name: {
            **{"value": None, "low": None, "high": None, "unit": unit},
            **{"source": None, "reason": "no similar run has succeeded"},
        }
        for name, unit in (
            *(("duration_s", "s"), ("it_energy_kwh", "kWh"), ("facility_energy_kwh", "kWh")),
            *(("co2e_kg", "kg"), ("cost", "EUR")),
        )
    },
    **{"pool": "default", "gpus": 0, "level": None, "runs": [], "run_count": 0},
    **{"work_ratio": None, "steps": [], "factors": [], "notes": []},
}
EXPECTED = {"value": 9.0, "low": 7.0, "high": 12.0, "open_runs": 2, "unknown_runs": 0}
NEVER = {"at": None, "low": None, "high": None, "reason": "the open runs need less"}
SOON = {"at": "2026-03-02T00:00:00Z", "low": NOW, "high": "2026-03-03T00:00:00Z", "reason": None}


def of(schema: type[BaseModel], body: Any) -> Answer:
    """A response that the API could send."""
    return Answer(schema.model_validate(body).model_dump(mode="json"))


def budget(**changes: Any) -> dict[str, Any]:
    return {
        **{"id": ID, "name": "lab", "scope": "lab", "project": None, "experiment": None},
        **{"user": None, "metric": "facility_energy_kwh", "currency": None, "unit": "kWh"},
        **{"period": "month", "time_zone": "UTC", "period_start": NOW, "period_end": NOW},
        **{"thresholds": [0.8], "refuses": True, "stops": False, "limit": 10.0, "spent": 4.0},
        **{"running": 1.0, "reserved": 2.0, "left": 3.0, "used_ratio": 0.5, "by_source": {}},
        **{
            "unknown_runs": 0,
            "running_attempts": 1,
            "alerts": [],
            "user_id": None,
            "created_at": NOW,
            "closed_at": None,
        },
    } | changes


def printed(capsys: Captured) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_the_outlook_lists_budgets_as_the_server_orders_them(
    api: FakeApi, capsys: Captured
) -> None:
    items = [
        {"budget": budget(name="gone", spent=11.0), "expected": EXPECTED, "crossing": SOON},
        {"budget": budget(name="soon"), "expected": EXPECTED, "crossing": SOON},
        {
            **{"budget": budget(name="safe"), "crossing": NEVER},
            "expected": EXPECTED | {"unknown_runs": 1},
        },
    ]
    api.answers["GET /v1/budget-outlook"] = of(BudgetOutlook, {"at": NOW, "items": items})
    assert pricetag(["budget", "outlook"]) == 0
    output = printed(capsys)
    assert output.index("gone") < output.index("soon") < output.index("safe")
    assert "used up" in output
    assert "limit reached about 2026-03-02 00:00 UTC" in output
    assert "at least 9.00 kWh" in output
    assert "limit not reached: the open runs need less" in output
    assert pricetag(["budget", "outlook", "--json"]) == 0
    assert [item["budget"]["name"] for item in json.loads(capsys.readouterr().out)] == [
        "gone",
        "soon",
        "safe",
    ]


def burn_down() -> dict[str, Any]:
    return {
        **{"budget_id": ID, "name": "lab", "unit": "kWh", "at": NOW},
        **{"period_start": NOW, "period_end": NOW, "limit": 10.0, "spent": 4.0, "running": 1.0},
        **{"reserved": 2.0, "left": 3.0, "points": [], "projection": [], "crossing": NEVER},
        **{"expected": EXPECTED | {"value": 6.0, "open_runs": 1}, "open_runs": []},
        **{"hidden_runs": 0, "by": "user", "parts": [], "by_source": {}, "unknown_runs": 0},
    }


def test_a_what_if_sends_runs_to_skip_and_compares_before_and_after(
    api: FakeApi, capsys: Captured
) -> None:
    change = {
        **{"burn_down": burn_down(), "before": EXPECTED, "before_crossing": SOON},
        **{"quote": None, "is_charged": None, "admission": None},
    }
    api.answers[f"POST /v1/budgets/{ID}/what-if"] = of(WhatIfRead, change)
    assert pricetag(["budget", "what-if", ID, "--without", RUN_ID]) == 0
    assert json.loads(api.asked[-1].body) == {"without": [RUN_ID], "run": None}
    output = printed(capsys)
    assert (
        "without this change: 9.00 kWh (7.00 kWh to 12.0 kWh) expected after 2 open runs" in output
    )
    assert "with this change: 6.00 kWh" in output
    assert "limit not reached" in output


def test_a_what_if_without_any_open_run_is_a_warning(api: FakeApi, capsys: Captured) -> None:
    change = {
        **{"burn_down": burn_down() | {"expected": EXPECTED}, "before": EXPECTED},
        **{"before_crossing": SOON, "quote": None, "is_charged": None, "admission": None},
    }
    api.answers[f"POST /v1/budgets/{ID}/what-if"] = of(WhatIfRead, change)
    assert pricetag(["budget", "what-if", ID, "--without", RUN_ID]) == 0
    assert capsys.readouterr().err == (
        "pricetag: warning: no run of --without is open under this budget\n"
    )


def test_a_what_if_of_a_job_says_whether_it_would_be_admitted(
    api: FakeApi, capsys: Captured, tmp_path: Path
) -> None:
    change = {
        **{"burn_down": burn_down(), "before": EXPECTED, "before_crossing": SOON},
        **{"quote": QUOTE, "is_charged": True, "admission": "too-much"},
    }
    api.answers[f"POST /v1/budgets/{ID}/what-if"] = of(WhatIfRead, change)
    job = tmp_path / "job.yaml"
    job.write_text(
        "project: text\nexperiment: e\nname: n\n"
        "recipe: {stages: [{kind: command, argv: [echo, hi]}]}\n",
        encoding="utf-8",
    )
    assert pricetag(["budget", "what-if", ID, "--job", str(job)]) == 0
    assert "The run is expected to need more than is left." in printed(capsys)
    assert json.loads(api.asked[-1].body)["run"]["project"] == "text"
    assert pricetag(["budget", "what-if", ID]) == 2
    assert "--without RUN or --job FILE" in capsys.readouterr().err


def test_a_priority_may_be_below_zero(api: FakeApi, capsys: Captured) -> None:
    api.answers[f"POST /v1/runs/{RUN_ID}/priority"] = Answer(run("queued"))
    assert pricetag(["priority", RUN_ID, "-5"]) == 0
    assert json.loads(api.asked[-1].body) == {"priority": -5}
    assert printed(capsys) == f"{RUN_ID} has priority -5"
    assert pricetag(["priority", RUN_ID, "5000"]) == 2


def saved(name: str | None, **changes: Any) -> dict[str, Any]:
    return {
        **{"id": ID, "name": name, "query": "status=failed", "project": None},
        **{"is_default": False, "is_own": True, "created_at": NOW},
    } | changes


def test_views_are_listed_shown_saved_and_deleted(api: FakeApi, capsys: Captured) -> None:
    views = [
        saved("failures"),
        saved("twice"),
        saved("twice", id=OTHER, project="text", is_default=True),
    ]
    api.answers["GET /v1/views"] = of(ViewList, {"items": views})
    assert pricetag(["view", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3
    assert pricetag(["view", "list"]) == 0
    assert "failures" in printed(capsys)
    api.answers[f"GET /v1/views/{ID}"] = Answer(views[0])
    assert pricetag(["view", "show", "failures"]) == 0
    assert printed(capsys) == f"failures status=failed {ID}"
    assert pricetag(["view", "show", "twice"]) == 1
    assert "2 views are named 'twice'" in capsys.readouterr().err
    assert pricetag(["view", "delete", "nothing"]) == 1
    assert "view 'nothing' not found" in capsys.readouterr().err
    api.answers["POST /v1/views"] = Answer(views[2], status=201)
    arguments = ["view", "save", "twice", "?status=failed", "--project", "text", "--default"]
    assert pricetag(arguments) == 0
    assert json.loads(api.asked[-1].body) == {
        **{"name": "twice", "query": "status=failed", "project": "text", "is_default": True}
    }
    assert "in project text, its default" in printed(capsys)
    assert pricetag(["view", "save", "x", "a=b", "--default"]) == 2
    capsys.readouterr()
    api.answers[f"DELETE /v1/views/{ID}"] = Answer("", status=204)
    assert pricetag(["view", "delete", "failures"]) == 0
    assert printed(capsys) == "failures: deleted"


def effect(before: float | None, after: float | None, unit: str) -> dict[str, Any]:
    def figure(value: float | None) -> dict[str, Any]:
        reason = "no tariff" if value is None else None
        source = None if value is None else "estimated"
        return {
            **{"value": value, "low": None, "high": None, "unit": unit},
            **{"source": source, "reason": reason},
        }

    ratio = None if before is None or after is None else after / before - 1
    return {"before": figure(before), "after": figure(after), "change_ratio": ratio}


def test_a_preview_of_a_factor_enters_nothing(api: FakeApi, capsys: Captured) -> None:
    preview = {
        **{"kind": "pue", "site": "hall", "value": "1.2", "unit": "1"},
        **{"relative_std_ratio": 0.03, "valid_from": NOW, "valid_to": None},
        **{"warnings": ["the value is lower than before"], "attempts": 3, "runs": 2},
        "at_least": False,
        "sites": [
            {
                **{"site": "hall", "month_start": NOW},
                "it_energy_kwh": effect(10.0, None, "kWh")["before"],
                "co2e_kg": effect(4.0, 3.0, "kg"),
                "electricity_cost": effect(None, None, "EUR"),
            }
        ],
        "examples": [],
    }
    api.answers["POST /v1/sites/hall/factors/preview"] = of(FactorPreview, preview)
    arguments = ["factor", "add", "pue", "1.2", "--site", "hall", "--preview"]
    assert pricetag([*arguments, "--source", "report", "--basis", "annual mean"]) == 0
    assert [asked.path for asked in api.asked] == ["/v1/sites/hall/factors/preview"]
    shown = capsys.readouterr()
    output = " ".join(shown.out.split())
    assert "not entered, this is a preview" in output
    assert "3 ended attempts of 2 runs" in output
    assert "-25.0%" in output
    assert "n/a (no tariff)" in output
    assert "lower than before" in shown.err


def test_browsers_are_listed_and_signed_out(api: FakeApi, capsys: Captured) -> None:
    session = {
        **{"id": ID, "user": "ada", "user_id": OTHER, "method": "link", "browser": None},
        **{"created_at": NOW, "last_used_at": NOW, "expires_at": NOW, "current": False},
    }
    api.answers["GET /v1/sessions"] = of(SessionPage, {"items": [session], "next_cursor": None})
    assert pricetag(["session", "list", "--all"]) == 0
    assert parse_qs(api.asked[-1].query)["all"] == ["true"]
    assert "unnamed" in printed(capsys)
    api.answers[f"DELETE /v1/sessions/{ID}"] = Answer(session)
    assert pricetag(["session", "end", ID]) == 0
    assert printed(capsys) == "ada, unnamed browser: signed out"


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("warning", 0), ("failed", 1)])
def test_health_shows_what_failed_first_and_fails_with_it(
    api: FakeApi, capsys: Captured, state: str, code: int
) -> None:
    checks = [
        {"name": "disk", "state": "ok", "message": "90% free"},
        {"name": "workers", "state": state, "message": "1 live worker"},
    ]
    health = {
        **{"at": NOW, "state": state, "checks": checks, "disks": [], "workers": 1},
        "database": {
            **{"version": "18.1", "revision": "0020", "head": "0020"},
            **{"size_bytes": 1, "connections": 1, "max_connections": 100},
        },
        **{"worker_nodes": 1, "queue": [{"pool": "default", "queued": 2, "running": 1}]},
        **{"meters": [], "alarms": [], "notices": []},
        "versions": {"pricetag": "1", "accounting": "2", "python": "3", "platform": "linux"},
    }
    api.answers["GET /v1/health"] = of(LabHealth, health)
    assert pricetag(["health"]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[0] == ("ok" if state == "ok" else state)
    assert "1 live worker on 1 node" in lines
    assert "pool default: 2 queued, 1 running" in lines
