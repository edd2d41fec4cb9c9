"""``pricetag codecarbon`` prints a file that CodeCarbon reads."""

from __future__ import annotations

import configparser

import pytest

from pricetag.cli.app import run as pricetag
from tests.support.commands import Captured, complaint

URL = "https://lab.example.org/prices/"
BASE = "https://lab.example.org/prices/codecarbon"


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRICETAG_URL", URL)
    monkeypatch.setenv("PRICETAG_TOKEN", "pt_secret")


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (
            [],
            {
                "experiment_id": "lab/vision/codecarbon",
                "output_methods": "csv,api",
                "api_endpoint": BASE,
                "api_key": "pt_secret",
            },
        ),
        (
            ["--experiment", "cnn", "--sums"],
            {
                "experiment_id": "lab/vision/cnn",
                "emissions_endpoint": f"{BASE}/records/pt_secret",
            },
        ),
    ],
)
def test_the_file_names_the_server_the_token_and_the_project(
    options: list[str], settings: dict[str, str], capsys: Captured
) -> None:
    assert pricetag(["codecarbon", "--project", "lab/vision", *options]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    file = configparser.ConfigParser()
    file.read_string(out)
    assert dict(file["codecarbon"]) == settings


def test_a_token_is_needed(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.delenv("PRICETAG_TOKEN")
    assert pricetag(["codecarbon", "--project", "reviews"]) == 2
    assert "PRICETAG_TOKEN" in complaint(capsys)
