"""Commands about runs: list, submit, show, resume, wait, logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from pricetag.cli.app import run as pricetag
from pricetag.client import Client
from tests.support.commands import Captured, complaint, issued, said
from tests.support.fake_api import RUN_ID, Answer, Asked, FakeApi, events, problem, run
from tests.support.local_runs import RUN_ID as LOCAL_ID
from tests.support.local_runs import plant
from tests.support.price_tags import compressed_run, tag


def test_empty_list_of_runs_prints_a_sentence(api: FakeApi, capsys: Captured) -> None:
    api.answers["GET /v1/runs"] = Answer({"items": [], "next_cursor": None})
    assert pricetag(["runs"]) == 0
    assert capsys.readouterr().out == "No runs yet. Submit one with: pricetag submit job.yaml\n"
    assert pricetag(["runs", "--status", "failed"]) == 0
    assert capsys.readouterr().out == "No matching runs.\n"


def test_runs_of_one_user_are_listed(api: FakeApi, capsys: Captured) -> None:
    api.answers["GET /v1/runs"] = Answer({"items": [run()], "next_cursor": None})
    assert pricetag(["runs", "--user", "me"]) == 0
    assert pricetag(["runs", "--user", "Ada L."]) == 0
    queries = [parse_qs(request.query).get("user") for request in api.asked]
    assert queries == [["me"], ["Ada L."]]


def test_filters_are_sent_to_the_server(api: FakeApi, capsys: Captured) -> None:
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


def test_canceled_runs_are_listed_by_either_spelling(api: FakeApi, capsys: Captured) -> None:
    api.answers["GET /v1/runs"] = Answer({"items": [run("cancelled")], "next_cursor": None})
    for word in ("canceled", "cancelled"):
        assert pricetag(["runs", "--status", word]) == 0
        assert parse_qs(api.asked[-1].query)["status"] == ["cancelled"]
        text = capsys.readouterr().out
        assert "canceled" in text
        assert "cancelled" not in text
    assert pricetag(["runs", "--status", "bogus"]) == 2
    assert "--status bogus: must be queued, running, succeeded, failed or canceled" in complaint(
        capsys
    )


def test_a_running_run_shows_what_it_has_done_and_used_so_far(
    api: FakeApi, capsys: Captured
) -> None:
    payload = {
        **{"key": "0-train", "kind": "train", "name": "train", "unit": "steps"},
        **{"done": 120, "total": 480, "eta_s": 90.0, "power_w": 21.5, "energy_kwh": 8.14e-5},
    }
    shown = run("running", progress=payload, started_at="2026-11-30T08:00:00Z")
    api.answers[f"GET /v1/runs/{RUN_ID}"] = Answer(shown)
    api.answers[f"GET /v1/runs/{RUN_ID}/price-tag"] = problem(
        404, "price-tag-not-found", "None yet."
    )
    assert pricetag(["show", RUN_ID]) == 0
    text = capsys.readouterr().out
    for part in ("Running since 2026-11-30 08:00 UTC", "train 25", "21.5 W", "81.4 mWh so far"):
        assert part in text


def test_run_is_selected_by_the_beginning_of_its_id(api: FakeApi, capsys: Captured) -> None:
    other = run(id="6f0c0000-0000-4000-8000-000000000002")
    api.answers["GET /v1/runs"] = Answer({"items": [run(), other], "next_cursor": None})
    api.answers[f"POST /v1/runs/{RUN_ID}/cancel"] = Answer(run("cancelled"), 202)
    assert pricetag(["cancel", "6f0c0d0e"]) == 0
    assert pricetag(["cancel", "last"]) == 0
    assert capsys.readouterr().out == f"{RUN_ID} canceled\n" * 2
    assert pricetag(["cancel", "6f0c"]) == 1
    assert "matches 2 run IDs" in complaint(capsys)
    assert pricetag(["cancel", "abcd"]) == 1
    assert "has an ID that begins with 'abcd'" in complaint(capsys)


@pytest.mark.parametrize(
    "command",
    [
        ["show", "last"],
        ["cancel", "last"],
        ["resume", "last"],
        ["logs", "last"],
        ["reprice", "last"],
        ["verify", "last"],
        ["verify", "last@1"],
        ["report", "last"],
        ["compare", "last", RUN_ID],
        ["quote", "--run", "last"],
    ],
)
def test_last_is_the_newest_run_of_the_caller_for_every_command(
    command: list[str], api: FakeApi, capsys: Captured
) -> None:
    asked_for: list[dict[str, list[str]]] = []

    def nothing(request: Asked) -> Answer:
        asked_for.append(parse_qs(request.query))
        return Answer({"items": [], "next_cursor": None})

    api.answers["GET /v1/runs"] = nothing
    assert pricetag(command) == (2 if command[0] == "verify" else 1)
    assert asked_for[0]["user"] == ["me"]
    assert asked_for[0]["sort"] == ["-created_at"]
    assert "'last' is your newest run, but you have not submitted any" in complaint(capsys)
    assert [request.method for request in api.asked] == ["GET"]


def test_a_run_is_resumed(api: FakeApi, capsys: Captured) -> None:
    accepted = run("queued") | {"warnings": ["the budget lab will be used up"]}
    api.answers[f"POST /v1/runs/{RUN_ID}/resume"] = Answer(accepted, 202)
    assert pricetag(["resume", RUN_ID]) == 0
    output = capsys.readouterr()
    assert output.out.startswith(f"{RUN_ID} queued\n")
    assert "warning: the budget lab will be used up" in output.err
    api.answers[f"GET /v1/runs/{RUN_ID}"] = Answer(run("cancelled"))
    issued(api)
    api.answers[f"GET /v1/runs/{RUN_ID}/events"] = events(("status", {"status": "cancelled"}))
    assert pricetag(["resume", RUN_ID, "--wait"]) == 4


def test_a_resumed_run_does_not_show_its_old_attempt(api: FakeApi, capsys: Captured) -> None:
    old = [("status", {"status": "running"}), ("status", {"status": "failed"})]
    new = [("status", {"status": "queued"}), ("status", {"status": "cancelled"})]
    statuses = iter(["failed", "failed", "queued"])
    is_resumed: list[bool] = []

    def resumed(_: Asked) -> Answer:
        is_resumed.append(True)
        return Answer(run("queued"), 202)

    def stream(asked: Asked) -> Answer:
        if not is_resumed:
            return events(*old)
        # The ids of this server's events begin at 1 in each response.
        return events(*(new if asked.headers.get("last-event-id") == "2" else old + new))

    api.answers |= {
        f"GET /v1/runs/{RUN_ID}": lambda _: Answer(run(next(statuses, "cancelled"))),
        f"POST /v1/runs/{RUN_ID}/resume": resumed,
        f"GET /v1/runs/{RUN_ID}/events": stream,
    }
    issued(api)
    api.answers[f"GET /v1/runs/{RUN_ID}"] = lambda _: Answer(run(next(statuses, "cancelled")))
    assert pricetag(["resume", RUN_ID, "--wait"]) == 4
    out = capsys.readouterr().out
    assert "| running" not in out
    assert "| failed" not in out
    assert "| canceled" in out


def test_rejection_lists_every_invalid_field(
    api: FakeApi, capsys: Captured, tmp_path: Path
) -> None:
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
    assert capsys.readouterr() == (
        "",
        "pricetag: The run cannot be run as it stands.\n"
        "  recipe.stages.0.kind: 'tarin' is unknown (train)\n"
        "  name: is missing\n",
    )


def test_job_file_is_sent_unchanged(api: FakeApi, capsys: Captured, tmp_path: Path) -> None:
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
    assert "is a valid job file: n (command)" in capsys.readouterr().out
    file.write_text(json.dumps(described | {"name": ""}))
    assert pricetag(["submit", str(file), "--check"]) == 2
    assert "name" in complaint(capsys)


@pytest.mark.parametrize(("status", "code"), [("succeeded", 0), ("failed", 3), ("cancelled", 4)])
def test_exit_code_of_waiting_depends_on_the_run_status(
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
    assert f"MiniLM [int8] | {status.replace('cancelled', 'canceled')}" in out
    assert "14.4 Wh (12.8 to 17.4 Wh; modelled)" in out
    assert "0.954 lb CO2e/kWh" in out
    assert pricetag(["show", RUN_ID, "--wait", "--json"]) == code
    out, again = capsys.readouterr()
    assert again == err
    document = json.loads(out)
    assert document["run"]["status"] == status
    assert document["price_tag"]["schema"] == "pricetag/1"


def test_show_prints_the_version_and_the_re_pricing(api: FakeApi, capsys: Captured) -> None:
    api.answers[f"GET /v1/runs/{RUN_ID}"] = Answer(run())
    issued(api)
    assert pricetag(["show", RUN_ID]) == 0
    assert "Version 1" in [line.strip() for line in capsys.readouterr().out.splitlines()]
    issued(api, "attempt-ended", "repriced", as_of="2026-03-01T23:59:59.999999+00:00")
    assert pricetag(["show", RUN_ID]) == 0
    assert "Version 2: re-priced with the factors known on 2026-03-01" in capsys.readouterr().out
    assert pricetag(["show", RUN_ID, "--json"]) == 0
    output = said(capsys)
    assert (output["price_tag_version"]["version"], output["price_tag_version"]["cause"]) == (
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


def test_broken_event_stream_resumes_after_the_last_event(
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


def test_interrupted_wait_prints_how_to_continue(
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
    items_shown, items = items, []
    assert pricetag(["logs", RUN_ID]) == 0
    assert tuple(capsys.readouterr()) == ("", "pricetag: the log of this run is empty\n")
    items = items_shown
    assert pricetag(["logs", RUN_ID, "-f", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == items


@pytest.mark.parametrize("key", ["", " ", "a ", "a b", "a\n", "a\tb", "ü", "\udcff", "k" * 201])
def test_an_idempotency_key_that_a_header_cannot_hold_is_wrong_usage(
    key: str, api: FakeApi, capsys: Captured, tmp_path: Path
) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("name: x\n")
    assert pricetag(["submit", str(job), "--key", key]) == 2
    message = capsys.readouterr().err.strip()
    assert message.count("\n") == 0
    assert "--key" in message
    assert not api.asked
    with Client(api.url, "pt_x") as client, pytest.raises(ValueError, match="idempotency_key"):
        client.create_run({}, idempotency_key=key)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name: x\ntext: gr\xfc\xdf\n", "line 2, byte 0xfc; save it as UTF-8"),
        ("name: x\n".encode("utf-16"), "it begins as UTF-16 does; save it as UTF-8"),
    ],
)
@pytest.mark.parametrize("check", [[], ["--check"]])
def test_a_job_file_in_another_encoding_is_named_with_its_line(
    content: bytes, words: str, check: list[str], api: FakeApi, capsys: Captured, tmp_path: Path
) -> None:
    job = tmp_path / "job.yaml"
    job.write_bytes(content)
    assert pricetag(["submit", str(job), *check]) == 2
    assert f"is not UTF-8 text: {words}" in capsys.readouterr().err


def test_a_run_that_is_here_and_on_the_server_is_shown_from_where_it_is_wanted(
    api: FakeApi, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path))
    own = plant(tmp_path / "local")
    (own.folder / "pushed.json").write_text(json.dumps({api.url: {"at": "2026-03-04", "size": 1}}))
    page = f"/v1/runs/{LOCAL_ID}"
    api.answers[f"GET {page}"] = Answer(run(id=LOCAL_ID))
    missing = problem(404, "price-tag-not-found", "The price tag has no version 2.")
    api.answers[f"GET {page}/price-tag"] = missing
    short = LOCAL_ID[:8]
    for command in ("show", "verify"):
        assert pricetag([command, short]) == 0
        hint = f"that of the server, with its newest price tag: pricetag {command} {short} --server"
        assert hint in capsys.readouterr().err
        assert pricetag([command, short, "--local"]) == 0
        assert capsys.readouterr().err == ""
    assert api.asked == []
    assert pricetag(["show", short, "--server"]) == 0
    assert "No price tag yet" in capsys.readouterr().out
    assert pricetag(["show", short, "--version", "2"]) == 1
    assert "has no version 2" in complaint(capsys)
    assert api.asked[-1].query == "version=2"
    assert pricetag(["verify", short, "--server"]) == 2
    assert pricetag(["show", short, "--version", "2", "--local"]) == 1
    assert "the copy on this machine has no version 2" in capsys.readouterr().err
    assert pricetag(["show", short, "--local", "--server"]) == 2
    assert pricetag(["report", short, "--format", "md"]) == 0
    assert "this report is on the copies on this machine" in capsys.readouterr().err
    count = len(api.asked)
    assert pricetag(["report", short, "--format", "md", "--server"]) == 1
    assert len(api.asked) > count
