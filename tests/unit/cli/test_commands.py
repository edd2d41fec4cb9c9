from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from app.settings import get_settings
from pricetag.cli import checkout, service
from pricetag.cli.app import run as pricetag
from tests.support.fake_api import RUN_ID, Answer, Asked, FakeApi, events, problem, run
from tests.support.price_tags import compressed_run, tag

ESTIMATE = ["estimate", "--devices", "1", "--device-power-w", "1415.78", "--hours", "12"]
FACTORS = ["--pue", "1.58", "--grid-g-per-kwh", "432.73"]

Captured = pytest.CaptureFixture[str]
OTHER_ID = "6f0c0d0e-0000-4000-8000-000000000002"


def issued(api: FakeApi, *causes: str, as_of: str | None = None) -> None:
    """The server has a version of the price tag for each cause; the last one is shown."""
    causes = causes or ("attempt-ended",)
    made = tag(compressed_run()) | {"version": len(causes)}
    made["provenance"] = made["provenance"] | {"as_of": as_of}
    items = [{"version": n, "cause": cause} for n, cause in enumerate(causes, 1)]
    api.answers[f"GET /v1/runs/{RUN_ID}/price-tag"] = Answer(made)
    api.answers[f"GET /v1/runs/{RUN_ID}/price-tags"] = Answer({"items": items[::-1]})


def said(capsys: Captured) -> Any:
    """What was printed as JSON; nothing else may be on stdout."""
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def complaint(capsys: Captured) -> str:
    """The one line on stderr; stdout is empty."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pricetag: ")
    assert err.count("\n") == 1
    return err


def test_an_estimate_is_the_published_row(capsys: Captured) -> None:
    prices = ["--price-low", "3.44", "--price-high", "11.68", "--json"]
    assert pricetag([*ESTIMATE, *FACTORS, *prices]) == 0
    figures = said(capsys)
    assert figures["it_energy_kwh"] == pytest.approx(16.989, rel=1e-4)
    assert figures["facility_energy_kwh"] == pytest.approx(26.84, rel=1e-3)
    assert figures["co2e_lb"] == pytest.approx(25.6, rel=1e-3)
    assert figures["co2e_kg"] == pytest.approx(figures["co2e_lb"] * 0.45359237)
    assert (figures["cost_low"], figures["cost_high"]) == (
        pytest.approx(41.28),
        pytest.approx(140.16),
    )


def test_a_wrong_figure_is_named_by_its_option(capsys: Captured) -> None:
    assert pricetag([*ESTIMATE, "--pue", "0.5", "--grid-g-per-kwh", "1"]) == 2
    assert "--pue is 0.5" in complaint(capsys)
    assert pricetag([*ESTIMATE, *FACTORS, "--price-low", "-1"]) == 2
    assert "--price-low is -1" in complaint(capsys)


def test_all_wrong_figures_are_named_at_once(capsys: Captured) -> None:
    wrong = ["--pue", "0.5", "--grid-g-per-kwh", "-1", "--price-low", "-2", "--currency", "euro"]
    assert pricetag([*ESTIMATE, *wrong]) == 2
    told = complaint(capsys)
    for option in ("--pue is 0.5", "--grid-g-per-kwh is -1", "--price-low is -2", "--currency is"):
        assert option in told
    assert "per_device_hour" not in told


@pytest.mark.parametrize(
    "arguments",
    [["bogus"], ["estimate"], ["runs", "--limit", "many"], ["show"], ["recipes", "a", "b"]],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], capsys: Captured) -> None:
    assert pricetag(arguments) == 2
    assert "Input should" not in complaint(capsys)


@pytest.mark.parametrize("group", [[], ["user"], ["project"]])
def test_a_group_alone_shows_its_help_and_no_empty_line(group: list[str], capsys: Captured) -> None:
    assert pricetag(group) == 2
    shown = capsys.readouterr()
    assert "Usage: pricetag" in shown.out + shown.err
    assert "pricetag: \n" not in shown.err


def test_the_version_is_the_package_s(capsys: Captured) -> None:
    assert pricetag(["--version"]) == 0
    assert capsys.readouterr().out == "pricetag 0.1.0\n"


def test_doctor_and_recipes_need_no_server(capsys: Captured) -> None:
    assert pricetag(["recipes", "--json"]) == 0
    assert {entry["kind"] for entry in said(capsys)} >= {"train", "quantize", "measure"}
    assert pricetag(["recipes", "train", "--json"]) == 0
    assert said(capsys)["schema"]["properties"]["epochs"]
    assert pricetag(["recipes", "tarin"]) == 1
    assert "there is no stage kind 'tarin'; there are train," in complaint(capsys)
    assert pricetag(["doctor", "--json"]) == 0
    assert {meter["name"] for meter in said(capsys)["meters"]} >= {"nvml", "rapl-package"}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("GRID_ZONE", "XX", "the configuration is wrong: grid_zone: zone 'XX' is not in"),
        ("PUE", "abc", "the configuration is wrong: pue: "),
        ("METER_HOST", "both", "PRICETAG_METER_HOST is 'both'"),
    ],
)
def test_a_worker_with_a_wrong_setting_says_so_in_a_line(
    name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv(f"PRICETAG_{name}", value)
    assert pricetag(["worker"]) == 1
    assert told in complaint(capsys)


def test_doctor_tells_which_setting_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert pricetag(["doctor", "--json"]) == 0
    assert said(capsys)["settings_fault"] is None
    get_settings.cache_clear()
    monkeypatch.setenv("PRICETAG_PUE", "0.5")
    assert pricetag(["doctor", "--json"]) == 1
    assert said(capsys)["settings_fault"].startswith("the configuration is wrong: pue: ")
    assert pricetag(["doctor"]) == 1
    assert "No server or worker starts here" in capsys.readouterr().out
    monkeypatch.setenv("PRICETAG_METER_HOST", "both")
    assert pricetag(["doctor"]) == 2
    assert "use auto, rapl, model or none" in complaint(capsys)


def test_without_a_server_it_says_what_to_do(capsys: Captured) -> None:
    assert pricetag(["runs"]) == 2
    told = complaint(capsys)
    assert "PRICETAG_URL" in told
    assert "in the data folder /" in told
    assert pricetag(["--url", "http://127.0.0.1:9", "cancel", RUN_ID]) == 1
    told = complaint(capsys)
    assert "no response from http://127.0.0.1:9" in told
    assert "(is the server running?)" in told


def test_no_runs_are_a_sentence(api: FakeApi, capsys: Captured) -> None:
    api.answers["GET /v1/runs"] = Answer({"items": [], "next_cursor": None})
    assert pricetag(["runs"]) == 0
    assert capsys.readouterr().out == "No matching runs.\n"


def test_runs_of_one_user_are_listed(api: FakeApi, capsys: Captured) -> None:
    api.answers["GET /v1/runs"] = Answer({"items": [run()], "next_cursor": None})
    assert pricetag(["runs", "--user", "me"]) == 0
    assert pricetag(["runs", "--user", "Ada L."]) == 0
    queries = [parse_qs(request.query).get("user") for request in api.asked]
    assert queries == [["me"], ["Ada L."]]


def test_runs_are_listed_with_the_filters_given(api: FakeApi, capsys: Captured) -> None:
    api.answers["GET /v1/runs"] = Answer({"items": [run()], "next_cursor": None})
    filters = ["--tag", "a", "--tag", "b", "--status", "failed", "--search", "mini lm"]
    assert pricetag(["runs", *filters]) == 0
    text = capsys.readouterr().out
    assert "6f0c0d0e" in text
    assert "MiniLM [int8]" in text
    assert "14.4 Wh" in text
    assert api.asked[0].headers["authorization"] == "Bearer pt_secret"
    assert "tag=a&tag=b&status=failed" in api.asked[0].query
    assert parse_qs(api.asked[0].query)["q"] == ["mini lm"]
    assert pricetag(["--json", "runs"]) == 0
    assert said(capsys)[0]["id"] == RUN_ID


def test_a_run_is_meant_by_the_beginning_of_its_id(api: FakeApi, capsys: Captured) -> None:
    other = run(id="6f0c0000-0000-4000-8000-000000000002")
    api.answers["GET /v1/runs"] = Answer({"items": [run(), other], "next_cursor": None})
    api.answers[f"POST /v1/runs/{RUN_ID}/cancel"] = Answer(run("cancelled"), 202)
    assert pricetag(["cancel", "6f0c0d0e"]) == 0
    assert pricetag(["cancel", "last"]) == 0
    assert capsys.readouterr().out == f"{RUN_ID} cancelled\n" * 2
    assert pricetag(["cancel", "6f0c"]) == 1
    assert "matches 2 run IDs" in complaint(capsys)
    assert pricetag(["cancel", "abcd"]) == 1
    assert "has an ID that begins with 'abcd'" in complaint(capsys)


def test_a_run_is_resumed(api: FakeApi, capsys: Captured) -> None:
    accepted = run("queued") | {"warnings": ["the budget lab will be used up"]}
    api.answers[f"POST /v1/runs/{RUN_ID}/resume"] = Answer(accepted, 202)
    assert pricetag(["resume", RUN_ID]) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"{RUN_ID} queued\n")
    assert "warning: the budget lab will be used up" in told.err
    api.answers[f"GET /v1/runs/{RUN_ID}"] = Answer(run("cancelled"))
    issued(api)
    api.answers[f"GET /v1/runs/{RUN_ID}/events"] = events(("status", {"status": "cancelled"}))
    assert pricetag(["resume", RUN_ID, "--wait"]) == 4


def test_a_refusal_names_every_field(api: FakeApi, capsys: Captured, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("project: x\n")
    api.answers["POST /v1/runs"] = problem(
        422,
        "invalid-recipe",
        "The run cannot be run as it stands.",
        {"field": "recipe.stages.0.kind", "message": "'tarin' is unknown", "hint": "train"},
        {"field": "name", "message": "is missing", "hint": None},
    )
    assert pricetag(["submit", str(file)]) == 2
    line = complaint(capsys)
    assert "recipe.stages.0.kind: 'tarin' is unknown (train)" in line
    assert "name: is missing" in line


def test_a_missing_token_says_how_to_give_one(api: FakeApi, capsys: Captured) -> None:
    api.answers["GET /v1/runs"] = problem(401, "unauthenticated", "No token.")
    assert pricetag(["runs"]) == 1
    assert "PRICETAG_TOKEN" in complaint(capsys)


def test_a_file_goes_to_the_server_as_it_is(api: FakeApi, capsys: Captured, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("project: text  # a remark\n")
    api.answers["POST /v1/runs"] = Answer(run("queued"), 202)
    assert pricetag(["submit", str(file), "--key", "k1", "--json"]) == 0
    assert said(capsys)["status"] == "queued"
    assert api.asked[0].body == "project: text  # a remark\n"
    assert api.asked[0].headers["idempotency-key"] == "k1"
    assert pricetag(["submit", "missing.yaml"]) == 2
    assert "cannot read missing.yaml: No such file" in complaint(capsys)


def test_a_file_can_be_checked_without_a_server(capsys: Captured, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    described = {
        "project": "p",
        "experiment": "e",
        "name": "n",
        "recipe": {"stages": [{"kind": "command", "argv": ["true"]}]},
    }
    file.write_text(json.dumps(described))
    assert pricetag(["submit", str(file), "--check"]) == 0
    assert "describes a run: n (command)" in capsys.readouterr().out
    file.write_text(json.dumps(described | {"name": ""}))
    assert pricetag(["submit", str(file), "--check"]) == 2
    assert "name" in complaint(capsys)


@pytest.mark.parametrize(("status", "code"), [("succeeded", 0), ("failed", 3), ("cancelled", 4)])
def test_waiting_ends_with_the_run_s_own_exit_code(
    status: str, code: int, api: FakeApi, capsys: Captured, tmp_path: Path
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("project: text\n")
    api.answers |= {
        "POST /v1/runs": Answer(run("queued"), 202),
        f"GET /v1/runs/{RUN_ID}": Answer(run(status)),
        f"GET /v1/runs/{RUN_ID}/events": events(
            ("status", {"status": "running"}),
            ("stage", {"key": "0-train", "kind": "train", "name": "train", "status": "running"}),
            ("progress", {"key": "0-train", "done": 1, "total": 4, "power_w": 61.0}),
            ("status", {"status": status, "reason": None}),
        ),
    }
    issued(api)
    assert pricetag(["submit", str(file), "--wait"]) == code
    out, err = capsys.readouterr()
    assert err.startswith("pricetag: the run failed: ") == (status == "failed")
    assert len(err.splitlines()) == (status == "failed")
    assert f"MiniLM [int8] | {status}" in out
    assert "14.4 Wh (12.8 to 17.4 Wh; modelled)" in out
    assert "0.954 lb CO2e/kWh" in out
    assert pricetag(["show", RUN_ID, "--wait", "--json"]) == code
    out, again = capsys.readouterr()
    assert again == err
    found = json.loads(out)
    assert found["run"]["status"] == status
    assert found["price_tag"]["schema"] == "pricetag/1"


def test_show_tells_which_version_it_is_and_how_it_was_priced_again(
    api: FakeApi, capsys: Captured
) -> None:
    api.answers[f"GET /v1/runs/{RUN_ID}"] = Answer(run())
    issued(api)
    assert pricetag(["show", RUN_ID]) == 0
    assert "Version 1" in [line.strip() for line in capsys.readouterr().out.splitlines()]
    issued(api, "attempt-ended", "repriced", as_of="2026-03-01T23:59:59.999999+00:00")
    assert pricetag(["show", RUN_ID]) == 0
    assert "Version 2: re-priced with the factors known on 2026-03-01" in capsys.readouterr().out
    assert pricetag(["show", RUN_ID, "--json"]) == 0
    found = said(capsys)
    assert (found["price_tag_version"]["version"], found["price_tag_version"]["cause"]) == (
        2,
        "repriced",
    )
    issued(api, "attempt-ended", "repriced", as_of="2026-03-01T12:00:00+01:00")
    assert pricetag(["show", RUN_ID]) == 0
    assert "the factors known on 2026-03-01 11:00:00 UTC" in capsys.readouterr().out
    issued(api, "attempt-ended", "repriced")
    assert pricetag(["show", RUN_ID]) == 0
    assert "Version 2: re-priced with the factors known when it was issued" in (
        capsys.readouterr().out
    )
    issued(api, "attempt-ended", "journal-came-late")
    assert pricetag(["show", RUN_ID]) == 0
    assert "Version 2: with measurements that arrived late" in capsys.readouterr().out


def test_show_of_an_older_version(api: FakeApi, capsys: Captured) -> None:
    api.answers[f"GET /v1/runs/{RUN_ID}"] = Answer(run())
    issued(api, "attempt-ended", "repriced")
    api.answers[f"GET /v1/runs/{RUN_ID}/price-tag"] = Answer(tag(compressed_run()))
    assert pricetag(["show", RUN_ID, "--version", "1"]) == 0
    assert "Version 1 of 2" in capsys.readouterr().out
    [asked] = [a for a in api.asked if a.path.endswith("/price-tag")]
    assert asked.query == "version=1"
    missing = problem(404, "price-tag-not-found", "The price tag has no version 9.")
    api.answers[f"GET /v1/runs/{RUN_ID}/price-tag"] = missing
    assert pricetag(["show", RUN_ID, "--version", "9"]) == 1
    assert "has no version 9" in complaint(capsys)
    assert pricetag(["show", RUN_ID, "--version", "1", "--wait"]) == 2
    assert "omit --wait" in complaint(capsys)
    assert pricetag(["show", RUN_ID, "--version", "0"]) == 2
    assert "--version" in complaint(capsys)


def test_a_broken_event_stream_is_taken_up_where_it_broke(
    api: FakeApi, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pricetag.client.runs.RECONNECT_S", 0.01)
    states = iter(["running", "running", "succeeded"])
    last = run("succeeded")

    def shown(_: Asked) -> Answer:
        return Answer(run(next(states, "succeeded")))

    def stream(asked: Asked) -> Answer:
        if asked.headers.get("last-event-id") == "1":
            return events(("power", {}), ("status", {"status": last["status"]}))
        return events(("status", {"status": "running"}))

    api.answers |= {
        f"GET /v1/runs/{RUN_ID}": shown,
        f"GET /v1/runs/{RUN_ID}/events": stream,
        f"GET /v1/runs/{RUN_ID}/price-tag": problem(404, "price-tag-not-found", "None yet."),
    }
    assert pricetag(["show", RUN_ID, "--wait"]) == 0
    out = capsys.readouterr().out
    assert "| running" in out
    assert "| succeeded" in out
    assert "No price tag yet" in out


def test_an_interrupted_wait_says_how_to_come_back(
    api: FakeApi, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    api.answers[f"GET /v1/runs/{RUN_ID}"] = Answer(run("running"))
    monkeypatch.setattr("pricetag.client.Client.events", interrupted)
    assert pricetag(["show", RUN_ID, "--wait"]) == 130
    assert f"pricetag show {RUN_ID} --wait" in complaint(capsys)
    assert not [asked for asked in api.asked if asked.method == "POST"]


def test_logs_are_plain_lines_or_objects(api: FakeApi, capsys: Captured) -> None:
    items = [{"text": "epoch 1 [x]", "stream": "stdout"}, {"text": "done", "stream": "stderr"}]

    def page(asked: Asked) -> Answer:
        first = "after" not in asked.query
        return Answer({"items": items if first else [], "next_after": "1"})

    api.answers[f"GET /v1/runs/{RUN_ID}/logs"] = page
    api.answers[f"GET /v1/runs/{RUN_ID}"] = Answer(run("succeeded"))
    assert pricetag(["logs", RUN_ID]) == 0
    assert capsys.readouterr().out == "epoch 1 [x]\ndone\n"
    assert pricetag(["logs", RUN_ID, "-f", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == items


def test_a_report_is_made_and_written(api: FakeApi, capsys: Captured, tmp_path: Path) -> None:
    report_id = "aaaaaaaa-0000-4000-8000-000000000001"
    made = {"id": report_id, "title": "Price of MiniLM [int8]", "context": {"runs": []}}
    api.answers |= {
        f"GET /v1/runs/{RUN_ID}": Answer(run()),
        "POST /v1/reports": Answer(made, 201),
        f"GET /v1/reports/{report_id}.pdf": Answer(b"%PDF-", kind="application/pdf"),
        f"GET /v1/reports/{report_id}.md": Answer("# x", kind="text/markdown"),
    }
    folder = tmp_path / "out" / "deep"
    wanted = ["--format", "md,pdf", "-o", str(folder), "--profile", "site", "--json"]
    assert pricetag(["report", RUN_ID, *wanted]) == 0
    files = said(capsys)["files"]
    assert files == {fmt: str(folder / f"report-aaaaaaaa.{fmt}") for fmt in ("pdf", "md")}
    assert Path(files["pdf"]).read_bytes() == b"%PDF-"
    posted = next(asked for asked in api.asked if asked.method == "POST")
    assert json.loads(posted.body) == {
        "title": "Price of MiniLM [int8]",
        "profile": "site",
        "runs": [RUN_ID],
    }


@pytest.mark.parametrize(
    ("arguments", "versions"),
    [
        ([RUN_ID], None),
        ([f"{RUN_ID}@2"], {RUN_ID: 2}),
        ([RUN_ID, "--version", "1"], {RUN_ID: 1}),
        ([f"{RUN_ID}@2", OTHER_ID], {RUN_ID: 2}),
    ],
)
def test_a_report_is_of_the_version_that_is_named(
    api: FakeApi, capsys: Captured, arguments: list[str], versions: dict[str, int] | None
) -> None:
    report_id = "aaaaaaaa-0000-4000-8000-000000000001"
    shown = {"run_id": RUN_ID, "model": "MiniLM", "version": 2, "newest_version": 3}
    shown["as_of"] = "2026-01-31T23:59:59.999999+00:00"
    only = {**shown, "version": 1, "newest_version": 1, "as_of": None}
    newest = {**shown, "version": 3, "as_of": None}
    made = {"id": report_id, "title": "T", "context": {"runs": [shown, only, newest]}}
    api.answers |= {
        f"GET /v1/runs/{RUN_ID}": Answer(run()),
        "POST /v1/reports": Answer(made, 201),
        f"GET /v1/reports/{report_id}.md": Answer("# x", kind="text/markdown"),
    }
    assert pricetag(["report", *arguments, "--format", "md"]) == 0
    posted = next(request for request in api.asked if request.method == "POST")
    assert json.loads(posted.body).get("versions") == versions
    assert capsys.readouterr().out.splitlines()[1:3] == [
        "  MiniLM: version 2 of its price tag (the newest is 3), with the factors known on "
        "2026-01-31",
        "  MiniLM: version 3 of its price tag (the newest)",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([RUN_ID, OTHER_ID, "--version", "1"], "--version is for a single RUN"),
        ([f"{RUN_ID}@1", "--version", "1"], "--version is for a single RUN"),
        (["--project", "p", "--version", "1"], "--version is for a single RUN"),
        ([f"{RUN_ID}@x"], "a version is a whole number from 1"),
        ([f"{RUN_ID}@0"], "a version is a whole number from 1"),
        ([f"{RUN_ID}@1", f"{RUN_ID}@2"], "named with several versions"),
        ([f"{RUN_ID}@1", RUN_ID], "named with several versions"),
    ],
)
def test_versions_that_make_no_sense_are_rejected(
    api: FakeApi, capsys: Captured, arguments: list[str], message: str
) -> None:
    api.answers[f"GET /v1/runs/{RUN_ID}"] = Answer(run())
    assert pricetag(["report", *arguments]) == 2
    assert message in complaint(capsys)
    assert all(request.method == "GET" for request in api.asked)


def test_a_run_without_a_price_tag_is_named_as_it_was_asked_for(
    api: FakeApi, capsys: Captured
) -> None:
    api.answers |= {
        "GET /v1/runs": Answer({"items": [run("running")], "next_cursor": None}),
        f"GET /v1/runs/{RUN_ID}": Answer(run("running")),
        "POST /v1/reports": problem(
            422,
            "nothing-to-report",
            "runs.0: ...",
            {"field": "runs.0", "message": f"run {RUN_ID} has no price tag yet"},
        ),
    }
    assert pricetag(["report", "last"]) == 2
    assert complaint(capsys) == (f"pricetag: 'last' ({RUN_ID[:8]}, running) has no price tag yet\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the runs"),
        ([RUN_ID, "--project", "p"], "(--project, --experiment, --tag), not both"),
        ([RUN_ID, "--format", "docx"], "--format docx: give some of html"),
    ],
)
def test_a_report_wants_runs_and_known_formats(
    arguments: list[str], message: str, api: FakeApi, capsys: Captured
) -> None:
    assert pricetag(["report", *arguments]) == 2
    assert message in complaint(capsys)
    assert api.asked == []


@pytest.mark.parametrize(
    ("arguments", "handed_over"),
    [
        (["--json", "token", "list"], ["list", "--json"]),
        (["--json", "token", "list", "--json"], ["list", "--json"]),
        (["token", "list"], ["list"]),
        (["--json", "migrate"], ["--json"]),
        (["--json", "token"], []),
    ],
)
def test_json_before_a_command_of_the_service_reaches_it(
    arguments: list[str], handed_over: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def delegate(module: str, name: str, given: list[str], command: str) -> int:
        asked.append(given)
        return 0

    monkeypatch.setattr(service, "delegate", delegate)
    assert pricetag(arguments) == 0
    assert asked == [handed_over]


def test_json_is_rejected_where_nothing_is_printed_as_such(capsys: Captured) -> None:
    assert pricetag(["--json", "worker"]) == 2
    assert "worker has no --json" in complaint(capsys)


@pytest.mark.parametrize("command", ["serve", "worker", "migrate", "token", "demo"])
def test_the_library_alone_has_no_service(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path
) -> None:
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    assert pricetag([command]) == 1
    assert "only the pricetag library is installed" in complaint(capsys)


def test_the_service_s_own_options_reach_it(capsys: Captured) -> None:
    assert pricetag(["token", "create", "--help"]) == 0
    assert "--role" in capsys.readouterr().out
    assert pricetag(["worker", "--help"]) == 0
    assert "--pool" in capsys.readouterr().out


@pytest.mark.parametrize("package", ["app", "workers", "models"])
def test_packages_of_a_project_on_pythonpath_do_not_shadow_the_service(
    package: str, tmp_path: Path
) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("")
    program = "import sys; from pricetag.cli.app import run; sys.exit(run(['worker', '--help']))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "--pool" in done.stdout


def test_an_entry_point_s_exit_code_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path
) -> None:
    seen: list[list[str]] = []

    def entry() -> None:
        seen.append(list(sys.argv))
        raise SystemExit(7)

    before = list(sys.argv)
    monkeypatch.setattr(checkout, "load", lambda *_: entry)
    assert pricetag(["demo", "--fast", "x"]) == 7
    assert seen == [["pricetag demo", "--fast", "x"]]
    assert sys.argv == before


def test_help_loads_neither_client_nor_service() -> None:
    program = (
        "import sys; from pricetag.cli.app import run; run(['--help']);"
        "print(sorted({'httpx', 'pydantic', 'rich.live', 'app', 'fastapi'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
