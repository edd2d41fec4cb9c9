from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pricetag.cli.app import run as pricetag
from tests.support.fake_api import Answer, Asked, FakeApi, problem

Captured = pytest.CaptureFixture[str]

SITE = {
    "name": "berlin",
    "description": "hall 2",
    "grid_zone": "DEU",
    "time_zone": "Europe/Berlin",
    "currency": "EUR",
    "created_at": "2026-01-01T00:00:00Z",
}
FACTOR = {
    "id": "f1",
    "site": "berlin",
    "kind": "pue",
    "subject": "",
    "value": "1.21",
    "unit": "1",
    "source": "energy report",
    "year": 2025,
    "details": None,
    "relative_std_ratio": 0.03,
    "multiplicative": False,
    "valid_from": "2025-01-01T00:00:00Z",
    "valid_to": None,
    "planned": False,
}
PRICE = {
    "id": "p1",
    "price_id": "cloud",
    "accelerator": "H100",
    "kind": "spot",
    "amount": "2.10",
    "currency": "EUR",
    "valid_from": "2026-01-01T00:00:00Z",
    "valid_to": None,
    "replaced": False,
    "holds_until": None,
    "planned": False,
}
SERIES = {
    "id": "s1",
    "zone": "DEU",
    "basis": "lifecycle, consumption",
    "source": "grid operator",
    "licence": "CC BY 4.0",
    "hours": 21,
    "first": "2026-03-01T00:00:00Z",
    "last": "2026-03-01T23:00:00Z",
    "gaps": [{"first": "2026-03-01T04:00:00Z", "hours": 3}],
}


def sent(api: FakeApi) -> dict[str, Any]:
    """The body of the last request."""
    document: dict[str, Any] = json.loads(api.asked[-1].body)
    return document


def test_a_site_is_created_and_changed_with_the_supplied_fields(
    api: FakeApi, capsys: Captured
) -> None:
    api.answers["POST /v1/sites"] = Answer(SITE, 201)
    api.answers["PATCH /v1/sites/berlin"] = Answer(SITE)
    options = ["--zone", "DE", "--time-zone", "Europe/Berlin", "--currency", "EUR"]
    assert pricetag(["site", "create", "berlin", *options]) == 0
    assert sent(api) == {
        "name": "berlin",
        "grid_zone": "DE",
        "time_zone": "Europe/Berlin",
        "currency": "EUR",
    }
    assert capsys.readouterr().out == "berlin  DEU, Europe/Berlin, EUR  hall 2\n"
    assert pricetag(["site", "set", "berlin", "--zone", "FR", "--json"]) == 0
    assert sent(api) == {"grid_zone": "FR"}
    assert json.loads(capsys.readouterr().out) == SITE
    assert pricetag(["site", "set", "berlin"]) == 2
    assert "nothing to change" in capsys.readouterr().err


def test_a_site_is_shown_with_its_factors_and_their_origin(api: FakeApi, capsys: Captured) -> None:
    about = {"by_the_hour": False, "evidence": "estimated", "year": 2025, "unit": "1"}
    factors = [
        {
            **about,
            "kind": "pue",
            "subject": "",
            "value": 1.21,
            "origin": "site",
            "source": "report",
        },
        {
            **about,
            "kind": "wue",
            "subject": "",
            "value": 0.55,
            "unit": "l/kWh",
            "origin": "catalog",
            "source": "Li et al. 2023",
            "evidence": "assumed",
        },
    ]
    resolved_site = {**SITE, "factors": factors, "unknown": {"tariff": "none is configured"}}
    api.answers["GET /v1/sites/berlin"] = Answer(resolved_site)
    assert pricetag(["site", "show", "berlin", "--as-of", "2026-01-01"]) == 0
    assert api.asked[-1].query == "as_of=2026-01-01T23%3A59%3A59.999999%2B00%3A00"
    out = capsys.readouterr().out
    assert "0.55 l/kWh" in out
    assert "catalog, assumed" in out
    assert "tariff: none is configured" in out


def test_empty_lists_print_a_sentence(api: FakeApi, capsys: Captured) -> None:
    empty = Answer({"items": [], "next_cursor": None})
    for path, command in (
        ("/v1/sites", "site"),
        ("/v1/factors", "factor"),
        ("/v1/prices", "price"),
        ("/v1/carbon", "carbon"),
    ):
        api.answers[f"GET {path}"] = empty
        assert pricetag([command, "list"]) == 0
        assert capsys.readouterr().out.startswith("No ")
        assert pricetag([command, "list", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == []


CITED = ["--source", "energy report", "--basis", "annual mean"]


def test_a_factor_can_be_added_to_a_site_or_the_lab(api: FakeApi, capsys: Captured) -> None:
    api.answers["POST /v1/sites/berlin/factors"] = Answer(FACTOR, 201)
    api.answers["POST /v1/factors"] = Answer({**FACTOR, "site": None}, 201)
    where = ["--site", "berlin", "--year", "2025", "--from", "2025-01-01"]
    assert pricetag(["factor", "add", "pue", "1.21", *CITED, *where]) == 0
    assert sent(api) == {
        "kind": "pue",
        "value": "1.21",
        "year": 2025,
        "basis": "annual mean",
        "source": "energy report",
        "licence": "the lab's own figure",
        "evidence": "estimated",
        "valid_from": "2025-01-01T00:00:00Z",
    }
    assert capsys.readouterr().out == (
        "pue 1.21, ±3%  berlin, from 2025-01-01 00:00  energy report, 2025\n"
    )
    assert pricetag(["factor", "add", "pue", "1.21", *CITED]) == 0
    assert sent(api)["year"] == datetime.now(UTC).year
    assert "the lab, from" in capsys.readouterr().out


def test_factors_are_listed_with_their_error_and_their_end(api: FakeApi, capsys: Captured) -> None:
    rows = [
        {**FACTOR, "valid_to": "2026-01-01T00:00:00Z"},
        {**FACTOR, "relative_std_ratio": 0.5, "multiplicative": True},
    ]
    api.answers["GET /v1/factors"] = Answer({"items": rows, "next_cursor": None})
    assert pricetag(["factor", "list"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("pue 1.21, ±3%  berlin, from 2025-01-01 00:00 to 2026-01-01 00:00  ")
    assert second.startswith("pue 1.21, times or divided by 1.5  berlin, from 2025-01-01 00:00  ")


def test_factors_that_start_later_are_marked_as_planned(api: FakeApi, capsys: Captured) -> None:
    planned = {"planned": True, "valid_from": "2027-01-01T00:00:00Z"}
    api.answers["POST /v1/factors"] = Answer({**FACTOR, **planned}, 201)
    assert pricetag(["factor", "add", "pue", "1.21", *CITED]) == 0
    assert "planned: valid from 2027-01-01 00:00" in capsys.readouterr().out
    api.answers["POST /v1/prices"] = Answer({**PRICE, **planned}, 201)
    assert pricetag(["price", "add", "cloud", "2.10", *SOLD]) == 0
    assert "planned: valid from 2027-01-01 00:00" in capsys.readouterr().out
    api.answers["GET /v1/prices"] = Answer({"items": [{**PRICE, **planned}], "next_cursor": None})
    assert pricetag(["price", "list"]) == 0
    assert "planned 2027-01-01" in capsys.readouterr().out


def test_warnings_go_to_stderr_and_json_has_them_already(api: FakeApi, capsys: Captured) -> None:
    warned = {**FACTOR, "warnings": ["subject: device 'GPU-1' has never been seen"]}
    api.answers["POST /v1/factors"] = Answer(warned, 201)
    assert pricetag(["factor", "add", "calibration", "0.98", *CITED]) == 0
    output = capsys.readouterr()
    assert output.err == "pricetag: warning: subject: device 'GPU-1' has never been seen\n"
    assert "warning" not in output.out
    assert pricetag(["factor", "add", "calibration", "0.98", *CITED, "--json"]) == 0
    output = capsys.readouterr()
    assert (output.err, json.loads(output.out)["warnings"]) == ("", warned["warnings"])


def test_a_tariff_s_periods_are_read_from_a_file(api: FakeApi, tmp_path: Path) -> None:
    api.answers["POST /v1/sites/berlin/factors"] = Answer(FACTOR, 201)
    path = tmp_path / "tariff.yaml"
    path.write_text("periods:\n- {days: [mon-sun], from: '00:00', to: '24:00', price: '0.3'}\n")
    options = ["tariff", "--site", "berlin", "--periods", str(path)]
    assert pricetag(["factor", "add", *options, *CITED]) == 0
    period = {"days": ["mon-sun"], "from": "00:00", "to": "24:00", "price": "0.3"}
    assert sent(api)["details"] == {"periods": [period]}
    assert "value" not in sent(api)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"periods: 3", "is not a list of periods"),
        (b"a: [", "is not YAML"),
        (b"\xff", "is not UTF-8"),
    ],
)
def test_an_invalid_tariff_file_is_rejected(
    content: bytes, message: str, tmp_path: Path, capsys: Captured, api: FakeApi
) -> None:
    path = tmp_path / "tariff.yaml"
    path.write_bytes(content)
    assert pricetag(["factor", "add", "tariff", "--periods", str(path), *CITED]) == 2
    assert message in capsys.readouterr().err
    assert api.asked == []


def test_embodied_emissions_are_added_with_a_lifetime(api: FakeApi) -> None:
    api.answers["POST /v1/factors"] = Answer({**FACTOR, "site": None}, 201)
    life = ["--lifetime-h", "35040", "--utilization", "0.7", "--subject", "H100"]
    assert pricetag(["factor", "add", "embodied", "140", *CITED, *life]) == 0
    assert sent(api)["details"] == {"lifetime_h": 35040.0, "utilisation_ratio": 0.7}


def test_a_rejection_is_one_line_with_every_field(api: FakeApi, capsys: Captured) -> None:
    faults = [{"field": "value", "message": "is '0.9'", "hint": "use a number from 1 to 10"}]
    refusal = problem(422, "invalid-factor", "value: is '0.9'", *faults)
    api.answers["POST /v1/factors"] = refusal
    assert pricetag(["factor", "add", "pue", "0.9", *CITED]) == 2
    err = capsys.readouterr().err
    assert err == "pricetag: VALUE: is '0.9' (use a number from 1 to 10)\n"


def test_similar_errors_have_one_hint(api: FakeApi, capsys: Captured, tmp_path: Path) -> None:
    message, hint = "has no time zone", "add the offset from UTC"
    faults = [{"field": f"line {n}, hour", "message": message, "hint": hint} for n in (2, 3, 4)]
    error = f"line 2, hour: {message} (and 741 similar problems)"
    api.answers["POST /v1/carbon/import"] = problem(422, "malformed-file", error, *faults)
    path = tmp_path / "de.csv"
    path.write_text("hour,g_per_kwh\n")
    cited = ["--basis", "lifecycle", "--source", "operator", "--license", "CC0"]
    assert pricetag(["carbon", "import", str(path), "--zone", "DE", *cited]) == 2
    assert capsys.readouterr().err == (
        f"pricetag: {error}\n  line 3, hour: {message}\n  line 4, hour: {message} ({hint})\n"
    )


@pytest.mark.parametrize("option", ["--std", "--lifetime-h", "--utilization"])
def test_values_that_json_cannot_hold_are_rejected_with_their_option(
    option: str, capsys: Captured
) -> None:
    assert pricetag(["factor", "add", "pue", "1.2", *CITED, option, "nan"]) == 2
    assert f"'{option}': nan is not a finite number" in capsys.readouterr().err


PRICED = ["--accelerator", "H100", "--provider", "a cloud", "--currency", "EUR"]
SOLD = [*PRICED, "--kind", "spot", "--source", "list", "--from", "2026-01-01"]


def test_prices_and_owned_hardware_are_added(api: FakeApi, capsys: Captured) -> None:
    api.answers["POST /v1/prices"] = Answer(PRICE, 201)
    assert pricetag(["price", "add", "cloud", "2.10", *SOLD]) == 0
    body = sent(api)
    assert (body["amount"], body["valid_from"]) == ("2.10", "2026-01-01T00:00:00Z")
    assert "2.10 EUR per device-hour of H100" in capsys.readouterr().out
    owned = ["--capex", "28000", "--lifetime-h", "35040", "--utilization", "0.7"]
    assert pricetag(["price", "add", "own", *SOLD, *owned]) == 0
    assert sent(api)["ownership"] == {
        "capex": "28000",
        "lifetime_h": "35040",
        "utilisation_ratio": "0.7",
    }
    assert "amount" not in sent(api)
    capsys.readouterr()
    assert pricetag(["price", "add", "own", *SOLD, "--capex", "28000"]) == 2
    assert "together" in capsys.readouterr().err


def test_prices_are_entered_with_their_warnings(
    api: FakeApi, tmp_path: Path, capsys: Captured
) -> None:
    warning = "accelerator: no node has an accelerator with 'EPYC'"
    warned = {**PRICE, "warnings": [warning]}
    api.answers["POST /v1/prices"] = Answer(warned, 201)
    api.answers["POST /v1/prices/import"] = Answer({"items": [PRICE, warned]}, 201)
    path = tmp_path / "prices.csv"
    path.write_text("price_id,amount\n")
    for arguments in (["price", "add", "own", "2.10", *SOLD], ["price", "import", str(path)]):
        assert pricetag(arguments) == 0
        output = capsys.readouterr().err
        assert output == f"pricetag: warning: {warning}\n"


def test_a_file_of_prices_is_sent_unchanged(api: FakeApi, tmp_path: Path, capsys: Captured) -> None:
    api.answers["POST /v1/prices/import"] = Answer({"items": [PRICE, PRICE]}, 201)
    path = tmp_path / "prices.csv"
    path.write_text("price_id,amount\né,1\n", encoding="utf-8")
    assert pricetag(["price", "import", str(path)]) == 0
    assert sent(api) == {"format": "csv", "content": "price_id,amount\né,1\n"}
    assert capsys.readouterr().out == "2 prices entered\n"
    later = {**PRICE, "planned": True, "valid_from": "2027-01-01T00:00:00Z"}
    api.answers["POST /v1/prices/import"] = Answer({"items": [PRICE, later]}, 201)
    assert pricetag(["price", "import", str(path)]) == 0
    assert capsys.readouterr().out == (
        "2 prices entered, 1 of them planned: the first is valid from 2027-01-01 00:00\n"
    )
    for wrong, message in (("prices.xlsx", "must end in"), ("none.csv", "No such file")):
        assert pricetag(["price", "import", str(tmp_path / wrong)]) == 2
        assert message in capsys.readouterr().err


def test_the_price_book_is_listed(api: FakeApi, capsys: Captured) -> None:
    ended = {**PRICE, "price_id": "past", "holds_until": "2026-07-01T00:00:00Z"}
    rows = [PRICE, {**PRICE, "price_id": "old", "replaced": True}, ended]
    api.answers["GET /v1/prices"] = Answer({"items": rows, "next_cursor": None})
    assert pricetag(["price", "list", "--accelerator", "H100"]) == 0
    out = capsys.readouterr().out
    assert "accelerator=H100" in api.asked[-1].query
    assert ("2.10 EUR" in out, "replaced" in out, "2026-07-01" in out) == (True, True, True)


def test_the_price_book_keeps_its_figures_whole_on_a_narrow_screen(
    api: FakeApi, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    row_id = "9f0c1e2d-aaaa-bbbb-cccc-1234567890ab"
    row = {**PRICE, "id": row_id, "holds_until": "2026-07-01T00:00:00Z"}
    api.answers["GET /v1/prices"] = Answer({"items": [row], "next_cursor": None})
    assert pricetag(["price", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 50
    for figure in (row_id, "2.10 EUR", "2026-01-01", "2026-07-01"):
        assert any(figure in line for line in lines), figure


def test_hours_are_imported_and_gaps_are_printed(
    api: FakeApi, tmp_path: Path, capsys: Captured
) -> None:
    api.answers["POST /v1/carbon/import"] = Answer(SERIES, 201)
    path = tmp_path / "de.csv"
    path.write_text("hour,g_per_kwh\n2026-03-01T00:00Z,300\n")
    options = ["--zone", "DE", "--basis", "lifecycle", "--source", "operator", "--license", "CC0"]
    assert pricetag(["carbon", "import", str(path), *options, "--std", "0.05"]) == 0
    body = sent(api)
    assert (body["content"], body["relative_std_ratio"]) == (path.read_text(), 0.05)
    assert "3 hours missing from 2026-03-01 04:00 UTC" in capsys.readouterr().out


def test_hours_are_fetched_by_the_server(api: FakeApi, capsys: Captured) -> None:
    def fetched(asked: Asked) -> Answer:
        return Answer({**SERIES, "gaps": []}, 201)

    api.answers["POST /v1/carbon/fetch"] = fetched
    span = ["--from", "2026-03-01", "--to", "2026-03-02T00:00Z"]
    zones = ["--zone", "US-CA", "--provider-zone", "US-CAL-CISO"]
    assert pricetag(["carbon", "fetch", *zones, *span]) == 0
    assert sent(api) == {
        "provider": "electricitymaps",
        "zone": "US-CA",
        "provider_zone": "US-CAL-CISO",
        "start": "2026-03-01T00:00:00Z",
        "end": "2026-03-02T00:00Z",
    }
    capsys.readouterr()
    assert pricetag(["carbon", "fetch", "--zone", "DE"]) == 2
    assert "--from" in capsys.readouterr().err


@pytest.mark.parametrize("group", ["site", "factor", "price", "carbon"])
def test_help_has_examples(group: str, capsys: Captured) -> None:
    command = "create" if group == "site" else "import" if group == "carbon" else "add"
    assert pricetag([group, command, "--help"]) == 0
    assert "pricetag" in capsys.readouterr().out.partition("Example")[2]
