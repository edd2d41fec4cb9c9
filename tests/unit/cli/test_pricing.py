"""reprice, verify and compare on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pricetag.accounting.document.canonical import (
    content_sha256,
    content_sha256_v1,
    content_sha256_v2,
)
from pricetag.cli.app import run as pricetag
from pricetag.cli.console import CliError
from pricetag.cli.pricing import moment_of
from tests.support.fake_api import RUN_ID, Answer, FakeApi
from tests.support.price_tags import compressed_run, tag

Captured = pytest.CaptureFixture[str]
NOW = datetime(2026, 3, 1, 15, tzinfo=UTC)
TAG = tag(replace(compressed_run(), accounting_version="3"))
NESTED: dict[str, Any] = {}
for _ in range(600):
    NESTED = {"in": NESTED}
STEPS = [
    {"step": "content-hash", "status": "ok", "detail": "SHA-256 x"},
    {"step": "measurements", "status": "ok", "detail": "6 measurements follow"},
    {"step": "arithmetic", "status": "ok", "detail": "digit for digit"},
]


def issued() -> dict[str, Any]:
    return {**TAG, "content_sha256": content_sha256(TAG)}


def serve(api: FakeApi, steps: list[dict[str, Any]] | None = None, **changes: Any) -> None:
    api.answers[f"GET /v1/runs/{RUN_ID}/price-tag"] = Answer({**issued(), **changes})
    document = {"steps": steps or STEPS, "version": 1, "run_id": RUN_ID, "outcome": "verified"}
    api.answers[f"GET /v1/runs/{RUN_ID}/price-tag/verification"] = Answer(document)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-02-28", "2026-02-28T23:59:59.999999+00:00"),
        ("2026-03-01", "2026-03-01T15:00:00+00:00"),
        ("2026-02-28T10:00:00+01:00", "2026-02-28T10:00:00+01:00"),
    ],
)
def test_a_day_means_its_last_moment(text: str, moment: str) -> None:
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        *("yesterday", "2026-13-01", "9999-12-31", "5"),
        *("2026-02-28T10:00:00", "2026-02-28T10:00"),  # no zone
    ],
)
def test_an_invalid_time_is_rejected(text: str) -> None:
    with pytest.raises(CliError, match=f"--as-of {text}: must be a day"):
        moment_of(text, NOW)


def test_reprice_prints_the_new_version(api: FakeApi, capsys: Captured) -> None:
    issued_version = {"version": 3, "cause": "repriced", "as_of": "2026-02-28T23:59:59.999999Z"}
    issued_version |= {name: TAG[name] for name in ("facility_energy_kwh", "co2e_kg")}
    api.answers[f"POST /v1/runs/{RUN_ID}/price-tag/reprice"] = Answer(issued_version, 201)
    assert pricetag(["reprice", RUN_ID, "--as-of", "2026-02-28"]) == 0
    assert json.loads(api.asked[-1].body) == {"as_of": "2026-02-28T23:59:59.999999+00:00"}
    assert capsys.readouterr().out.startswith("version 3, as of 2026-02-28: facility")
    assert pricetag(["reprice", RUN_ID, "--json"]) == 0
    assert json.loads(api.asked[-1].body) == {"as_of": None}
    assert json.loads(capsys.readouterr().out) == issued_version


def test_a_run_is_verified_by_client_and_server(api: FakeApi, capsys: Captured) -> None:
    serve(api)
    assert pricetag(["verify", f"{RUN_ID}@1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["ok", "content-hash"],
        ["ok", "measurements"],
        ["ok", "arithmetic"],
    ]
    assert lines[3].endswith(": verified")
    assert api.asked[0].query == "version=1"


@pytest.mark.parametrize(
    ("status", "outcome"), [("differs", "differs"), ("not-checked", "not-fully-checked")]
)
def test_the_result_of_the_server_decides(
    api: FakeApi, capsys: Captured, status: str, outcome: str
) -> None:
    serve(api, [*STEPS[:2], {**STEPS[2], "status": status}])
    code = {"differs": 1, "not-fully-checked": 5}[outcome]
    assert pricetag(["verify", RUN_ID, "--json"]) == code
    assert json.loads(capsys.readouterr().out)["outcome"] == outcome


def test_content_that_does_not_match_its_hash_is_reported(api: FakeApi, capsys: Captured) -> None:
    serve(api, name="another")
    assert pricetag(["verify", RUN_ID]) == 1
    assert "DIFFERS      content-hash  it states" in capsys.readouterr().out


def test_a_server_whose_own_hash_differs_is_reported(api: FakeApi, capsys: Captured) -> None:
    serve(api, [{**STEPS[0], "status": "differs"}, *STEPS[1:]])
    assert pricetag(["verify", RUN_ID]) == 1
    assert capsys.readouterr().out.count("content-hash") == 2


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_file_is_compared_with_the_server(
    api: FakeApi, capsys: Captured, tmp_path: Path, wrapped: bool
) -> None:
    serve(api)
    file = tmp_path / "tag.json"
    file.write_text(json.dumps({"price_tag": issued()} if wrapped else issued()))
    assert pricetag(["verify", str(file), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [step["step"] for step in report["steps"]] == [
        "content-hash",
        "as-issued",
        "content-hash",
        "measurements",
        "arithmetic",
    ]
    assert [step["of"] for step in report["steps"]] == ["itself"] * 2 + ["stored"] * 3
    forged = {**TAG, "co2e_kg": {**TAG["co2e_kg"], "value": 0.0}}
    file.write_text(json.dumps({**forged, "content_sha256": content_sha256(forged)}))
    assert pricetag(["verify", str(file)]) == 1
    assert "DIFFERS      as-issued     co2e_kg.value: 0.0 in the file" in capsys.readouterr().out


def test_a_forged_file_is_judged_only_by_its_own_steps(
    api: FakeApi, capsys: Captured, tmp_path: Path
) -> None:
    serve(api)
    file = tmp_path / "tag.json"
    file.write_text(json.dumps({**issued(), "co2e_kg": {**TAG["co2e_kg"], "value": 0.0}}))
    assert pricetag(["verify", str(file)]) == 1
    lines = capsys.readouterr().out.splitlines()
    begin = lines.index("Version 1 as the server stores it, different from the file:")
    assert lines[0] == "The file:"
    assert [line.split()[:2] for line in lines[1:begin]] == [
        ["DIFFERS", "content-hash"],
        ["DIFFERS", "as-issued"],
    ]
    # Steps that pass on the server are printed only under the server's heading.
    assert [line.split()[0] for line in lines[begin + 1 : -1]] == ["ok"] * 3
    assert lines[-1] == (
        f"the file, as version 1 of {RUN_ID}: NOT verified, first difference: co2e_kg.value: "
        f"0.0 in the file, {TAG['co2e_kg']['value']!r} in version 1 on the server"
    )


def test_a_true_file_is_also_judged_by_the_server_s_steps(
    api: FakeApi, capsys: Captured, tmp_path: Path
) -> None:
    serve(api)
    file = tmp_path / "tag.json"
    file.write_text(json.dumps(issued()))
    assert pricetag(["verify", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Version 1 as the server stores it, identical to the file:" in lines
    assert lines[-1] == f"the file, as version 1 of {RUN_ID}: verified"
    unstated = {name: value for name, value in issued().items() if name != "content_sha256"}
    file.write_text(json.dumps(unstated))  # as in the archive of a paper
    assert pricetag(["verify", str(file)]) == 0
    capsys.readouterr()
    file.write_text(json.dumps({**issued(), "content_sha256": "0" * 64}))
    assert pricetag(["verify", str(file)]) == 1
    end = capsys.readouterr().out.splitlines()[-1]
    assert f"first difference: content_sha256: it states {'0' * 64}" in end


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run_id": "../../runs"}, "run_id: '../../runs' is not a run ID"),
        ({"version": "one"}, "version: 'one' is not a whole number from 1"),
        ({"version": True}, "version: True is not a whole number from 1"),
        ({"name": "\ud800"}, "contains values that no price tag can have"),
        ({"version": 10**400}, "contains values that no price tag can have"),
        ({"name": NESTED}, "contains values that no price tag can have"),
    ],
)
def test_a_file_that_cannot_be_looked_up_gives_a_one_line_error(
    api: FakeApi, capsys: Captured, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    serve(api)
    file = tmp_path / "tag.json"
    file.write_text(json.dumps({**issued(), **change}))
    assert pricetag(["verify", str(file)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def offline(file: Path, content: dict[str, Any], capsys: Captured) -> dict[str, Any]:
    """The output for an offline file: never that it is verified, so the exit code is not 0."""
    file.write_text(json.dumps(content))
    code = pricetag(["verify", str(file), "--offline", "--json"])
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == {"differs": 1, "not-fully-checked": 5}[report["outcome"]]
    return report


def test_only_the_hash_of_an_offline_file_is_checked(capsys: Captured, tmp_path: Path) -> None:
    file = tmp_path / "tag.json"
    forged = {**TAG, "co2e_kg": {**TAG["co2e_kg"], "value": 0.0}}
    for content in (TAG, forged):
        output = offline(file, {**content, "content_sha256": content_sha256(content)}, capsys)
        assert output["outcome"] == "not-fully-checked"
        assert {step["step"]: step["status"] for step in output["steps"]} == {
            "content-hash": "ok",
            "as-issued": "not-checked",
            "measurements": "not-checked",
            "arithmetic": "not-checked",
        }
    assert pricetag(["verify", str(file), "--offline"]) == 5
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"the file, as version 1 of {RUN_ID}: no difference found, but readings and arithmetic "
        "were not checked: that needs the server"
    )


def test_an_offline_file_that_does_not_match_its_hash_is_reported(
    capsys: Captured, tmp_path: Path
) -> None:
    file = tmp_path / "tag.json"
    assert offline(file, {**issued(), "name": "another"}, capsys)["outcome"] == "differs"
    output = offline(file, TAG, capsys)
    assert (output["outcome"], output["steps"][0]["status"]) == ("not-fully-checked", "not-checked")
    assert "does not state its hash" in output["steps"][0]["detail"]


@pytest.mark.parametrize(
    ("version", "digest", "status"),
    [
        ("1", content_sha256_v1, "ok"),
        ("1", content_sha256_v2, "ok"),
        ("2", content_sha256_v2, "ok"),
        ("2", content_sha256, "differs"),
        ("3", content_sha256, "ok"),
        ("3", content_sha256_v2, "differs"),
    ],
)
def test_each_accounting_has_its_own_form(
    capsys: Captured,
    tmp_path: Path,
    version: str,
    digest: Callable[[dict[str, Any]], str],
    status: str,
) -> None:
    content = {**TAG, "provenance": {**TAG["provenance"], "accounting_version": version}}
    file = tmp_path / "tag.json"
    output = offline(file, {**content, "content_sha256": digest(content)}, capsys)
    assert output["steps"][0]["status"] == status


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "9" * 5_000])
def test_a_file_with_a_number_that_json_does_not_have_is_rejected(
    capsys: Captured, tmp_path: Path, value: str
) -> None:
    file = tmp_path / "tag.json"
    file.write_text(
        json.dumps({**issued(), "version": 1}).replace('"version": 1', f'"version": {value}')
    )
    assert pricetag(["verify", str(file), "--offline"]) == 2
    assert "tag.json is not JSON" in capsys.readouterr().err


@pytest.mark.parametrize("inner", [False, True])
def test_a_file_with_a_duplicate_key_is_rejected(
    capsys: Captured, tmp_path: Path, inner: bool
) -> None:
    text = json.dumps(issued())
    key = '"co2e_kg": {' if inner else "{"
    first = '"value": 1.0, ' if inner else '"flags": ["x"], '
    file = tmp_path / "tag.json"
    file.write_text(text.replace(key, key + first, 1))
    assert pricetag(["verify", str(file), "--offline"]) == 2
    error = capsys.readouterr().err
    name = "value" if inner else "flags"
    assert f"tag.json is not JSON: the key '{name}' appears twice in one object" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "absent.json"], "cannot read absent.json"),
        (["verify", "absent.zip"], "cannot read absent.zip: No such file"),
        (["verify", "cut.zip"], "cut.zip (5 bytes) is cut: the end of the ZIP file is missing"),
        (["verify", "./"], "./ is a folder without checks.json"),
        (["verify", "broken.json"], "broken.json is not JSON"),
        (["verify", "other.json"], "other.json contains no price tag"),
        (["verify", RUN_ID, "--offline"], f"there is no file {RUN_ID}"),
        (["verify", f"{RUN_ID}@0"], "a version is a whole number from 1"),
        (["reprice", RUN_ID, "--as-of", "soon"], "--as-of soon"),
    ],
)
def test_invalid_input_gives_a_one_line_error(
    api: FakeApi, capsys: Captured, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04\x80")
    (tmp_path / "other.json").write_text('{"schema": "other/1"}')
    assert pricetag(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def compared(**changes: Any) -> dict[str, Any]:
    side = {"runs": [{"name": "slow"}, {"name": "slow"}], "mean": 0.002}
    document: dict[str, Any] = {
        "metric": "it_energy_kwh",
        "unit": "kWh",
        "a": side,
        "b": {"runs": [{"name": "fast"}], "mean": 0.001},
        "ratio": {"value": 2.0, "low": 1.9, "high": 2.1, "unit": "1", "reason": None},
        "method": "spread of the repeats",
        "cancels": True,
        "reasons": [],
        "notes": [],
    }
    return document | changes


def test_a_comparison_prints_ratios(api: FakeApi, capsys: Captured) -> None:
    api.answers["GET /v1/comparisons"] = Answer(compared())
    other = RUN_ID.replace("6f0c", "7f0c")
    assert pricetag(["compare", f"{RUN_ID},{other}", other, "--metric", "co2e_kg"]) == 0
    assert api.asked[-1].query == f"a={RUN_ID}%2C{other}&b={other}&metric=co2e_kg"
    out = capsys.readouterr().out
    assert "a / b: 2.00 (95%: 1.90 to 2.10; spread of the repeats)" in out
    assert "2.00 Wh" in out


def test_two_to_eight_groups_are_compared(api: FakeApi, capsys: Captured) -> None:
    whole = {"value": 0.004, "low": 0.0038, "high": 0.0042, "unit": "kWh"}
    side = {"runs": [{"name": "slowest"}] * 2, "mean": 0.004, "mean_figure": whole, "std": 0.0001}
    ratio = {"value": 4.0, "low": 3.6, "high": 4.4, "unit": "1", "reason": None}
    third = {"group": "c", "side": side, "ratio": ratio, "method": "spread of the repeats"}
    third |= {"reasons": [], "notes": [], "verdict": "IT energy: c has 4.0x that of b"}
    api.answers["GET /v1/comparisons"] = Answer(compared(others=[third]))
    ids = [RUN_ID.replace("6f0c", f"{number}f0c") for number in range(1, 9)]
    assert pricetag(["compare", *ids[:3]]) == 0
    assert api.asked[-1].query == f"a={ids[0]}&b={ids[1]}&metric=it_energy_kwh&c={ids[2]}"
    out = capsys.readouterr().out
    assert "4.00 Wh" in out
    assert "3.80 Wh to 4.20 Wh" in out
    assert "c / b: 4.00 (95%: 3.60 to 4.40; spread of the repeats)" in out
    assert "IT energy: c has 4.0x that of b" in out
    assert pricetag(["compare", *ids]) == 0
    asked = api.asked[-1].query
    assert [
        asked.count(f"{letter}={one}") for letter, one in zip("abcdefgh", ids, strict=True)
    ] == [1] * 8


@pytest.mark.parametrize(
    ("groups", "message"), [(1, "RUNS_B"), (9, "at most 6 groups beside RUNS_A and RUNS_B (got 7)")]
)
def test_fewer_or_more_groups_are_rejected(
    api: FakeApi, capsys: Captured, groups: int, message: str
) -> None:
    assert pricetag(["compare", *[RUN_ID] * groups]) == 2
    assert message in capsys.readouterr().err


def test_the_reason_why_errors_do_not_cancel_is_printed(api: FakeApi, capsys: Captured) -> None:
    ratio = {"value": 2.0, "low": None, "high": None, "reason": "too few repeats"}
    api.answers["GET /v1/comparisons"] = Answer(
        compared(
            ratio=ratio,
            reasons=["the cards differ: x; y"],
            notes=["slow: two attempts"],
            differences=["stages.0.epochs: 1 (a), 3 (b)", "task: 1 (a), 2 (b)"],
        )
    )
    assert pricetag(["compare", RUN_ID, RUN_ID]) == 0
    out = capsys.readouterr().out
    assert "a / b: 2.00 (no interval: too few repeats)" in out
    assert "Errors do not cancel: the cards differ: x; y" in out
    assert "Note: slow: two attempts" in out
    assert "Difference: stages.0.epochs: 1 (a), 3 (b)\nDifference: task: 1 (a), 2 (b)" in out


def test_repeats_are_confirmed(api: FakeApi, capsys: Captured) -> None:
    ratio = {"value": 2.0, "low": None, "high": None, "reason": "too few repeats"}
    api.answers["GET /v1/comparisons"] = Answer(compared(ratio=ratio, differences=[]))
    assert pricetag(["compare", RUN_ID, RUN_ID]) == 0
    assert "environment variables are the same" in " ".join(capsys.readouterr().out.split())


def test_an_unknown_ratio_has_its_reason(api: FakeApi, capsys: Captured) -> None:
    ratio = {"value": None, "low": None, "high": None, "reason": "slow: no zone"}
    api.answers["GET /v1/comparisons"] = Answer(compared(ratio=ratio))
    assert pricetag(["compare", RUN_ID, RUN_ID]) == 0
    assert "a / b: n/a (slow: no zone)" in capsys.readouterr().out


SCORE = {
    **{"metric": "accuracy", "split": "validation", "within_one_std": True, "reason": None},
    "a": {"mean": 0.91, "std": 0.01, "seeds": 5},
    "b": {"mean": 0.92, "std": 0.02, "seeds": 5},
}


@pytest.mark.parametrize(
    ("score", "winning", "lines"),
    [
        (
            {},
            True,
            [
                "accuracy (validation): a 0.9100 ± 0.0100 (5 seeds), b 0.9200 ± 0.0200 (5 seeds); "
                "a is within one standard deviation of b",
                "Winning ticket: yes",
            ],
        ),
        (
            {"within_one_std": False},
            False,
            ["a is not within one standard deviation", "Winning ticket: no"],
        ),
        (
            {
                "a": {"mean": 0.91, "std": None, "seeds": 1},
                "within_one_std": None,
                "reason": "5 seeds of each side are needed",
            },
            None,
            ["a 0.9100 (1 seed), b", "no verdict: 5 seeds of each side are needed"],
        ),
    ],
)
def test_a_comparison_says_whether_tickets_win(
    api: FakeApi,
    capsys: Captured,
    score: dict[str, Any],
    winning: bool | None,
    lines: list[str],
) -> None:
    comparison = compared(quality=[{**SCORE, **score}], winning_ticket=winning)
    api.answers["GET /v1/comparisons"] = Answer(comparison)
    assert pricetag(["compare", RUN_ID, RUN_ID, "--seeds", "3"]) == 0
    assert api.asked[-1].query.endswith("&seeds=3")
    printed = " ".join(capsys.readouterr().out.split())
    assert all(line in printed for line in lines), printed
    assert ("Winning ticket" in printed) == (winning is not None)
