from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from pricetag.cli.app import run as pricetag
from pricetag.cli.views.budgets import period_of
from tests.support.fake_api import RUN_ID, Answer, Asked, FakeApi, problem

Captured = pytest.CaptureFixture[str]
ID = "0b1c0d0e-0000-4000-8000-000000000002"


def budget(**changes: Any) -> dict[str, Any]:
    """A budget as the API shows it."""
    return {
        "id": ID,
        "name": "text, monthly",
        "scope": "project",
        "project": "text",
        "experiment": None,
        "user": None,
        "user_id": None,
        "metric": "co2e_kg",
        "unit": "kg",
        "limit": 25.0,
        "spent": 12.5,
        "running": 1.25,
        "reserved": 2.0,
        "left": 9.25,
        "used_ratio": 0.55,
        "by_source": {"assumed": 12.5},
        "unknown_runs": 2,
        "running_attempts": 1,
        "period": "month",
        "time_zone": "Europe/Berlin",
        "period_start": "2026-10-31T23:00:00Z",
        "period_end": "2026-11-30T23:00:00Z",
        "thresholds": [0.5, 0.8],
        "alerts": [{"threshold_ratio": 0.5, "used": 12.6, "at": "2026-11-20T10:11:12Z"}],
        "refuses": True,
        "stops": False,
        "created_at": "2026-11-01T00:00:00Z",
        "closed_at": None,
    } | changes


def page(*items: Any) -> Answer:
    return Answer({"items": list(items), "next_cursor": None})


def test_create_sends_only_the_supplied_options(api: FakeApi, capsys: Captured) -> None:
    api.answers["POST /v1/budgets"] = Answer(budget(), 201)
    arguments = ["--amount", "0.10", "--metric", "cost", "--currency", "EUR", "--period", "month"]
    where = ["--project", "text", "--time-zone", "Europe/Berlin"]
    warn = ["--warn-at", "0.5", "--warn-at", "0.8", "--no-stop"]
    assert pricetag(["budget", "create", "b", *arguments, *where, *warn]) == 0
    assert json.loads(api.asked[-1].body) == {
        "name": "b",
        "scope": "project",
        "project": "text",
        "metric": "cost",
        "currency": "EUR",
        "amount": "0.10",
        "period": "month",
        "time_zone": "Europe/Berlin",
        "thresholds": [0.5, 0.8],
        "refuses": True,
        "stops": False,
    }
    assert "text, monthly" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "scope"),
    [
        ([], "lab"),
        (["--project", "p"], "project"),
        (["--project", "p", "--experiment", "e"], "experiment"),
        (["--user", "ada"], "user"),
    ],
)
def test_the_scope_follows_the_options(
    api: FakeApi, capsys: Captured, options: list[str], scope: str
) -> None:
    api.answers["POST /v1/budgets"] = Answer(budget(), 201)
    assert pricetag(["budget", "create", "b", "--amount", "1", *options]) == 0
    assert json.loads(api.asked[-1].body)["scope"] == scope


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "b", "--amount", "1", "--experiment", "e"], "--experiment needs --project"),
        (["create", "b", "--amount", "1", "--project", "p", "--user", "u"], "not both"),
        (["create", "b"], "--amount"),
        (["create", "b", "--amount", "1", "--period", "day"], "day"),
        (["set", "b"], "nothing to change"),
    ],
)
def test_wrong_usage_is_one_line_and_sends_no_request(
    api: FakeApi, capsys: Captured, arguments: list[str], words: str
) -> None:
    assert pricetag(["budget", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err
    assert api.asked == []


def test_a_rejected_field_is_named(api: FakeApi, capsys: Captured) -> None:
    fault = {"field": "time_zone", "message": "there is no time zone 'Berlin'", "hint": None}
    api.answers["POST /v1/budgets"] = problem(422, "invalid-request", "time_zone: no", fault)
    assert pricetag(["budget", "create", "b", "--amount", "1", "--time-zone", "Berlin"]) == 2
    assert "--time-zone: there is no time zone 'Berlin'" in capsys.readouterr().err


def test_show_prints_everything_in_one_unit(api: FakeApi, capsys: Captured) -> None:
    api.answers["GET /v1/budgets"] = page(budget())
    api.answers[f"GET /v1/budgets/{ID}"] = Answer(budget())
    assert pricetag(["budget", "show", "text, monthly"]) == 0
    assert "name=text" in api.asked[0].query
    out = capsys.readouterr().out
    for words in (
        "emissions of project text, month 2026-11-01 00:00 to 2026-12-01 00:00 Europe/Berlin\n",
        "spent             12.5 kg  by attempts that have ended",
        "running           1.25 kg",
        "left              9.25 kg",
        "used                55.0%",
        "12.5 kg is assumed",
        "2 runs with unknown use, not included in these figures",
        "warned at 50.0% on 2026-11-20 11:11 Europe/Berlin\n",
        "rejects runs that would exceed it\n",
    ):
        assert words in out, out
    assert "stops running jobs" not in out


def test_show_prints_closed_lab_budgets_and_json(api: FakeApi, capsys: Captured) -> None:
    closed = budget(
        scope="lab",
        project=None,
        used_ratio=None,
        limit=0.0,
        closed_at="2026-11-20T00:00:00Z",
        period_start=None,
        period_end=None,
        refuses=False,
    )
    api.answers[f"GET /v1/budgets/{ID}"] = Answer(closed)
    assert pricetag(["budget", "show", ID]) == 0
    out = capsys.readouterr().out
    assert "emissions of the lab, total, closed 2026-11-20 01:00 Europe/Berlin" in out
    assert "used " not in out
    assert "only warns" in out
    assert pricetag(["--json", "budget", "show", ID]) == 0
    assert json.loads(capsys.readouterr().out) == closed


def test_an_unknown_budget_is_named(api: FakeApi, capsys: Captured) -> None:
    api.answers["GET /v1/budgets"] = page()
    assert pricetag(["budget", "close", "nope"]) == 1
    assert "budget 'nope' not found" in capsys.readouterr().err


def test_set_changes_only_the_supplied_options(api: FakeApi, capsys: Captured) -> None:
    api.answers[f"PATCH /v1/budgets/{ID}"] = Answer(budget(limit=40.0))
    assert pricetag(["budget", "set", ID, "--amount", "40", "--no-refuse"]) == 0
    assert json.loads(api.asked[-1].body) == {"amount": "40", "refuses": False}
    assert "40.0 kg" in capsys.readouterr().out


def test_budgets_are_closed_and_listed(api: FakeApi, capsys: Captured) -> None:
    api.answers[f"POST /v1/budgets/{ID}/close"] = Answer(budget(closed_at="2026-11-20T00:00:00Z"))
    assert pricetag(["budget", "close", ID]) == 0
    assert capsys.readouterr().out == "'text, monthly' is closed\n"
    api.answers["GET /v1/budgets"] = page(budget(), budget(name="other", closed_at="2026-01-01"))
    assert pricetag(["budget", "list", "--closed"]) == 0
    assert "closed=true" in api.asked[-1].query
    head, _, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["Budget", "Covers", "Period", "Limit", "Left", "Used"]
    assert first.split("  ")[0].endswith("…") or first.startswith("text, monthly")
    assert "month, Europe/Berlin" in first
    assert "9.25 kg" in first
    assert "closed" in second
    api.answers["GET /v1/budgets"] = page()
    assert pricetag(["budget", "list"]) == 0
    assert capsys.readouterr().out == (
        "No budgets. Create one with: pricetag budget create NAME --amount AMOUNT\n"
    )


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("UTC", "month 2026-10-31 23:00 to 2026-11-30 23:00 UTC"),
        ("Asia/Kolkata", "month 2026-11-01 04:30 to 2026-12-01 04:30 Asia/Kolkata"),
        ("Mars/Olympus", "month 2026-10-31 23:00 to 2026-11-30 23:00 UTC"),
    ],
)
def test_times_are_those_of_the_budget_s_zone(zone: str, text: str) -> None:
    """A zone that this machine does not know gives way to UTC, by name."""
    assert period_of(budget(time_zone=zone)) == text


def test_alerts_are_listed(api: FakeApi, capsys: Captured) -> None:
    alert = {
        "threshold_ratio": 0.8,
        "used": 20.1,
        "at": "2026-11-20T10:11:12Z",
        "budget_id": ID,
        "budget": "text, monthly",
        "metric": "co2e_kg",
        "unit": "kg",
        "period": "month",
        "time_zone": "Europe/Berlin",
        "period_start": None,
    }
    api.answers["GET /v1/budget-alerts"] = page(alert)
    assert pricetag(["budget", "alerts", ID]) == 0
    line = "2026-11-20 11:11 Europe/Berlin  text, monthly  80.0% crossed with 20.1 kg\n"
    assert capsys.readouterr().out == line
    assert ID in api.asked[-1].query
    assert pricetag(["budget", "alerts", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [alert]


def test_audit_prints_old_and_new_values(api: FakeApi, capsys: Captured) -> None:
    entry = {
        "id": 7,
        "at": "2026-11-20T10:11:12Z",
        "token_id": None,
        "actor": "ada",
        "action": "changed",
        "object_kind": "budget",
        "object_id": ID,
        "before": {"name": "b", "amount": "10"},
        "after": {"name": "b", "amount": "12"},
    }
    api.answers["GET /v1/audit"] = page(entry, entry | {"before": None})
    assert pricetag(["audit", "--kind", "budget", "--actor", "ada", "--limit", "2"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"2026-11-20 10:11 UTC  ada  changed budget {ID}  amount: 10 -> 12"
    assert second.endswith("name: b, amount: 12")
    assert "object_kind=budget&actor=ada" in api.asked[-1].query


def test_audit_of_a_misspelled_person_fails_with_similar_names(
    api: FakeApi, capsys: Captured
) -> None:
    api.answers["GET /v1/audit"] = Answer(
        {
            "title": "Not Found",
            "status": 404,
            "code": "user-not-found",
            "detail": "User 'adaa' not found; did you mean 'ada'?",
            "errors": [{"field": "actor", "message": "User 'adaa' not found"}],
        },
        404,
        "application/problem+json",
    )
    assert pricetag(["audit", "--actor", "adaa"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "User 'adaa' not found; did you mean 'ada'?" in printed.err


def test_audit_prints_names_where_json_has_ids(api: FakeApi, capsys: Captured) -> None:
    entry = {
        "at": "2026-11-20T10:11:12Z",
        "actor": "ada",
        "action": "created",
        "object_kind": "member",
        "object_id": f"{ID}/{RUN_ID}",
        "before": {"user_id": RUN_ID},
        "after": {"user_id": ID, "n": 1, "other": "x"},
        "names": {ID: "vision", RUN_ID: "eve"},
    }
    api.answers["GET /v1/audit"] = page(entry)
    assert pricetag(["audit"]) == 0
    assert capsys.readouterr().out == (
        "2026-11-20 10:11 UTC  ada  created member vision/eve  user_id: eve -> vision, n: 1, "
        "other: x\n"
    )
    assert pricetag(["audit", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [entry]


def test_submit_passes_warnings_on(api: FakeApi, capsys: Captured, tmp_path: Any) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("name: a")

    def answer(asked: Asked) -> Answer:
        accepted = {"id": RUN_ID, "status": "queued", "warnings": ["budget 'b': 90% is used"]}
        return Answer(accepted, 202)

    api.answers["POST /v1/runs"] = answer
    assert pricetag(["submit", str(job)]) == 0
    out, err = capsys.readouterr()
    assert err == "pricetag: warning: budget 'b': 90% is used\n"
    assert out.startswith(RUN_ID)


def test_audit_takes_days_and_times_and_rejects_unknown_kinds(
    api: FakeApi, capsys: Captured
) -> None:
    api.answers["GET /v1/audit"] = page()
    assert pricetag(["audit", "--since", "2026-11-29", "--until", "2026-11-30T12:00:00+01:00"]) == 0
    query = parse_qs(api.asked[-1].query)
    assert query["since"] == ["2026-11-29T00:00:00Z"]
    assert query["until"] == ["2026-11-30T12:00:00+01:00"]
    assert pricetag(["audit", "--kind", "budgt"]) == 2
    assert "'budget'" in capsys.readouterr().err
