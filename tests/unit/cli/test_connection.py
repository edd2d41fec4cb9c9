from __future__ import annotations

from pathlib import Path

import pytest

from pricetag.cli.connection import resolve
from pricetag.cli.console import CliError


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_options_take_precedence_over_variables_the_file_and_defaults(tmp_path: Path) -> None:
    write(tmp_path / "data/server.json", '{"url": "http://here:1"}')
    here = {"PRICETAG_DATA_DIR": str(tmp_path / "data")}
    assert resolve(None, None, here).url == "http://here:1"
    write(tmp_path / "pricetag.toml", '[client]\nurl = "http://file:2/"\ntoken = "from-file"\n')
    from_file = resolve(None, None, here)
    assert (from_file.url, from_file.token) == ("http://file:2", "from-file")
    variables = here | {"PRICETAG_URL": "https://env", "PRICETAG_TOKEN": "from-env"}
    from_env = resolve(None, None, variables)
    assert (from_env.url, from_env.token) == ("https://env", "from-env")
    connection = resolve("http://option", "from-option", variables)
    assert (connection.url, connection.token) == ("http://option", "from-option")


def test_the_data_folder_is_the_server_s(tmp_path: Path) -> None:
    write(tmp_path / "xdg/pricetag/server.json", '{"url": "http://xdg"}')
    assert resolve(None, None, {"XDG_DATA_HOME": str(tmp_path / "xdg")}).url == "http://xdg"
    write(tmp_path / "other/server.json", '{"url": "http://other"}')
    write(tmp_path / "named.toml", f'data_dir = "{tmp_path / "other"}"\n')
    assert resolve(None, None, {"PRICETAG_CONFIG": str(tmp_path / "named.toml")}).url == (
        "http://other"
    )


def test_a_token_is_never_printed() -> None:
    assert "pt_secret" not in repr(resolve("http://x", "pt_secret", {}))


@pytest.mark.parametrize(
    ("files", "environ", "message"),
    [
        ({}, {}, "no server to connect to"),
        ({"pricetag.toml": "url = ["}, {}, "pricetag.toml: "),
        ({"pricetag.toml": "client = 1"}, {}, r"\[client\].*must be a table"),
        ({"pricetag.toml": "[client]\nurll = 'x'"}, {}, "'urll'.*did you mean 'url'"),
        ({"pricetag.toml": "[client]\nport = 1"}, {}, "'port'.*known keys: push, token, url"),
        ({}, {"PRICETAG_CONFIG": "missing.toml"}, "missing.toml: No such file"),
        ({}, {"PRICETAG_URL": "localhost:8000"}, "'localhost:8000' is not an http.*use http://"),
        ({"d/server.json": "{"}, {"PRICETAG_DATA_DIR": "d"}, "contains no address"),
        ({"d/server.json": "{}"}, {"PRICETAG_DATA_DIR": "d"}, "contains no address"),
    ],
)
def test_invalid_settings_are_reported(
    files: dict[str, str], environ: dict[str, str], message: str, tmp_path: Path
) -> None:
    for name, text in files.items():
        write(tmp_path / name, text)
    surroundings = {"XDG_DATA_HOME": str(tmp_path / "nowhere")} | environ
    with pytest.raises(CliError, match=message):
        resolve(None, None, surroundings)
