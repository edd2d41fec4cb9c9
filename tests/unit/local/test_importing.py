"""Files of other tools become local runs: whole, once, and with who measured them."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pricetag.cli.app import run as pricetag
from pricetag.imports import sacct
from pricetag.imports.imported import Imported
from pricetag.imports.source import Skipped, Source
from pricetag.local.checking import checked
from pricetag.local.importing import NO_ENERGY, Filing, plan
from pricetag.local.runs import LocalRun, LocalRuns
from pricetag.local.settings import LocalSettings, LocalSite
from tests.support.commands import Captured, complaint, said

DATA = Path(__file__).parents[2] / "data/imports"
UTC = ("--time-zone", "UTC")
EXPECTED: dict[str, list[tuple[str, str, float, dict[str, float], int]]] = {
    # file: (name, began, duration in s, IT energy in Wh by component, accelerators)
    "emissions.csv": [
        # The last state of the first run, without its PUE of 1.2.
        ("reviews 11111111", "05:08:20", 220.0, {"cpu": 2.0, "gpu": 10.0, "ram": 0.5}, 2),
        ("reviews 21111111", "05:11:09.500000", 50.5, {"cpu": 0.4, "ram": 0.1}, 0),
    ],
    "2026-03-04T0510Z_carbontracker.log": [
        (
            "2026-03-04T0510Z",
            "05:10:00.100000",
            230.9,
            {"gpu": (136.86084615 * 140.9 + 130.5 * 90) / 3600, "cpu": 13.4 * 90 / 3600},
            1,
        )
    ],
    # The window that contains the two others.
    "zeus.csv": [
        ("training", "04:53:20.400000", 21.0, {"gpu:0": 2200 / 3600, "gpu:1": 1900 / 3600}, 2)
    ],
    "emission.csv": [("bert", "05:10:00", 120.5, {"host": 4.0}, 0)],
    "sacct.txt": [
        ("train", "05:10:00", 3600.0, {"host": 500.0}, 2),
        ("train", "06:10:00", 100.0, {"host": 25.0}, 0),
    ],
}
MEASURED_BY = {
    "emissions.csv": "codecarbon 3.3.2",
    "2026-03-04T0510Z_carbontracker.log": "carbontracker 2.3.4",
    "zeus.csv": "zeus",
    "emission.csv": "eco2ai",
    "sacct.txt": "slurm",
}


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalRuns:
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("PRICETAG_PROJECT", raising=False)
    return LocalRuns(tmp_path / "data" / "local")


def by_start(local: LocalRuns) -> list[LocalRun]:
    return sorted(local.all(), key=lambda run: str(run.run["started_at"]))


def imported(capsys: Captured, *arguments: str | Path) -> dict[str, Any]:
    capsys.readouterr()
    assert pricetag(["import", *map(str, arguments), *UTC, "--json"]) == 0
    document: dict[str, Any] = said(capsys)
    return document


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_of_each_tool_becomes_runs_with_price_tags(
    name: str, local: LocalRuns, capsys: Captured
) -> None:
    (file,) = imported(capsys, DATA / name)["files"]
    assert file["imported"] == len(EXPECTED[name])
    runs = by_start(local)
    assert len(runs) == len(EXPECTED[name])
    for run, (title, began, duration_s, energies_wh, accelerators) in zip(
        runs, EXPECTED[name], strict=True
    ):
        tag = run.price_tag
        assert tag is not None
        assert (run.run["name"], run.run["origin"]) == (title, "import")
        assert run.run["measured_by"] == MEASURED_BY[name]
        assert str(run.run["started_at"]).partition("T")[2] == f"{began}+00:00"
        assert tag["duration_s"]["value"] == pytest.approx(duration_s)
        components = {each["id"]: each for each in tag["components"]}
        assert {part: each["it_energy_kwh"]["value"] for part, each in components.items()} == {
            part: pytest.approx(energy_wh / 1000) for part, energy_wh in energies_wh.items()
        }
        for each in components.values():
            assert (each["method"], each["it_energy_kwh"]["source"]) == ("estimated", "estimated")
            assert each["coverage_ratio"]["value"] == 1
            assert each["it_energy_kwh"]["low"] < each["it_energy_kwh"]["value"]
        assert tag["device_count"] == accelerators
        assert tag["provenance"]["measured_by"] == MEASURED_BY[name]
        assert checked(run).status == "ok"


def test_what_codecarbon_reported_is_kept_beside_the_price_tag(
    local: LocalRuns, capsys: Captured
) -> None:
    imported(capsys, DATA / "emissions.csv")
    run = by_start(local)[0]
    lines = [json.loads(line) for line in run.journal.read_text().splitlines()]
    reported = {line["name"]: line["value"] for line in lines if line["type"] == "metric"}
    assert reported == {
        "codecarbon/energy_consumed": 0.015,
        "codecarbon/emissions": 0.02,
        "codecarbon/pue": 1.2,
    }
    assert run.price_tag is not None
    notes = {each["id"]: each["notes"] for each in run.price_tag["components"]}
    assert notes["gpu"] == (
        "CodeCarbon reported 0.012 kWh (gpu_energy), divided here by its PUE of 1.2"
    )
    assert pricetag(["show", str(run.run["id"]), "--local"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "own figures: codecarbon/energy_consumed 0.015 kWh, codecarbon/emissions 0.02 kg, "
        "codecarbon/pue 1.2." in shown
    )
    for note in notes.values():
        assert note in shown


def test_the_same_file_adds_nothing_and_a_longer_one_what_is_new(
    local: LocalRuns, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "emissions.csv"
    whole = (DATA / "emissions.csv").read_text().splitlines(keepends=True)
    path.write_text("".join(whole[:3]))
    assert imported(capsys, path)["files"][0]["imported"] == 1
    before = by_start(local)[0].journal.read_bytes()
    again = imported(capsys, path, shutil.copy(path, tmp_path / "copy.csv"))["files"]
    assert [(file["imported"], file["present"]) for file in again] == [(0, 1), (0, 1)]
    path.write_text("".join(whole))
    longer = imported(capsys, path)["files"][0]
    assert (longer["imported"], longer["present"]) == (1, 1)
    path.write_text("".join(whole).replace("0.0006,0.0150", "0.0016,0.0160"))
    assert pricetag(["import", str(path), *UTC]) == 0
    out, err = capsys.readouterr()
    assert "line 3: the run " in err
    assert "imported before with other figures, which stay" in err
    assert "0 runs imported" in out
    assert by_start(local)[0].journal.read_bytes() == before
    assert len(local.all()) == 2


def test_a_preview_and_an_error_in_one_of_several_files_write_nothing(
    local: LocalRuns, tmp_path: Path, capsys: Captured
) -> None:
    shown = imported(capsys, DATA / "emissions.csv", DATA / "sacct.txt", "--preview")
    assert [(file["format"], file["new"], file["imported"]) for file in shown["files"]] == [
        ("codecarbon", 2, 0),
        ("sacct", 2, 0),
    ]
    assert shown["files"][1]["skipped"] == {sacct.STEP: 1, sacct.NO_ENERGY: 1, sacct.NOT_ENDED: 1}
    damaged = tmp_path / "sacct.txt"
    damaged.write_text((DATA / "sacct.txt").read_text().replace("|90000", "|many"))
    assert pricetag(["import", str(DATA / "emissions.csv"), str(damaged)]) == 1
    assert complaint(capsys) == (
        f"pricetag: {damaged}, line 6: ConsumedEnergyRaw: must be a number (got 'many'); "
        "nothing is imported\n"
    )
    assert not local.folder.parent.exists()


HEADER = "timestamp,run_id,duration,energy_consumed,cpu_energy"
GOOD = "2026-03-04T05:10:00,a,10,0.001,0.001"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("2026-03-04T05:10:00,a,10,0.001", "it has 4 fields, but the header has 5"),
        ("2026-03-04T05:10:00,a,10,0.001,0.001,9", "it has 6 fields, but the header has 5"),
        ("yesterday,a,10,0.001,0.001", "timestamp: is not a time (got 'yesterday')"),
        ("1970-01-01T00:01:00,a,10,0.001,0.001", "which is before 2000 or in the future"),
        ("2126-03-04T05:10:00,a,10,0.001,0.001", "which is before 2000 or in the future"),
        ("2026-03-04T05:10:00,a,0,0.001,0.001", "the duration is 0 s: it must be above 0, and"),
        ("2026-03-04T05:10:00,a,nan,0.001,0.001", "duration: must be a number (got 'nan')"),
        ("2026-03-04T05:10:00,a,inf,0.001,0.001", "duration: must be a number (got 'inf')"),
        ("2026-03-04T05:10:00,a,1e300,0.001,0.001", "duration: is too long"),
        ("2026-03-04T05:10:00,a,10,0.001,0.002", "less than its parts (0.002 kWh)"),
        ("2026-03-04T05:10:00,a,10,-0.001,", "energy_consumed: must not be negative (got -0.001)"),
        ("2026-03-04T05:10:00,a,10,0.001,nan", "cpu_energy: must be a number (got 'nan')"),
        ("2026-03-04T05:10:00,a,10,1e9,1e9", "is more than 100 kW"),
        ("2026-03-04T05:10:00,a,10,0.001,\xff", "cpu_energy: must be a number"),
        ('2026-03-04T05:10:00,a,10,0.001,"0.001', "it is not a table"),
        (f"2026-03-04T05:10:00,{'a' * 1_000_001},10,0.001,0.001", "more than 1,000,000 characters"),
        (f"2026-03-04T05:10:00,{'a' * 200_000},10,0.001,0.001", "more than 131,072 characters"),
    ],
    ids=lambda text: text[:40],
)
def test_a_damaged_line_is_named_and_nothing_is_imported(
    row: str, problem: str, local: LocalRuns, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "emissions.csv"
    path.write_bytes("\n".join([HEADER, GOOD, row.replace(",a", ",b", 1)]).encode("latin-1"))
    assert pricetag(["import", str(path), *UTC]) == 1
    said_ = complaint(capsys)
    assert said_.startswith(f"pricetag: {path}, line 3: ")
    assert problem in said_
    assert local.all() == []


CARBONTRACKER = "2026-03-04T0510Z_carbontracker.log"


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        ("emissions.csv", "N,1.2,0", "N,0,0", "line 2: pue: must be at least 1 (got 0)"),
        ("emissions.csv", "N,1.2,0", "N,nan,0", "line 2: pue: must be a number (got 'nan')"),
        ("emissions.csv", ",0.0024,", ",-0.0024,", "line 3: cpu_energy: must not be negative"),
        ("emissions.csv", ",0.02,", ",-0.02,", "line 3: emissions: must not be negative"),
        ("emissions.csv", ",0.0005,", ",5,", "is 5 kWh, but cpu_energy, gpu_energy and ram_energy"),
        ("emissions.csv", ",0.006,0.0003,0.0075", ",0.06,0.0003,0.0615", "below that of line 2"),
        ("emissions.csv", ",220.0,", ",90,", "its duration, 90 s, is below that of line 2"),
        ("emission.csv", ",0.002,", ",-0.002,", "line 2: CO2_emissions(kg): must not be negative"),
        ("zeus.csv", ",1900.0", ",-1900.0", "line 4: gpu1_energy: must not be negative"),
        (
            "zeus.csv",
            ".4,training,21.0",
            ".4,training,15.0",
            "line 4: this window and that of line",
        ),
        ("sacct.txt", "|90000", "|1.80M", "ConsumedEnergyRaw: must be joules, without a prefix"),
        ("sacct.txt", "104|train", "104|a|b", "drop its column (JobName) from sacct's --format"),
        ("zeus.csv", "1772600010.5", "02.11.2026 10:00", "seconds since 1970"),
        ("sacct.txt", "|90000", "|-90000", "line 6: ConsumedEnergyRaw: must not be negative"),
        (
            CARBONTRACKER,
            ": 130.5",
            ": -130.5",
            "line 11: Average power usage (W) for gpu: must not",
        ),
    ],
    ids=lambda text: text[:30],
)
def test_figures_that_cannot_be_right_are_errors_in_every_format(
    name: str,
    old: str,
    new: str,
    problem: str,
    local: LocalRuns,
    tmp_path: Path,
    capsys: Captured,
) -> None:
    path = tmp_path / name
    text = (DATA / name).read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert pricetag(["import", str(path), *UTC]) == 1
    assert problem in complaint(capsys)
    assert local.all() == []


def test_an_import_names_its_runs_and_what_it_leaves_as_it_is(
    local: LocalRuns, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(DATA / "emissions.csv")
    assert pricetag(["import", path, *UTC]) == 0
    out, _ = capsys.readouterr()
    assert all(f"  {str(run.run['id'])[:8]} (line " in out for run in local.all())
    assert "the file names Germany (DEU) for 2 runs, but no grid zone is set" in out
    assert pricetag(["import", path, *UTC, "--project", "other"]) == 0
    out, _ = capsys.readouterr()
    assert "2 runs imported before kept what they were filed with: --project was not" in out
    assert "Germany" not in out
    monkeypatch.setenv("PRICETAG_GRID_ZONE", "DEU")
    shutil.rmtree(local.folder)
    assert imported(capsys, path, "--preview")["files"][0]["warnings"] == []


TASKS = """\
task_name,timestamp,project_name,run_id,duration,cpu_energy,gpu_energy,ram_energy,energy_consumed
load,2026-03-04T05:10:00,nlp,a,100,0.01,0.03,0.001,0.041
train,2026-03-04T05:30:00,nlp,a,1000,0.1,0.3,0.01,0.41
eval,2026-03-04T05:31:00,nlp,a,50,0.001,0.003,0.0001,0.0041
idle,2026-03-04T05:32:00,nlp,a,1,0,0,0,0
"""


def test_each_task_of_codecarbon_is_a_run_and_one_without_energy_is_skipped(
    local: LocalRuns, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "emissions_base_a.csv"
    path.write_text(TASKS)
    (file,) = imported(capsys, path)["files"]
    assert (file["imported"], file["it_energy_kwh"]) == (3, pytest.approx(0.4551))
    assert file["skipped"] == {NO_ENERGY: 1}
    assert [run.run["name"] for run in by_start(local)] == [
        "nlp load a",
        "nlp train a",
        "nlp eval a",
    ]


def test_columns_of_later_versions_are_ignored_and_early_files_have_no_ids(
    local: LocalRuns, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "emissions.csv"
    path.write_text(
        f"\ufeff{HEADER},quantum_energy\n\n{GOOD},7\n"
        "2026-03-04T05:20:00,,10,0.004,0.001,7\n2026-03-04T05:30:00,,10,0.002,,7\n",
        encoding="utf-8",
    )
    assert imported(capsys, path, "--project", "p", "--tag", "old")["files"][0]["imported"] == 3
    assert {run.run["project"] for run in local.all()} == {"p"}
    parts = [
        {each["id"]: each["it_energy_kwh"]["value"] for each in (run.price_tag or {})["components"]}
        for run in by_start(local)
    ]
    assert parts == [
        {"cpu": pytest.approx(0.001)},
        {"cpu": pytest.approx(0.001), "host": pytest.approx(0.003)},
        {"host": pytest.approx(0.002)},
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "the file is empty"),
        ("a,b\n1,2\n", "its format is not known: it has neither the columns of codecarbon (dur"),
        (HEADER.replace(",", ";"), "its columns are separated by semicolons: save it with commas"),
        ("a,b\n".encode("utf-16"), "its text is UTF-16: save it as UTF-8"),
        (b"\xa5\x8b\x00\xe3", "it is not a text file"),
        (
            "JobID|JobName|State|Start|Elapsed|ConsumedEnergy\n",
            "without the columns ElapsedRaw, ConsumedEnergyRaw: add them",
        ),
        ("101|train|ann|COMPLETED|2026-03-04T05:10:00|3600|5\n", "without --noheader"),
        (f"{HEADER},cpu_energy\n{GOOD},1\n", "has the column 'cpu_energy' twice"),
        (f"{HEADER}\n", "the file has no measurements"),
        ("x - carbontracker version 2.3.4\n", "no epoch has ended in this log"),
        (
            "Actual consumption for 1 epoch(s):\n\tTime:\t0:00:10\n\tEnergy:\t0.1 kWh\n",
            "import the log of the same name without `_output`",
        ),
    ],
    ids=lambda text: str(text)[:30],
)
def test_a_file_without_measurements_is_an_error(
    content: str | bytes, problem: str, local: LocalRuns, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert pricetag(["import", str(path)]) == 1
    assert problem in complaint(capsys)
    assert local.all() == []


def test_jobs_of_slurm_are_read_without_a_file() -> None:
    lines = (DATA / "sacct.txt").read_text().splitlines()
    zone = datetime.fromisoformat("2026-01-01T00:00:00+01:00").tzinfo
    jobs = list(sacct.jobs([*lines, lines[1]], zone))
    assert [type(job) for job in jobs] == [
        *(Imported, Skipped, Skipped, Skipped),
        *(Imported, Skipped),
    ]
    done, late, twice = jobs[0], jobs[4], jobs[5]
    assert isinstance(done, Imported)
    assert isinstance(late, Imported)
    assert twice == Skipped(7, sacct.TWICE)
    assert done.started_at.isoformat() == "2026-03-04T05:10:00+01:00"
    assert [device["name"] for device in done.devices] == ["a100", "a100"]
    assert (late.status, late.node) == ("failed", "n[01-02]")
    assert late.reason == {"code": "slurm", "message": "Slurm reports the state TIMEOUT"}


def test_a_long_table_is_not_kept_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "emissions.csv"
    row = "2026-03-04T05:10:00,{},10,0.001,0.001\n"
    path.write_text(HEADER + "\n" + "".join(row.format(index) for index in range(2_000)))
    filing = Filing(LocalSettings(tmp_path / "local", LocalSite(), "local"))
    tracemalloc.start()
    try:
        planned = plan(Source(path), filing)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert planned.states == {"new": 2_000}
    assert peak_bytes < 500_000, "rows of the table are kept"
