"""`pricetag report`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pricetag.cli.app import run as pricetag
from pricetag.cli.console import CliError
from pricetag.cli.reports import download
from pricetag.client import Client
from tests.support.commands import OTHER_ID, Captured, complaint, said
from tests.support.fake_api import RUN_ID, Answer, FakeApi, problem, run


def test_report_is_created_and_written(api: FakeApi, capsys: Captured, tmp_path: Path) -> None:
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
def test_report_uses_the_selected_version(
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
        ([RUN_ID, OTHER_ID, "--version", "1"], "--version needs a single RUN"),
        ([f"{RUN_ID}@1", "--version", "1"], "--version needs a single RUN"),
        (["--project", "p", "--version", "1"], "--version needs a single RUN"),
        ([f"{RUN_ID}@x"], "a version is a whole number from 1"),
        ([f"{RUN_ID}@0"], "a version is a whole number from 1"),
        ([f"{RUN_ID}@1", f"{RUN_ID}@2"], "named with several versions"),
        ([f"{RUN_ID}@1", RUN_ID], "named with several versions"),
    ],
)
def test_invalid_versions_are_rejected(
    api: FakeApi, capsys: Captured, arguments: list[str], message: str
) -> None:
    api.answers[f"GET /v1/runs/{RUN_ID}"] = Answer(run())
    assert pricetag(["report", *arguments]) == 2
    assert message in complaint(capsys)
    assert all(request.method == "GET" for request in api.asked)


def test_a_run_without_a_price_tag_is_named_as_typed(api: FakeApi, capsys: Captured) -> None:
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
        ([RUN_ID, "--project", "p"], "with --project, --experiment and --tag, not both"),
        ([RUN_ID, "--format", "docx"], "--format docx: must be all, or some of html"),
    ],
)
def test_report_requires_runs_and_known_formats(
    arguments: list[str], message: str, api: FakeApi, capsys: Captured
) -> None:
    assert pricetag(["report", *arguments]) == 2
    assert message in complaint(capsys)
    assert api.asked == []


@pytest.mark.parametrize("name", ["../x", "..", ".", "a/b", "a?b"])
def test_an_id_in_a_path_cannot_lead_elsewhere(
    name: str, api: FakeApi, capsys: Captured, tmp_path: Path
) -> None:
    assert pricetag(["report", "--id", name, "-o", str(tmp_path)]) == 1
    assert api.asked
    assert all(request.path.startswith("/v1/reports/") for request in api.asked)
    assert all(request.path.count("/") == 3 for request in api.asked)


def test_a_file_as_the_report_s_folder_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "afile").write_text("")
    with Client("http://127.0.0.1:1", "pt_x") as client, pytest.raises(CliError) as caught:
        download(client, "6f0c0d0e", ["md"], tmp_path / "afile")
    assert caught.value.exit_code == 2
    assert "is a file; name a folder" in str(caught.value)


def test_the_table_of_glue_is_printed_and_its_report_written(
    api: FakeApi, capsys: Captured, tmp_path: Path
) -> None:
    report_id = "aaaaaaaa-0000-4000-8000-000000000001"
    columns = [{"label": label, "align": "right", "weight": 1} for label in ("Model", "RTE", "Wh")]
    table = {
        "caption": "Scores on GLUE's development sets",
        "columns": columns,
        "rows": [{"cells": ["bert-base: train", "66.0 ± 1.2", "92.5"], "total": False}],
        "notes": ["RTE: accuracy."],
    }
    lines = [{"model": "bert-base: train", "rte_accuracy_points": 66.0}]
    context = {"runs": [], "sections": [{"id": "glue", "tables": [table]}], "lines": lines}
    api.answers |= {
        f"GET /v1/runs/{RUN_ID}": Answer(run()),
        "POST /v1/reports": Answer({"id": report_id, "title": "T", "context": context}, 201),
        f"GET /v1/reports/{report_id}.md": Answer("# x", kind="text/markdown"),
    }
    arguments = ["report", RUN_ID, "--table", "glue", "--format", "md", "-o", str(tmp_path)]
    assert pricetag(arguments) == 0
    printed = capsys.readouterr().out
    assert "bert-base: train  66.0 ± 1.2  92.5" in printed
    assert "RTE: accuracy." in printed
    assert f"report {report_id}" in printed
    posted = next(request for request in api.asked if request.method == "POST")
    assert json.loads(posted.body)["table"] == "glue"
    assert json.loads(posted.body)["title"].startswith("GLUE of ")
    assert pricetag([*arguments, "--json"]) == 0
    assert said(capsys)["rows"] == lines


def test_a_stored_report_has_its_own_table(api: FakeApi, capsys: Captured) -> None:
    assert pricetag(["report", "--id", "x", "--table", "glue"]) != 0
    assert "--table is for a new report" in complaint(capsys)


def test_a_report_by_filters_is_titled_with_their_values(
    api: FakeApi, capsys: Captured, tmp_path: Path
) -> None:
    report_id = "aaaaaaaa-0000-4000-8000-000000000001"
    made = {"id": report_id, "title": "T", "context": {"runs": []}}
    api.answers |= {
        "POST /v1/reports": Answer(made, 201),
        f"GET /v1/reports/{report_id}.md": Answer("# x", kind="text/markdown"),
    }
    filters = ["--project", "text", "--tag", "sst2", "--tag", "paper"]
    assert pricetag(["report", *filters, "--format", "md", "-o", str(tmp_path)]) == 0
    posted = next(request for request in api.asked if request.method == "POST")
    assert json.loads(posted.body)["title"] == "Price of text, sst2, paper"
