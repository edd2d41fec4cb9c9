"""`pricetag energy`: used, charged and unallocated energy."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from pricetag.cli.app import run as pricetag
from tests.support.fake_api import Answer, FakeApi, problem

Captured = pytest.CaptureFixture[str]


def quantity(value: float | None, reason: str | None = None) -> dict[str, Any]:
    return {
        "value": value,
        "low": None if value is None else value * 0.9,
        "high": None if value is None else value * 1.1,
        "unit": "kWh",
        "source": None if value is None else "counter",
        "reason": reason,
    }


def figures(
    total: float, charged: float, *flags: str, running: float = 0.0, undecided: float = 0.0
) -> dict[str, Any]:
    left = None if "node_not_metered" in flags else total - charged - running - undecided
    return {
        "total_kwh": quantity(total),
        "charged_kwh": quantity(charged),
        "running_kwh": quantity(running),
        "unallocated_kwh": quantity(left, None if left is not None else "it did not run"),
        "undecided_kwh": quantity(undecided),
        "overallocated_kwh": 0.25 if "overallocated" in flags else 0.0,
        "flags": list(flags),
    }


ABOUT = dict.fromkeys(("node", "component", "kind", "name", "project", "hour"))


def account(by: str, total: dict[str, Any], *items: dict[str, Any]) -> Answer:
    return Answer(
        {
            "from": "2026-03-01T00:00:00Z",
            "to": "2026-03-02T00:00:00Z",
            "by": by,
            "node": None,
            "total": total,
            "items": [{**ABOUT, **item} for item in items],
        }
    )


def shown(api: FakeApi, capsys: Captured, response: Answer, *arguments: str) -> str:
    api.answers["GET /v1/energy"] = response
    assert pricetag(["energy", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_each_node_is_listed_with_its_parts(api: FakeApi, capsys: Captured) -> None:
    items = [
        {"node": "alpha", **figures(8.0, 5.0)},
        {"node": "beta", **figures(4.0, 4.0, "node_not_metered")},
    ]
    out = shown(api, capsys, account("node", figures(12.0, 9.0), *items))
    assert "2026-03-01 00:00 to 2026-03-02 00:00 UTC" in out
    assert "12.0 kWh (10.8 to 13.2 kWh; counter)" in out
    assert "Undecided" not in out
    assert "Running" not in out
    alpha, beta = (
        line.split() for line in out.splitlines() if line.lstrip().startswith(("alpha", "beta"))
    )
    assert alpha == ["alpha", "8.00", "5.00", "3.00"]
    assert beta == ["beta", "4.00", "4.00", "n/a"]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("overallocated", "Runs were charged 250 Wh more"),
        ("node_not_metered", "own meter did not run all the time"),
        ("node_total_awaited", "not reported its total for the current hour yet"),
        ("runs_open", "Some runs are in progress"),
    ],
)
def test_flags_are_printed(flag: str, message: str, api: FakeApi, capsys: Captured) -> None:
    out = shown(api, capsys, account("node", figures(12.0, 9.0, flag, undecided=1.0)))
    assert message in " ".join(out.split())
    assert "Undecided" in out


def test_charges_of_running_runs_have_their_own_column(api: FakeApi, capsys: Captured) -> None:
    total = figures(12.0, 6.0, "runs_open", running=2.0)
    out = shown(api, capsys, account("node", total, {"node": "alpha", **total}))
    alpha = next(line.split() for line in out.splitlines() if line.lstrip().startswith("alpha"))
    assert alpha == ["alpha", "12.0", "6.00", "2.00", "4.00"]
    assert "provisional until they end" in " ".join(out.split())
    assert "Undecided" not in out


@pytest.mark.parametrize(
    ("by", "item", "name"),
    [
        ("component", {"node": "a", "component": "cpu", "name": "EPYC"}, "a cpu (EPYC)"),
        ("project", {"project": "text"}, "text"),
        ("project", {}, "(no project)"),
        ("hour", {"hour": "2026-03-01T13:00:00Z"}, "2026-03-01 13:00"),
    ],
)
def test_lines_have_the_names_of_their_subjects(
    by: str, item: dict[str, Any], name: str, api: FakeApi, capsys: Captured
) -> None:
    response = account(by, figures(1.0, 0.5), {**item, **figures(1.0, 0.5)})
    assert name in shown(api, capsys, response, "--by", by)


def test_dates_mean_their_first_hour_and_json_is_unchanged(api: FakeApi, capsys: Captured) -> None:
    response = account("node", figures(1.0, 0.5))
    options = ["--from", "2026-03-01", "--to", "2026-03-01T05:00:00Z", "--node", "a", "--json"]
    assert json.loads(shown(api, capsys, response, *options)) == response.body
    assert parse_qs(api.asked[-1].query) == {
        "from": ["2026-03-01T00:00:00Z"],
        "to": ["2026-03-01T05:00:00Z"],
        "by": ["node"],
        "node": ["a"],
    }


def test_a_rejection_by_the_server_is_one_line(api: FakeApi, capsys: Captured) -> None:
    api.answers["GET /v1/energy"] = problem(422, "invalid-energy-range", "'from' must be whole.")
    assert pricetag(["energy", "--from", "2026-03-01T00:30:00Z"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "pricetag: 'from' must be whole.\n")


def test_the_change_and_failed_work_are_shown_where_asked_for(
    api: FakeApi, capsys: Captured
) -> None:
    compared = account("project", figures(12.0, 9.0))
    small = {"difference_kwh": 0.5, "low": -1.0, "high": 2.0, "is_larger_than_error": False}
    large = {"difference_kwh": 5.0, "low": 3.0, "high": 7.0, "is_larger_than_error": True}
    lost = {"it_energy_kwh": 1.5, "share_ratio": 0.125, "attempts": 3}
    compared.body |= {
        "before": {"from": "2026-02-28T00:00:00Z", "to": "2026-03-01T00:00:00Z"},
        "change": {
            "total_kwh": small,
            "charged_kwh": large,
            "unallocated_kwh": dict.fromkeys(small),
        },
        "failed": {
            **lost,
            "items": [{**lost, "name": "text"}, {**lost, "name": "vision", "it_energy_kwh": 0.004}],
        },
    }
    out = shown(api, capsys, compared, "--by", "project", "--compare", "--failed")
    assert "Compared with 2026-02-28 00:00 to 2026-03-01 00:00 UTC:" in out
    assert "Used: no difference that these measurements could show" in out
    assert "Charged: +5.00 kWh (+3.00 kWh to +7.00 kWh)" in out
    assert "Unallocated: unknown" in out
    assert "Failed work: 1.50 kWh in 3 attempts, 12.5% of the energy of all ended attempts" in out
    assert "text: 1.50 kWh, 12.5%" in out
    assert "vision: 0.00400 kWh, 12.5%" in out  # and not 4.00 Wh
    query = parse_qs(api.asked[-1].query)
    assert (query["compare"], query["failed"]) == (["true"], ["true"])
