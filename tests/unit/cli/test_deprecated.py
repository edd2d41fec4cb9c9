"""Former names of options are accepted, with a warning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pricetag.cli.app import app
from pricetag.cli.app import run as pricetag
from pricetag.cli.deprecated import NEW_NAMES
from tests.support.fake_api import Answer, FakeApi
from tests.unit.cli.test_help import walk

Captured = pytest.CaptureFixture[str]
FACTOR = ["factor", "add", "embodied", "150", "--basis", "b", "--source", "s", "--json"]


def added(api: FakeApi, *options: str) -> dict[str, Any]:
    api.answers["POST /v1/factors"] = Answer({"id": "x", "warnings": []}, status=201)
    assert pricetag([*FACTOR, *options]) == 0
    body: dict[str, Any] = json.loads(api.asked[-1].body)
    return body


def test_a_former_name_means_the_new_option(api: FakeApi, capsys: Captured) -> None:
    former = added(api, "--licence", "CC0", "--utilisation=0.7")
    assert capsys.readouterr().err.splitlines() == [
        "pricetag: warning: --licence is deprecated; use --license",
        "pricetag: warning: --utilisation is deprecated; use --utilization",
    ]
    assert former == added(api, "--license", "CC0", "--utilization=0.7")
    assert capsys.readouterr().err == ""
    assert (former["licence"], former["details"]["utilisation_ratio"]) == ("CC0", 0.7)


def test_a_value_that_looks_like_a_former_name_is_not_changed(
    api: FakeApi, capsys: Captured
) -> None:
    assert added(api, "--subject=--licence")["subject"] == "--licence"
    assert capsys.readouterr().err == ""


def test_every_command_with_a_renamed_option_accepts_its_former_name(
    api: FakeApi, capsys: Captured
) -> None:
    import typer

    used = set()
    for path, command in walk((), typer.main.get_command(app)):
        options = {name for param in command.params for name in param.opts}
        assert not options & NEW_NAMES.keys(), path
        for former, new in NEW_NAMES.items():
            if new in options:
                used.add(new)
                assert pricetag([*path, former]) == 2
                assert f"{former} is deprecated; use {new}" in capsys.readouterr().err
    assert used == set(NEW_NAMES.values())


def test_the_former_name_of_a_command_means_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path))
    shown = {}
    for name in ("prune", "clean"):
        assert pricetag([name, "--older-than", "90d", "--json"]) == 0
        shown[name] = capsys.readouterr()
    assert shown["prune"].out == shown["clean"].out
    assert shown["clean"].err == ""
    assert shown["prune"].err == (
        "pricetag: warning: pricetag prune is deprecated; use pricetag clean\n"
    )
