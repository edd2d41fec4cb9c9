from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pricetag.accounting.units import joules_to_kwh
from pricetag.cli.app import run as pricetag
from pricetag.cli.console import CliError
from pricetag.cli.local_runs import matching_runs, verify_local
from pricetag.cli.views.runs import runs_view
from pricetag.local.accompany import environment
from pricetag.local.begun import LOST, Begun
from pricetag.local.request import Request
from pricetag.local.runs import METER_LOST, LocalRuns
from pricetag.local.settings import LocalSettings, LocalSite
from pricetag.local.settling import UnsettledError, settled
from pricetag.local.summary import summary_text
from pricetag.metering.journal import Journal
from tests.support.local_runs import (
    ATTEMPT_ID,
    POWER_W,
    RUN_ID,
    plant,
    reading,
    records,
    start_record,
)

NO_FILTER = dict.fromkeys(("project", "experiment", "user", "tag", "status", "kind", "origin", "q"))


def test_a_journal_becomes_a_price_tag_with_the_site_s_factors() -> None:
    document = settled(records())
    tag = document["price_tag"]
    assert tag["it_energy_kwh"]["value"] == pytest.approx(joules_to_kwh(10 * POWER_W))
    assert tag["facility_energy_kwh"]["value"] == pytest.approx(1.25 * joules_to_kwh(10 * POWER_W))
    assert tag["co2e_kg"]["value"] == pytest.approx(1.25 * joules_to_kwh(10 * POWER_W) * 0.1)
    (stage,) = tag["stages"]
    assert stage["it_energy_kwh"]["value"] == pytest.approx(joules_to_kwh(4 * POWER_W))
    assert [(score["metric"], score["value"]) for score in tag["quality"]] == [("accuracy", 0.5)]
    run = document["run"]
    assert (run["status"], run["origin"], run["project"]) == ("succeeded", "local", "reviews")


def test_a_journal_without_an_end_is_not_settled() -> None:
    with pytest.raises(UnsettledError, match="no end"):
        settled(records(ends=False))


def test_a_price_tag_is_computed_again_from_its_journal(tmp_path: Path) -> None:
    run = plant(tmp_path)
    assert verify_local(run)["outcome"] == "verified"


def test_verification_notices_a_changed_reading_and_a_changed_figure(tmp_path: Path) -> None:
    run = plant(tmp_path)
    text = run.journal.read_text()
    run.journal.write_text(text.replace('"counter_j":400.0', '"counter_j":390.0'))
    assert str(verify_local(run)["first_difference"]).startswith("attempts[0].co2e_kg")
    run.journal.write_text(text.split("\n", 1)[1])
    assert verify_local(run)["first_difference"] == "the journal has no start"
    run.journal.write_text(text)
    assert run.price_tag is not None
    run.price_tag["co2e_kg"]["value"] /= 2
    steps = {step["step"]: step["status"] for step in verify_local(run)["steps"]}
    assert steps == {"content-hash": "differs", "arithmetic": "differs"}


def test_a_run_whose_meter_died_is_settled_with_what_it_had(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / RUN_ID, ATTEMPT_ID)
    journal.append_all(records(ends=False))
    runs = LocalRuns(tmp_path)
    assert runs.settle() == []  # its writer is alive
    (running,) = runs.all()
    assert (running.run["status"], running.price_tag) == ("running", None)
    journal.close()
    assert runs.settle() == []
    (run,) = runs.all()
    assert run.run["status_reason"] == METER_LOST
    assert run.price_tag is not None
    energy = run.price_tag["it_energy_kwh"]
    assert energy["value"] == pytest.approx(joules_to_kwh(10 * POWER_W))
    # What may have been used after the last reading is in the interval.
    assert energy["high"] > 1.1 * energy["value"]
    assert verify_local(run)["outcome"] == "verified"


def test_a_meter_needs_no_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert environment()["git_commit"] is None


def test_a_torn_last_line_costs_only_itself(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / RUN_ID, ATTEMPT_ID)
    journal.append_all(records(ends=False))
    journal.close()
    with journal.path.open("ab") as file:
        file.write(b'{"seq": 14, "type": "reading", "t_s": 11.0, "coun')
    runs = LocalRuns(tmp_path)
    assert runs.settle() == []
    (run,) = runs.all()
    assert run.price_tag is not None
    assert run.price_tag["duration_s"]["value"] == 10.0


def test_a_meter_that_died_before_its_first_record_leaves_nothing(tmp_path: Path) -> None:
    Journal.create(tmp_path / RUN_ID, ATTEMPT_ID).close()
    runs = LocalRuns(tmp_path)
    assert runs.settle() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("has_journal", [False, True])
def test_a_program_whose_meter_died_at_once_is_a_run_without_figures(
    tmp_path: Path, has_journal: bool
) -> None:
    request = Request("short", "program", ("true",), project="reviews")
    folder = tmp_path / request.folder_name
    folder.mkdir()
    note = Begun(folder, request, LocalSettings(tmp_path, LocalSite(pue=1.2), "local"))
    if has_journal:
        Journal.create(folder, request.attempt_id).close()
    runs = LocalRuns(tmp_path)
    if not has_journal:
        assert runs.settle() == []
        assert runs.all() == []  # its meter is alive, and opens
    note._file.close()  # as when the process is killed
    assert runs.settle() == []
    (run,) = runs.all()
    assert (run.run["status"], run.run["project"]) == ("failed", "reviews")
    assert run.run["status_reason"] == LOST
    assert run.price_tag is not None
    assert run.price_tag["it_energy_kwh"]["value"] is None
    assert run.price_tag["it_energy_kwh"]["reason"]
    assert verify_local(run)["outcome"] == "verified"
    assert {path.name for path in folder.iterdir()} == {"run.json", run.journal.name}


def test_a_run_that_cannot_be_settled_is_named_and_kept(tmp_path: Path) -> None:
    start = start_record()
    start["factors"] = {**start["factors"], "grid_g_per_kwh": None, "grid_zone": "atlantis"}
    journal = Journal.create(tmp_path / RUN_ID, ATTEMPT_ID)
    journal.append_all([start, reading(0.0), reading(1.0)])
    journal.close()
    (problem,) = LocalRuns(tmp_path).settle()
    assert "atlantis" in problem
    assert journal.path.exists()


def test_local_runs_are_listed_by_the_filters_that_need_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path))
    plant(tmp_path / "local")
    filters = {**NO_FILTER, "sort": "-created_at"}
    (listed,) = matching_runs(filters, 5)
    assert listed["price_tag"]["it_energy_kwh"] == pytest.approx(joules_to_kwh(10 * POWER_W))
    for name, matching, other in (
        ("project", "reviews", "else"),
        ("experiment", "first", "else"),
        ("tag", ["night"], ["day"]),
        ("status", ["succeeded"], ["failed"]),
        ("origin", ["local", "slurm"], ["import"]),
        ("q", "plan night", "plan day"),
    ):
        assert len(matching_runs({**filters, name: matching}, 5)) == 1, name
        assert matching_runs({**filters, name: other}, 5) == [], name
    with pytest.raises(CliError, match="--user needs the server"):
        matching_runs({**filters, "user": "me"}, 5)
    with pytest.raises(CliError, match="--origin nope: must be queue, local"):
        matching_runs({**filters, "origin": ["nope"]}, 5)
    assert "Origin" not in str(runs_view([listed]).heads)
    mixed = runs_view([listed, {**listed, "origin": "import"}])
    assert [row[2] for row in mixed.rows] == ["local", "import"]


def test_commands_without_a_server_state_what_is_missing_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PRICETAG_URL", raising=False)
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path))
    for command, words in (
        (["show", "last"], "there are no local runs yet, and there is no server to connect to"),
        (["show", "aaaa"], "no local run has an ID that begins with 'aaaa', and there is no serv"),
        (["compare", "aaaa", "bbbb"], "'compare' needs a server, and there is no server to conn"),
    ):
        assert pricetag(command) == 2, command
        assert words in capsys.readouterr().err, command
    run = plant(tmp_path / "local")
    selected = ["report", "--local", "--format", "md", "-o", str(tmp_path)]
    assert pricetag([*selected, "--project", "reviews", "--tag", "night"]) == 0
    assert "report: Price of reviews, night" in capsys.readouterr().out
    assert pricetag([*selected, "--project", "else"]) == 2
    assert "no local run that has ended matches" in capsys.readouterr().err
    assert pricetag(["verify", f"{RUN_ID[:8]}@1"]) == 0
    assert pricetag(["verify", f"{RUN_ID[:8]}@2", "--local"]) == 2
    assert "has no version 2" in capsys.readouterr().err
    file = tmp_path / "tag.json"
    for changed, code in (({}, 0), ({"name": "another"}, 1)):
        file.write_text(json.dumps({**(run.price_tag or {}), **changed}))
        assert pricetag(["verify", str(file), "--local"]) == code
        assert "as this machine stores it" in capsys.readouterr().out


def test_the_result_is_json_that_names_its_schema(tmp_path: Path) -> None:
    run = plant(tmp_path)
    stored = json.loads((run.folder / "run.json").read_text())
    assert stored["schema"] == "pricetag-local/1"


def test_a_run_without_a_journal_is_not_checked_and_a_spoiled_result_is_named(
    tmp_path: Path,
) -> None:
    run = plant(tmp_path)
    result = run.folder / "run.json"
    whole = result.read_text()
    runs = LocalRuns(tmp_path)
    for text, reason in (("", "it is empty"), ("{}", "it contains no run"), ("{", "Expecting")):
        result.write_text(text)
        (problem,) = runs.unreadable(RUN_ID[:8])
        assert f"{result} cannot be read: {reason}" in problem
        assert runs.all() == []
    assert "remove it to settle the run again from its journal" in problem
    result.unlink()
    assert runs.settle() == []
    assert json.loads(result.read_text())["price_tag"] == json.loads(whole)["price_tag"]
    run.journal.unlink()
    report = verify_local(run)
    assert report["outcome"] == "not-fully-checked"
    assert report["steps"][-1]["detail"] == "the journal cannot be read: there is no journal"


def test_commands_on_local_runs_name_the_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path))
    run = plant(tmp_path / "local")
    shutil.copytree(run.folder, run.folder.with_name("1" + RUN_ID[1:]))
    assert pricetag(["runs", "--local", "--limit", "1", "--json"]) == 0
    output = capsys.readouterr()
    assert len(json.loads(output.out)) == 1
    assert output.err == "pricetag: 1 more not shown: use --limit 2 to list all\n"
    (run.folder / "run.json").write_text("")
    for command, code, words in (
        (["runs", "--local", "--status", "nope"], 2, "must be queued, running, succeeded"),
        (["runs", "--local"], 0, "run.json cannot be read: it is empty"),
        (["show", "--local", RUN_ID[:8]], 1, "run.json cannot be read: it is empty"),
        (["show", "--local", RUN_ID[:3]], 2, "too short: use at least 4 characters"),
    ):
        assert pricetag(command) == code, command
        assert words in capsys.readouterr().err, command
    assert pricetag(["runs", "--local", "--status", "failed"]) == 0
    assert capsys.readouterr().out == "No matching local runs.\n"
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(file))
    assert pricetag(["runs", "--local"]) == 2
    assert f"the data folder {file} cannot be read: Not a directory" in capsys.readouterr().err


def test_a_short_run_states_at_its_end_what_was_metered() -> None:
    whole = settled(records())
    late = [each for each in records() if each["type"] != "reading" or each["t_s"] >= 6.0]
    assert "Metered" not in summary_text(whole)
    (line,) = (line for line in summary_text(settled(late)).splitlines() if "  Metered " in line)
    assert line.endswith("  40.0% of the time")
    assert "those of the metered time alone" in summary_text(settled(late))
    energy, emissions = (
        next(line for line in summary_text(settled(late)).splitlines() if f"  {label} " in line)
        for label in ("IT energy", "CO2e")
    )
    assert "at least " in energy
    assert "at least " in emissions
    assert "at least " not in summary_text(whole)


def test_a_killed_run_has_one_status_and_its_other_scores_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path))
    *others, end = records()
    at = next(n for n, each in enumerate(others) if each["type"] == "metric")
    score = {**others[at], "name": "val_acc", "value": 0.75, "split": "validation"}
    lost = {**end, "status": "lost", "reason": METER_LOST}
    run = plant(tmp_path / "local", [*others[:at], score, *others[at:], lost])
    assert (run.run["status"], run.run["kind"]) == ("failed", "command")
    assert (run.folder / "run.json").stat().st_mode & 0o777 == 0o600
    assert pricetag(["show", RUN_ID, "--local"]) == 0
    shown = capsys.readouterr().out
    assert "planted  (failed)" in shown
    assert "val_acc 0.75" in shown
