"""Commands about papers; each response is of the schema of the API."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any, get_args

import pytest

from app.schemas.papers import PaperList, PaperRead
from pricetag.cli import papers
from pricetag.cli.app import run as pricetag
from pricetag.tag.paper import PURPOSES
from tests.support.fake_api import RUN_ID, Answer, FakeApi

Captured = pytest.CaptureFixture[str]
PAPER_ID = "6f0c0d0e-0000-4000-8000-0000000000aa"
SUMMARY: dict[str, Any] = {
    **{"id": PAPER_ID, "project": "text", "title": "Small encoders", "authors": None},
    **{"created_at": "2026-03-01T12:00:00Z", "frozen_at": None, "selection_sha256": None},
}
RUN: dict[str, Any] = {
    **{"run_id": RUN_ID, "name": "best", "project": "text", "experiment": "sst2"},
    **{"status": "succeeded", "purpose": "final", "origin": "added", "version": 2},
    **{"price_tag_sha256": "ab" * 32, "run_origin": "queue", "measured_by": None},
}


def read(**changes: Any) -> Answer:
    more = {"rule": None, "is_own": True, "runs": [RUN], "published": [], "reports": []}
    whole = PaperRead.model_validate(SUMMARY | more | changes)
    return Answer(whole.model_dump(mode="json"))


def printed(capsys: Captured) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_the_purposes_are_those_of_the_library() -> None:
    assert get_args(papers.Purpose) == PURPOSES


def test_a_paper_is_created_by_a_rule_or_by_runs(api: FakeApi, capsys: Captured) -> None:
    api.answers["POST /v1/papers"] = read()
    create = ["paper", "create", "Small encoders", "--project", "text"]
    assert pricetag([*create, "--tag", "sst2"]) == 0
    assert json.loads(api.asked[-1].body)["rule"] == {"tags": ["sst2"]}
    assert "1 run, 1 with a price tag collecting" in printed(capsys)
    assert pricetag(create) == 0
    assert json.loads(api.asked[-1].body)["rule"] == {}
    assert pricetag([*create, "--run", RUN_ID]) == 0
    body = json.loads(api.asked[-1].body)
    assert (body["runs"], body["rule"]) == ([RUN_ID], None)


def test_a_paper_is_named_by_the_beginning_of_its_id(api: FakeApi, capsys: Captured) -> None:
    listed = PaperList.model_validate({"items": [SUMMARY], "next_cursor": None})
    api.answers["GET /v1/papers"] = Answer(listed.model_dump(mode="json"))
    api.answers[f"GET /v1/papers/{PAPER_ID}"] = read()
    assert pricetag(["paper", "show", "6f0c"]) == 0
    output = printed(capsys)
    assert "best sst2 succeeded final version 2" in output
    assert pricetag(["paper", "show", "7777"]) == 1
    assert pricetag(["paper", "show", "6f"]) == 2
    assert pricetag(["paper", "list"]) == 0
    assert "Small encoders text collecting" in printed(capsys)


def test_runs_get_a_purpose_and_a_frozen_paper_its_hash(api: FakeApi, capsys: Captured) -> None:
    api.answers[f"POST /v1/papers/{PAPER_ID}/runs"] = read()
    assert pricetag(["paper", "add", PAPER_ID, RUN_ID, "--purpose", "final"]) == 0
    assert json.loads(api.asked[-1].body) == {"runs": [RUN_ID], "purpose": "final"}
    frozen = {"frozen_at": "2026-03-02T12:00:00Z", "selection_sha256": "cd" * 32}
    api.answers[f"POST /v1/papers/{PAPER_ID}/freeze"] = read(**frozen)
    assert pricetag(["paper", "freeze", PAPER_ID]) == 0
    output = printed(capsys)
    assert f"selection {'cd' * 32}" in output
    assert "next: pricetag paper archive 6f0c0d0e, pricetag share paper 6f0c0d0e" in output


def test_a_paper_is_edited_emptied_and_deleted(api: FakeApi, capsys: Captured) -> None:
    rule = {
        **{"experiment": None, "tags": ["typo"], "status": [], "kind": None},
        **{"created_after": None, "created_before": None},
    }
    empty = read(runs=[], rule=rule)
    api.answers[f"PATCH /v1/papers/{PAPER_ID}"] = empty
    assert pricetag(["paper", "edit", PAPER_ID, "--tag", "typo"]) == 0
    assert json.loads(api.asked[-1].body) == {"rule": {"tags": ["typo"]}}
    assert "no run matches yet (tag typo); change it with: pricetag paper edit" in printed(capsys)
    assert pricetag(["paper", "edit", PAPER_ID, "--no-rule"]) == 0
    assert json.loads(api.asked[-1].body) == {"rule": None}
    assert pricetag(["paper", "edit", PAPER_ID]) == 2
    assert pricetag(["paper", "edit", PAPER_ID, "--no-rule", "--tag", "t"]) == 2
    api.answers[f"DELETE /v1/papers/{PAPER_ID}/runs/{RUN_ID}"] = Answer(None, status=204)
    api.answers[f"GET /v1/papers/{PAPER_ID}"] = empty
    assert pricetag(["paper", "remove", PAPER_ID, RUN_ID]) == 0
    api.answers[f"DELETE /v1/papers/{PAPER_ID}"] = Answer(None, status=204)
    capsys.readouterr()
    assert pricetag(["paper", "delete", PAPER_ID]) == 0
    assert printed(capsys) == f"{PAPER_ID}: deleted"


def test_the_archive_is_written_and_something_else_is_not_verified(
    api: FakeApi, capsys: Captured, tmp_path: Path
) -> None:
    api.answers[f"GET /v1/papers/{PAPER_ID}/archive.zip"] = Answer(b"PK", kind="application/zip")
    file = tmp_path / "a.zip"
    assert pricetag(["paper", "archive", PAPER_ID, "-o", str(file)]) == 0
    assert file.read_bytes() == b"PK"
    assert pricetag(["paper", "verify", str(file)]) == 2
    capsys.readouterr()
    assert pricetag(["paper", "verify", str(tmp_path)]) == 1
    assert "checks.json is missing: not a paper's archive" in printed(capsys)
    assert pricetag(["paper", "verify", str(tmp_path), "--selection", "abc"]) == 2
    assert "--selection abc: must be the 64 hex digits" in capsys.readouterr().err


def test_a_cut_or_damaged_archive_is_described(capsys: Captured, tmp_path: Path) -> None:
    file = tmp_path / "paper.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("paper.json", "0" * 3000)
    whole = file.read_bytes()

    def complaint(content: bytes, command: list[str]) -> str:
        file.write_bytes(content)
        assert pricetag([*command, str(file)]) == 2
        return capsys.readouterr().err.replace(str(file), "FILE")

    for command in (["paper", "verify"], ["verify"]):
        cut = complaint(whole[:-200], command)
        size = f"({len(whole) - 200:,} bytes)"
        assert f"FILE {size} is cut: the end of the ZIP file is missing" in cut
        changed = complaint(whole.replace(b"0000", b"0001", 1), command)
        assert "is damaged (Bad CRC-32 for file 'paper.json')" in changed
    assert "(2 bytes) is not a paper's archive" in complaint(b"no", ["paper", "verify"])


def test_the_latex_of_a_paper_is_written_with_its_figures(
    api: FakeApi, capsys: Captured, tmp_path: Path
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("report.tex", "tables.tex", "figure-1.pdf", "figure-2.pdf"):
            archive.writestr(name, name)
    made = {"id": RUN_ID, "content_sha256": "ab" * 32}
    api.answers[f"POST /v1/papers/{PAPER_ID}/reports"] = Answer(made, status=201)
    api.answers[f"GET /v1/reports/{RUN_ID}.tex"] = Answer(b"tex", kind="application/x-tex")
    latex = Answer(packed.getvalue(), kind="application/zip")
    api.answers[f"GET /v1/papers/{PAPER_ID}/files/latex.zip"] = latex
    assert pricetag(["paper", "report", PAPER_ID, "--format", "tex", "-o", str(tmp_path)]) == 0
    written = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert written == {
        f"report-{RUN_ID[:8]}.tex": b"tex",
        "figure-1.pdf": b"figure-1.pdf",
        "figure-2.pdf": b"figure-2.pdf",
    }
    assert "figure-2.pdf" in printed(capsys)


def test_published_rows_come_from_the_catalog_and_from_a_table(
    api: FakeApi, capsys: Captured, tmp_path: Path
) -> None:
    table = tmp_path / "rows.csv"
    table.write_text(
        "model,hardware,hours,source,year,pue,currency\nWider,H100 x 2,12.5,Hopper 2025,2025,,\n"
    )
    row = {"model": "Wider", "hardware": "H100 x 2", "hours": 12.5, "source": "Hopper 2025"}
    nothing = dict.fromkeys(("id", "currency", "source_url", "basis", "note", "licence"))
    shown = {**row, **nothing, "year": 2025, "origin": "entered"}
    api.answers["POST /v1/papers"] = read(runs=[], published=[shown])
    create = ["paper", "create", "T", "--project", "text", "--published", "strubell2019"]
    assert pricetag([*create, "--rows", str(table), "--no-rule"]) == 0
    body = json.loads(api.asked[-1].body)
    assert (body["published"], body["rule"]) == (["strubell2019"], None)
    assert body["entered"] == [row | {"year": 2025}]
    assert "0 runs, 0 with a price tag; 1 published row" in printed(capsys)
    assert pricetag(create) == 0
    assert json.loads(api.asked[-1].body)["rule"] == {}
    api.answers[f"PATCH /v1/papers/{PAPER_ID}"] = read()
    assert pricetag(["paper", "edit", PAPER_ID, "--no-published"]) == 0
    assert json.loads(api.asked[-1].body) == {"published": [], "entered": []}
    # The tag of a study takes the beginning of its ID.
    api.answers["GET /v1/studies"] = Answer({"items": [{"id": RUN_ID}], "next_cursor": None})
    assert pricetag([*create, "--tag", f"study:{RUN_ID[:6]}", "--tag", "study:mine"]) == 0
    tags = json.loads(api.asked[-1].body)["rule"]["tags"]
    assert tags == [f"study:{RUN_ID}", "study:mine"]
    assert pricetag(["paper", "edit", PAPER_ID, "--tag", f"study:{RUN_ID[:6]}"]) == 0
    assert json.loads(api.asked[-1].body)["rule"]["tags"] == [f"study:{RUN_ID}"]
    api.answers[f"GET /v1/papers/{PAPER_ID}"] = read(published=[shown])
    assert pricetag(["paper", "show", PAPER_ID]) == 0
    assert "Wider H100 x 2 12.5 Hopper 2025" in printed(capsys)
    table.write_text("model,hours\nWider,long\n")
    assert pricetag([*create, "--rows", str(table)]) == 2
    assert "row 1, hours: must be a number (got 'long')" in " ".join(
        capsys.readouterr().err.split()
    )
    # What the server rejects is named in the same way: by file, row and column.
    fault = {"field": "entered.1.hoers", "message": "is not a known field", "hint": None}
    problem = {"code": "invalid-request", "detail": "entered.1.hoers: is not a known field"}
    api.answers["POST /v1/papers"] = Answer(problem | {"errors": [fault]}, status=422)
    table.write_text("model,hoers\nWider,1\nWider,2\n")
    assert pricetag([*create, "--rows", str(table)]) != 0
    message = "".join(capsys.readouterr().err.split())
    assert "rows.csv,row2,hoers:isnotaknownfield" in message
    assert "entered" not in message


def test_a_link_and_a_report_are_named_by_the_beginning_of_their_ids(
    api: FakeApi, capsys: Captured
) -> None:
    page = Answer({"items": [{"id": PAPER_ID}], "next_cursor": None})
    api.answers["GET /v1/me"] = Answer({"role": "member"})
    link = {"id": PAPER_ID, "kind": "run", "title": "best"}
    api.answers |= {"GET /v1/shares": page, f"DELETE /v1/shares/{PAPER_ID}": Answer(link)}
    assert pricetag(["share", "withdraw", PAPER_ID[:8]]) == 0
    assert printed(capsys) == "run best: link withdrawn"
    assert pricetag(["share", "withdraw", "7777"]) == 1
    assert "no share link has an ID that begins with '7777'" in capsys.readouterr().err
    api.answers["GET /v1/reports"] = page
    assert pricetag(["share", "report", "6f"]) == 2
    pricetag(["share", "report", PAPER_ID[:8]])
    assert json.loads(api.asked[-1].body)["report"] == PAPER_ID


def test_a_rule_ends_before_a_run_that_never_ends(api: FakeApi, capsys: Captured) -> None:
    rule: dict[str, Any] = {
        **{"experiment": "sst2", "tags": [], "status": [], "kind": None},
        **{"created_after": None, "created_before": None},
    }
    api.answers[f"GET /v1/papers/{PAPER_ID}"] = read(rule=rule)
    api.answers[f"PATCH /v1/papers/{PAPER_ID}"] = read(rule=rule)
    edit = ["paper", "edit", PAPER_ID]
    ended = ["--status", "succeeded", "--status", "failed"]
    assert pricetag([*edit, *ended, "--created-before", "2026-04-01T00:00:00Z"]) == 0
    assert json.loads(api.asked[-1].body)["rule"] == {
        **{"experiment": "sst2", "status": ["succeeded", "failed"]},
        "created_before": "2026-04-01T00:00:00Z",
    }
    assert pricetag([*edit, "--tag", "a", *ended]) == 0
    replaced = {"tags": ["a"], "status": ["succeeded", "failed"]}
    assert json.loads(api.asked[-1].body)["rule"] == replaced
    api.answers["POST /v1/papers"] = read(rule=rule)
    create = ["paper", "create", "T", "--project", "text", "--created-after", "2026-03-01T00:00Z"]
    assert pricetag(create) == 0
    assert json.loads(api.asked[-1].body)["rule"] == {"created_after": "2026-03-01T00:00Z"}
    api.answers[f"GET /v1/papers/{PAPER_ID}"] = read(rule=None)
    capsys.readouterr()
    assert pricetag([*edit, *ended]) == 2
    assert "the paper has no rule" in " ".join(capsys.readouterr().err.split())


def test_new_authors_reach_the_files_with_the_next_report(api: FakeApi, capsys: Captured) -> None:
    made = {"id": RUN_ID, "title": "T", "profile": "site", "created_at": SUMMARY["created_at"]}
    reports = [made | {"content_sha256": "ab" * 32}]
    api.answers[f"PATCH /v1/papers/{PAPER_ID}"] = read(reports=reports)
    note = "create one with these authors: pricetag paper report 6f0c0d0e"
    assert pricetag(["paper", "edit", PAPER_ID, "--authors", "Lovelace, Ada"]) == 0
    assert note in printed(capsys)
    assert pricetag(["paper", "edit", PAPER_ID, "--title", "Smaller"]) == 0
    assert note not in printed(capsys)
