from __future__ import annotations

import json

import pytest

from pricetag.cli.app import run as pricetag
from pricetag.cli.negatives import figures_last
from tests.support.fake_api import FakeApi, problem

Captured = pytest.CaptureFixture[str]

CITED = ["--source", "report", "--basis", "annual mean"]
PRICED = ["--accelerator", "H100", "--provider", "a cloud", "--currency", "EUR", "--kind", "spot"]
SOLD = [*PRICED, "--source", "list", "--from", "2026-01-01"]
TOO_LOW = {"message": "must be at least 0 (got -1)", "hint": "a number from 0"}


@pytest.mark.parametrize("figure", ["-1", "-0.2", "-.5", "-1e-3", "-inf", "-1h"])
def test_a_negative_factor_is_rejected_with_its_field(
    figure: str, api: FakeApi, capsys: Captured
) -> None:
    fault = {"field": "value", **TOO_LOW}
    api.answers["POST /v1/factors"] = problem(422, "invalid-request", "value: too low", fault)
    assert pricetag(["factor", "add", "wue", figure, *CITED]) == 2
    assert json.loads(api.asked[-1].body)["value"] == figure
    err = capsys.readouterr().err
    assert err.startswith("pricetag: VALUE: ")
    assert (err.count("\n"), "(a number from 0)" in err) == (1, True)


def test_negative_prices_and_budgets_are_rejected_with_their_field(
    api: FakeApi, capsys: Captured
) -> None:
    refusal = problem(422, "invalid-request", "amount: too low", {"field": "amount", **TOO_LOW})
    api.answers["POST /v1/prices"] = api.answers["POST /v1/budgets"] = refusal
    for name, command in (
        ("AMOUNT", ["price", "add", "x", "-1", *SOLD]),
        ("--amount", ["budget", "create", "b", "--amount", "-1"]),
    ):
        assert pricetag(command) == 2
        assert json.loads(api.asked[-1].body)["amount"] == "-1"
        assert capsys.readouterr().err.startswith(f"pricetag: {name}: ")


def test_unknown_options_are_still_named(api: FakeApi, capsys: Captured) -> None:
    for wrong in ("--vlaue", "-x"):
        assert pricetag(["factor", "add", "wue", "0.4", *CITED, wrong]) == 2
        assert f"No such option: {wrong}" in capsys.readouterr().err
    assert pricetag(["factor", "add", "wue", "1", "-2", *CITED]) == 2
    assert "unexpected extra argument" in capsys.readouterr().err
    assert api.asked == []


@pytest.mark.parametrize(
    ("args", "read"),
    [
        ([], []),
        (["wue", "1", "--std", "2"], ["wue", "1", "--std", "2"]),
        (["wue", "-1", "--std", "-2"], ["wue", "--std", "-2", "--", "-1"]),
        (["wue", "--json", "-1"], ["wue", "--json", "--", "-1"]),
        (["wue", "--", "-1", "--std"], ["wue", "--", "-1", "--std"]),
        (["wue", "--std=-1", "-h"], ["wue", "--std=-1", "-h"]),
        (["wue", "--std"], ["wue", "--std"]),
    ],
)
def test_figures_are_distinguished_from_options_and_their_values(
    args: list[str], read: list[str]
) -> None:
    assert figures_last(args, {"--std"}) == read
