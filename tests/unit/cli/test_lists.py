"""Lists on the terminal: one line a row, names cut, everything else whole."""

from __future__ import annotations

from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from pricetag.cli.views.budgets import budgets_view
from pricetag.cli.views.people import (
    members_view,
    projects_view,
    tokens_view,
    user_tokens_view,
    users_view,
)
from pricetag.cli.views.runs import runs_view
from pricetag.cli.views.tables import ListTable
from tests.support.fake_api import RUN_ID, run
from tests.unit.cli.test_budgets import budget

NAMES = {
    "short": "ada",
    "long": "n" * 200,
    "words": "a name of several words " * 8,
    "wide": "\U0001f525" * 200,
    "family": "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 40,
    "hanzi": "\u6a21\u578b" * 100,
    "right to left": "\u202eabc" * 50,
}
TOKEN = {"id": RUN_ID, "role": "member", "revoked_at": None, "in_force": True}


def views(name: str) -> dict[str, RenderableType]:
    user = {"name": name, "role": "member", "disabled_at": None, "email": None, "id": RUN_ID}
    token: dict[str, Any] = {**TOKEN, "name": name, "user": name}
    limited = {**token, "project": name, "expires_at": "2027-01-01T00:00:00Z"}
    return {
        "runs": runs_view([run(name=name)] * 2),
        "budgets": budgets_view([budget(name=name, project=name)] * 2),
        "users": users_view([user] * 2),
        "user tokens": user_tokens_view([{**token, "project": None, "expires_at": None}] * 2),
        "tokens": tokens_view([limited] * 2),
        "projects": projects_view(
            [{"name": name, "visibility": "open", "experiments": 1, "runs": 20_000}] * 2
        ),
        "members": members_view([{"user": name, "role": "owner"}] * 2),
    }


def drawn(view: RenderableType, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(view)
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.mark.parametrize("name", list(NAMES))
def test_every_row_is_one_line(name: str) -> None:
    for what, view in views(NAMES[name]).items():
        head, _, *rows = drawn(view, 100)
        assert len(rows) == 2, what
        assert max(map(cell_len, [head, *rows])) <= 100
        assert "\u202e" not in "".join(rows)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_only_names_are_cut(width: int) -> None:
    whole = {
        "runs": ["6f0c0d0e", "succeeded", "14.4 Wh", "6.58 g"],
        "budgets": ["9.25 kg", "55.0%", "month, Europe/Berlin"],
        "users": [RUN_ID, "member", "active"],
        "user tokens": [RUN_ID, "active"],
        "tokens": [RUN_ID, "active", "2027-01-01"],
        "projects": ["open", "20,000"],
        "members": ["owner"],
    }
    for what, view in views("a name of several words").items():
        shown = "".join(" ".join(drawn(view, width)).split())
        for text in whole[what]:
            assert "".join(text.split()) in shown, what


def test_column_headings_name_their_figures() -> None:
    heads = {what: drawn(view, 140)[0].split("  ") for what, view in views("ada").items()}
    named = {what: [head.strip() for head in line if head] for what, line in heads.items()}
    assert named == {
        "runs": ["Run", "Status", "Name", "Submitted (UTC)", "IT energy", "CO2e"],
        "budgets": ["Budget", "Covers", "Period", "Limit", "Left", "Used"],
        "users": ["User", "Role", "State", "ID"],
        "user tokens": ["Token", "Role", "State", "ID"],
        "tokens": ["User", "Role", "State", "Expires", "Only project", "ID"],
        "projects": ["Project", "Visibility", "Experiments", "Runs"],
        "members": ["User", "Role"],
    }


def test_a_sentence_in_a_list_wraps_or_gets_a_line_of_its_own() -> None:
    reason = "limit not reached: no run is queued or running, so no further use is expected"
    table = ListTable(("~Budget", ">Used", "+State"), [("lab", "0.1%", reason)])
    wide, narrow = drawn(table, 60), drawn(table, 20)
    assert wide[0].split() == ["Budget", "Used", "State"]
    assert " ".join(" ".join(wide[2:]).split()) == f"lab 0.1% {reason}"
    assert narrow[:2] == ["Budget: lab", "  Used: 0.1%"]
    assert " ".join(" ".join(narrow[2:]).split()) == f"State: {reason}"
