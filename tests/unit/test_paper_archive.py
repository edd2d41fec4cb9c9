"""A paper's archive is checked by its own script; one digit that was changed is named."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from app.reports.paper_archive import paper_archive
from app.reports.paper_context import About, paper_context
from pricetag.accounting.bill.inputs import Factor, Measurement, PriceTagInputs
from pricetag.accounting.document.canonical import content_sha256, hashed_text
from pricetag.tag import archive_check
from pricetag.tag.evaluated import ScoredRun
from pricetag.tag.figure import Figure
from pricetag.tag.paper import PaperRun, purpose_of, selection_sha256
from pricetag.tag.view import TagView
from tests.support.price_tags import (
    FACTORS,
    attempt,
    compressed_run,
    failed_run,
    measured,
    tag,
    unmetered_run,
)

MOST_LINES = 200
BY = "PTB, the national institute"


@pytest.fixture(scope="module")
def archive() -> bytes:
    made = (compressed_run(), compressed_run("again"), failed_run(), unmetered_run())
    documents: dict[str, Mapping[str, Any]] = {}
    runs = []
    for number, inputs in enumerate(made):
        document = tag(inputs) | {"run_id": f"6f0c0d0e-0000-4000-8000-{number:012d}"}
        if number == 1:
            document["provenance"] |= {"origin": "local", "measured_by": BY}
        documents[document["run_id"]] = document
        runs.append(
            PaperRun(
                scored=ScoredRun(TagView.read(document), {"stages": []}),
                project="text",
                experiment=f"experiment {number % 2}",
                method="train",
                status="failed" if number == 2 else "succeeded",
                purpose="tuning" if number == 0 else None,
                sha256=content_sha256(document),
                planned={"it_energy_kwh": Figure(0.1, 0.05, 0.2, "kWh", "estimated")},
            )
        )
    hashes = {run.scored.tag.document.run_id: run.sha256 for run in runs}
    about = About(
        paper_id="6f0c0d0e-0000-4000-8000-00000000000a",
        title="A paper",
        authors=None,
        project="text",
        rule=None,
        frozen_at="2026-03-01T12:00:00+00:00",
        selection_sha256=selection_sha256(
            [(run_id, documents[run_id]["version"], sha256) for run_id, sha256 in hashes.items()]
        ),
        not_counted=[{"run_id": "5", "name": "waits", "reason": "it has no price tag"}],
        budgets=[],
    )
    context = paper_context(about, "site", runs, generated_at=datetime(2026, 3, 1, tzinfo=UTC))
    texts = {run_id: hashed_text(documents[run_id], hashes[run_id]) for run_id in documents}
    report = json.dumps(context).encode()
    return paper_archive(context, texts, {"json": report})


HAMBURG = replace(
    FACTORS,
    pue=replace(FACTORS.pue, value=1.31, citation="Meter of the second site"),
    carbon_intensity=Factor(56.0, "g/kWh", 0.07, "estimated", "Second site", 2025, zone="FRA"),
)
"""Factors of a second site."""


def shared(start_s: float, end_s: float, share: float) -> tuple[Measurement, ...]:
    """A share of a host and of its accelerator, whose other jobs use the rest."""
    return tuple(
        replace(
            each,
            window=replace(
                each.window,
                energy_j=share * (each.window.energy_j or 0.0),
                energy_by_source_j={
                    source: share * joules
                    for source, joules in each.window.energy_by_source_j.items()
                },
                device_energy_j=each.window.energy_j,
                baseline_j=0.1 * (each.window.energy_j or 0.0),
            ),
        )
        for each in measured(start_s, end_s)
    )


def three_hundred_runs() -> tuple[list[PaperRun], dict[str, dict[str, Any]]]:
    """300 runs of two sites: 40 failed, 3 were re-priced, and 50 shared their host.

    Returns:
        The runs, and the price tag that counts of each.
    """
    runs, documents = [], {}
    for number in range(300):
        is_failed, is_repriced = number % 15 < 2, number in (7, 77, 177)
        duration_s = 10.0 + 0.37 * number
        made = attempt(1, "failed" if is_failed else "succeeded", (), duration_s)
        if number % 6 == 5:
            made = replace(made, measurements=shared(0.0, duration_s, 0.3 + number / 1e4))
        factors = HAMBURG if number % 2 else FACTORS
        if is_repriced:
            factors = replace(factors, pue=replace(factors.pue, value=1.45))
        inputs = PriceTagInputs(
            run_id=f"6f0c0d0e-0000-4000-8000-{number:012d}",
            name=f"trial {number}",
            version=2 if is_repriced else 1,
            attempts=(made,),
            factors=factors,
            accounting_version="1",
        )
        document = tag(inputs)
        documents[inputs.run_id] = document
        runs.append(
            PaperRun(
                scored=ScoredRun(TagView.read(document), {"stages": []}),
                project="text",
                experiment=f"experiment {number % 3}",
                method="train",
                status="failed" if is_failed else "succeeded",
                purpose=("tuning", "final", None)[number % 3],
                sha256=content_sha256(document),
                planned={},
            )
        )
    return runs, documents


def exact_sum(values: list[float]) -> float:
    """The double nearest to the exact sum."""
    return float(sum(map(Fraction, values)))


def test_the_sums_of_300_runs_are_those_of_their_price_tags_to_the_last_digit(
    tmp_path: Path,
) -> None:
    runs, documents = three_hundred_runs()
    assert sum(run.status == "failed" for run in runs) == 40
    assert sum(document["version"] == 2 for document in documents.values()) == 3
    assert {document["pue"]["value"] for document in documents.values()} == {1.2, 1.31, 1.45}
    ratios = [d["split"]["charged_ratio"]["value"] for d in documents.values()]
    assert sum(ratio is not None and ratio < 1 for ratio in ratios) == 50
    selected = [(run_id, d["version"], content_sha256(d)) for run_id, d in documents.items()]
    about = About(
        paper_id="6f0c0d0e-0000-4000-8000-00000000000a",
        title="300 runs",
        authors=None,
        project="text",
        rule={},
        frozen_at="2026-03-01T12:00:00+00:00",
        selection_sha256=selection_sha256(selected),
        not_counted=[],
        budgets=[],
    )
    context = paper_context(about, "site", runs, generated_at=datetime(2026, 3, 1, tzinfo=UTC))
    stated = context["paper"]["totals"]
    assert (stated["runs"], stated["unsuccessful"]) == (300, 40)
    costs = {axis: [d[axis] for d in documents.values()] for axis in archive_check.TOP}
    costs["cost"] = [d["cost"]["total"] for d in documents.values()]
    for axis, figures in costs.items():
        for end in ("value", "low", "high"):
            assert stated["used"][axis][end] == exact_sum([each[end] for each in figures]), axis
    texts = {run_id: hashed_text(documents[run_id], sha256) for run_id, _, sha256 in selected}
    content = paper_archive(context, texts, {"json": json.dumps(context).encode()})
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        opened.extractall(tmp_path)
    command = [sys.executable, "-I", "-S", str(tmp_path / "verify.py")]
    command += ["--selection", about.selection_sha256 or ""]
    result = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"co2e_kg: {stated['used']['co2e_kg']['value']!r} kg" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("verified: 300 runs; selection ")


def files_of(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def changed(files: dict[str, bytes], name: str, old: str, new: str) -> list[str]:
    assert files[name].decode().count(old) >= 1
    other = files | {name: files[name].decode().replace(old, new, 1).encode()}
    return archive_check.check(other)


def test_a_stranger_recomputes_it_with_nothing_but_the_standard_library(
    archive: bytes, tmp_path: Path
) -> None:
    files = files_of(archive)
    assert len(files["verify.py"].decode().splitlines()) <= MOST_LINES
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        opened.extractall(tmp_path)
    command = [sys.executable, "-I", "-S", str(tmp_path / "verify.py")]
    result = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    paper = json.loads(files["paper.json"])
    total = paper["totals"]["used"]["it_energy_kwh"]["value"]
    assert f"it_energy_kwh: at least {total!r} kWh" in result.stdout
    operations = paper["totals"]["used"]["flops_dense"]["value"]
    assert f"flops_dense: at least {operations!r} FLOP" in result.stdout
    assert "None" not in result.stdout
    selection = paper["selection_sha256"]
    last = f"verified: 4 runs of 5, the others have no price tag; selection {selection}"
    assert result.stdout.splitlines()[-1] == last
    for option, status in (("--help", 0), ("--selectoin", 2)):
        usage = subprocess.run([*command, option], capture_output=True, text=True, check=False)
        assert (usage.returncode, usage.stderr) == (status, "")
        assert "python3 verify.py [ARCHIVE.zip or FOLDER]" in usage.stdout
    (tmp_path / "checks.json").write_text("{")
    result = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    form = "checks.json does not have the form that a paper's archive gives it\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, form, "")


def test_one_digit_of_a_price_tag_is_named(archive: bytes) -> None:
    files = files_of(archive)
    name = sorted(name for name in files if name.startswith("price-tags/"))[0]
    text = files[name].decode()
    path, old = next(
        (path, repr(value))
        for path, value in archive_check.leaves(json.loads(text))
        if path.startswith("stages[") and isinstance(value, float) and text.count(repr(value)) == 1
    )
    new = old[:-1] + ("1" if old[-1] != "1" else "2")
    problems = changed(files, name, old, new)
    assert f"{name}: {path} was changed: it is {new} now" in problems
    assert any("not the price tag that the paper names" in text for text in problems)
    assert len(problems) == 2


def test_one_digit_of_a_sum_is_named_with_what_it_should_be(archive: bytes) -> None:
    files = files_of(archive)
    stated = json.loads(files["paper.json"])
    value = stated["totals"]["used"]["co2e_kg"]["value"]
    stated["totals"]["used"]["co2e_kg"]["value"] = value * (1 + 1e-15)
    # Whoever changes the sum can write new hashes, but not other price tags.
    content = json.dumps(stated, indent=1, sort_keys=True).encode() + b"\n"
    other = files | {"paper.json": content}
    checks = json.loads(files["checks.json"])
    checks["sha256"]["paper.json"] = hashlib.sha256(content).hexdigest()
    parts = archive_check.parts("paper.json", content)
    checks["codes"]["paper.json"] = "".join(code for _, _, code in parts)
    other["checks.json"] = json.dumps(checks).encode()
    [problem] = archive_check.check(other)
    wrong = stated["totals"]["used"]["co2e_kg"]["value"]
    assert problem == f"paper.json: totals.used.co2e_kg.value is {wrong!r}, not {value!r}"


def test_one_digit_of_any_file_is_named_with_its_place(archive: bytes) -> None:
    files = files_of(archive)
    for name, content in files.items():
        digits = [match.start() for match in re.finditer(rb"(?<=\d)\d(?=\d)", content)]
        if not digits or name.endswith(".pdf"):
            continue
        place = digits[len(digits) // 2]
        digit = b"1" if content[place : place + 1] != b"1" else b"2"
        other = content[:place] + digit + content[place + 1 :]
        problems = archive_check.check(files | {name: other})
        assert all(name in problem for problem in problems[:1]), (name, problems)
        if name != "checks.json":
            assert "was changed: it is" in problems[0], (name, problems)
    row = files["runs.csv"].splitlines()[2]
    run_id = row.split(b",")[0].decode()
    [problem] = changed(files, "runs.csv", f"{run_id},again", f"{run_id},other")
    assert problem.startswith(f"runs.csv: line 3 was changed: it is {run_id},other")


def test_changed_codes_and_hashes_of_the_checks_are_noticed(archive: bytes) -> None:
    files = files_of(archive)
    checks = json.loads(files["checks.json"])

    def checked(**changes: Any) -> list[str]:
        return archive_check.check(files | {"checks.json": json.dumps(checks | changes).encode()})

    for name in ("paper.json", "runs.csv"):
        code = checks["codes"][name]
        wrong = ("0" if code[0] != "0" else "1") + code[1:]
        assert checked(codes=checks["codes"] | {name: wrong}) == [
            f"checks.json: codes of {name} were changed, the file was not"
        ]
        [problem] = checked(sha256=checks["sha256"] | {name: "0" * 64})
        assert problem.startswith(f"checks.json or the spaces of {name} were changed")
    missing = {name: code for name, code in checks["codes"].items() if name != "paper.json"}
    assert checked(codes=missing) != []
    wrong_forms: tuple[Any, ...] = ({"sha256": {}}, {"sha256": [], "codes": {}}, {})
    for broken in wrong_forms:
        problems = archive_check.check(files | {"checks.json": json.dumps(broken).encode()})
        assert problems
        assert "Error" not in "".join(problems)


def test_an_archive_that_was_zipped_with_its_folder_is_checked(
    archive: bytes, tmp_path: Path
) -> None:
    place = tmp_path / "again.zip"
    with zipfile.ZipFile(place, "w") as other:
        for name, content in files_of(archive).items():
            other.writestr(f"paper/{name}", content)
        other.writestr("__MACOSX/paper/._report.md", b"x")
    assert archive_check.check(archive_check.read(place)) == []


def test_missing_added_and_broken_files_are_named(archive: bytes) -> None:
    files = files_of(archive)
    without = {name: content for name, content in files.items() if name != "runs.csv"}
    assert archive_check.check(without) == ["runs.csv is missing"]
    assert archive_check.check(files | {"more.txt": b"x"}) == [
        "more.txt does not belong to the archive"
    ]
    name = next(name for name in files if name.startswith("price-tags/"))
    assert archive_check.check(files | {name: b"{"})[0].startswith(f"{name}: cannot be read")
    assert archive_check.check({}) == ["checks.json is missing: not a paper's archive"]
    assert archive_check.check(files) == []
    assert archive_check.check(files, "0" * 64) != []


def test_the_crate_describes_all_files_and_runs(archive: bytes) -> None:
    files = files_of(archive)
    graph = json.loads(files["ro-crate-metadata.json"])["@graph"]
    kinds: dict[str, int] = {}
    for entity in graph:
        kinds[entity["@type"]] = kinds.get(entity["@type"], 0) + 1
    assert kinds["File"] == len(files) - 1
    assert kinds["CreateAction"] == 4
    parts = next(entity for entity in graph if entity["@id"] == "./")["hasPart"]
    assert {part["@id"] for part in parts} == files.keys() - {"ro-crate-metadata.json"}


def test_the_archive_states_who_measured_each_run(archive: bytes) -> None:
    files = files_of(archive)
    lines = list(csv.DictReader(io.StringIO(files["runs.csv"].decode())))
    stated = [(line["origin"], line["measured_by"]) for line in lines]
    assert stated == [("queue", ""), ("local", BY), ("queue", ""), ("queue", "")]
    report = json.loads(files["report.json"])
    hashes = next(each for each in report["sections"] if each["id"] == "hashes")["tables"][0]
    place = [column["label"] for column in hashes["columns"]].index("Origin")
    cells = [row["cells"][place] for row in hashes["rows"]]
    assert cells == ["queue", "local (a)", "queue", "queue"]
    assert hashes["notes"][0].startswith(f"(a) according to its sender, {BY}; measured by")


def test_the_hash_of_another_version_of_the_accounting_is_found_too() -> None:
    document = {"b": 1.0, "a": 1e-7}
    assert hashed_text(document, content_sha256(document)) == '{"a":1e-7,"b":1}'
    with pytest.raises(ValueError, match="does not have the hash"):
        hashed_text(document, "0" * 64)


def test_the_purpose_is_stated_or_tagged_or_that_of_a_trial() -> None:
    assert purpose_of("final", ["tuning"], is_trial=True) == "final"
    assert purpose_of(None, ["x", "ablation"], is_trial=True) == "ablation"
    assert purpose_of(None, ["x"], is_trial=True) == "tuning"
    assert purpose_of(None, ["x"], is_trial=False) is None
