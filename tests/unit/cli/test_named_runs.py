"""Errors name a run as the user typed it, and its ID."""

from __future__ import annotations

import pytest

from pricetag.cli.app import run as pricetag
from tests.support.fake_api import RUN_ID, Answer, FakeApi, problem, run

Captured = pytest.CaptureFixture[str]
OTHER = RUN_ID.replace("6f0c", "7f0c")
BY_TYPED = [
    ("last", f"'last' ({RUN_ID[:8]})"),
    (RUN_ID[:6], f"'{RUN_ID[:6]}' ({RUN_ID[:8]})"),
    (RUN_ID, RUN_ID),
]


@pytest.fixture
def runs(api: FakeApi) -> FakeApi:
    api.answers["GET /v1/runs"] = Answer({"items": [run()], "next_cursor": None})
    return api


@pytest.mark.parametrize(("typed", "shown"), BY_TYPED)
def test_a_comparison_names_the_run_without_a_price_tag_as_it_was_typed(
    typed: str, shown: str, runs: FakeApi, capsys: Captured
) -> None:
    text = f"run {RUN_ID} has no price tag yet"
    fault = {"field": "a.0", "message": text, "hint": "another run"}
    runs.answers["GET /v1/comparisons"] = problem(422, "nothing-to-compare", f"a.0: {text}", fault)
    assert pricetag(["compare", typed, OTHER]) == 2
    err = capsys.readouterr().err
    assert err == f"pricetag: RUNS_A: run {shown} has no price tag yet (another run)\n"


def test_a_run_with_two_names_is_shown_with_both(runs: FakeApi, capsys: Captured) -> None:
    text = f"Run {RUN_ID} is in both groups; list each run once."
    runs.answers["GET /v1/comparisons"] = problem(422, "nothing-to-compare", text)
    assert pricetag(["compare", "last", RUN_ID[:5]]) == 2
    both = f"Run 'last', '{RUN_ID[:5]}' ({RUN_ID[:8]}) is in both groups"
    assert both in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "request_line"),
    [
        (["cancel"], f"POST /v1/runs/{RUN_ID}/cancel"),
        (["resume"], f"POST /v1/runs/{RUN_ID}/resume"),
        (["reprice"], f"POST /v1/runs/{RUN_ID}/price-tag/reprice"),
        (["quote", "--run"], f"GET /v1/runs/{RUN_ID}/quote"),
        (["verify"], f"GET /v1/runs/{RUN_ID}/price-tag"),
    ],
)
def test_every_command_names_a_run_as_it_was_typed(
    command: list[str], request_line: str, runs: FakeApi, capsys: Captured
) -> None:
    runs.answers[request_line] = problem(404, "run-not-found", f"Run {RUN_ID} not found.")
    assert pricetag([*command, "last"]) == (2 if command == ["verify"] else 1)
    assert capsys.readouterr().err == f"pricetag: Run 'last' ({RUN_ID[:8]}) not found.\n"


def test_the_names_of_one_command_are_not_used_by_the_next(runs: FakeApi, capsys: Captured) -> None:
    runs.answers[f"POST /v1/runs/{RUN_ID}/cancel"] = problem(
        404, "run-not-found", f"Run {RUN_ID} not found."
    )
    assert pricetag(["cancel", "last"]) == 1
    assert pricetag(["cancel", RUN_ID]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"pricetag: Run {RUN_ID} not found."
