from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
import typer
from rich.table import Table

from pricetag.cli.answering import answer, each
from pricetag.cli.options import Given


def _context(*, json_before: bool = False) -> typer.Context:
    app = typer.Typer()
    app.command()(lambda: None)
    return typer.Context(typer.main.get_command(app), obj=Given(json=json_before))


def _loud(word: str) -> str:
    return word.upper()


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True)])
def test_with_json_nothing_else_is_printed(
    before: bool, after: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(_context(json_before=before), after, ["a"], each(_loud), nothing="none")
    assert json.loads(capsys.readouterr().out) == ["a"]


def test_many_are_shown_one_after_another(capsys: pytest.CaptureFixture[str]) -> None:
    answer(_context(), False, ["a", "b"], each(_loud), nothing="none")
    assert capsys.readouterr().out == "A\nB\n"


def test_lines_and_tables_may_follow_one_another(capsys: pytest.CaptureFixture[str]) -> None:
    def view(words: Sequence[str]) -> tuple[str, Table]:
        return "before", Table(words[0])

    answer(_context(), False, ["words"], view)
    out = capsys.readouterr().out
    assert out.startswith("before\n")
    assert "words" in out


def test_an_empty_list_prints_a_sentence_but_json_stays_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    none: list[str] = []
    answer(_context(), False, none, each(_loud), nothing="no word")
    assert capsys.readouterr().out == "no word\n"
    answer(_context(), True, none, each(_loud), nothing="no word")
    assert json.loads(capsys.readouterr().out) == []
