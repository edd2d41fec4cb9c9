"""``pricetag sign-in`` where no server runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from app.cli.sign_in import server_address
from app.settings import Settings
from tests.support.commands import Captured


def settings(folder: Path, **values: object) -> Settings:
    return Settings.model_validate({"data_dir": folder, **values})


def test_the_link_has_the_configured_address_and_says_that_nobody_is_there(
    tmp_path: Path, capsys: Captured
) -> None:
    configured = settings(tmp_path, host="0.0.0.0", port=8765)
    assert server_address(configured) == "http://127.0.0.1:8765"
    said = capsys.readouterr().err
    assert "no server runs on this data folder" in said
    assert "--url" in said


def test_a_free_port_is_not_guessed(tmp_path: Path, capsys: Captured) -> None:
    with pytest.raises(typer.Exit):
        server_address(settings(tmp_path, port=0))
    assert "start it first" in capsys.readouterr().err


def test_a_running_server_is_named_without_a_remark(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "server.json").write_text(json.dumps({"url": "http://127.0.0.1:9", "pid": 1}))
    assert server_address(settings(tmp_path)) == "http://127.0.0.1:9"
    assert capsys.readouterr().err == ""
