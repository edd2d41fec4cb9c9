from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.db import libpq_url, sqlalchemy_url
from app.settings import Settings, SettingsError, get_settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PRICETAG_DATA_DIR")


def test_settings_have_their_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    settings = Settings()
    assert settings.database_url is None
    assert settings.data_dir == Path("/home/ada/.local/share/pricetag")
    assert settings.artifacts_root == settings.data_dir / "artifacts"
    assert (settings.lease_s, settings.pue, settings.grid_zone) == (900.0, None, None)


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pricetag.toml").write_text(
        'pue = 1.2\nlease_s = 60.0\ndata_roots = ["data"]\nallow_commands_pools = ["lab"]\n'
        '[client]\nurl = "http://x"\n'
    )
    monkeypatch.setenv("PRICETAG_PUE", "1.1")
    monkeypatch.setenv("PRICETAG_ELECTRICITY_PER_KWH", "0.30")
    settings = Settings()
    assert (settings.pue, settings.lease_s) == (1.1, 60.0)
    assert settings.data_roots == [tmp_path / "data"]
    assert settings.allow_commands_pools == ["lab"]
    assert settings.electricity_per_kwh == Decimal("0.30")


def test_lists_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRICETAG_DATA_ROOTS", "/a:/b")
    monkeypatch.setenv("PRICETAG_ALLOW_COMMANDS_POOLS", "lab, demo")
    settings = Settings()
    assert settings.data_roots == [Path("/a"), Path("/b")]
    assert settings.allow_commands_pools == ["lab", "demo"]


def test_a_settings_file_can_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.toml").write_text("port = 9000\n")
    monkeypatch.setenv("PRICETAG_CONFIG", str(tmp_path / "other.toml"))
    assert get_settings().port == 9000
    monkeypatch.setenv("PRICETAG_CONFIG", str(tmp_path / "missing.toml"))
    with pytest.raises(ValueError, match=r"missing\.toml, which is not a file"):
        Settings()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PUE", "0.9", "pue"),
        ("PUE", "low", "pue"),
        ("PORT", "70000", "port"),
        ("LEASE_S", "4", "lease_s"),
        ("DATABASE_URL", "mysql://x", "must be a postgresql"),
        ("CURRENCY", "euro", "currency"),
        ("CURRENCY", "XQZ", "ISO 4217 code of a currency in use"),
        ("GRID_G_PER_KWH", "-1", "grid_g_per_kwh"),
        ("GRID_YEAR", "2024", "set that too"),
        ("ELECTRICITY_PER_KWH", "cheap", "electricity_per_kwh"),
        ("GRID_ZONE", "Atlantis", "zone 'Atlantis' is not in the catalog"),
    ],
)
def test_an_invalid_value_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(f"PRICETAG_{name}", value)
    with pytest.raises(ValidationError, match=message):
        Settings()


def test_zone_and_figure_exclude_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRICETAG_GRID_ZONE", "DE")
    monkeypatch.setenv("PRICETAG_GRID_G_PER_KWH", "380")
    with pytest.raises(ValidationError, match="not both"):
        Settings()


def test_a_zone_is_accepted_by_either_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRICETAG_GRID_ZONE", "fr")
    assert Settings().grid_zone == "FRA"


def test_a_misspelled_key_of_the_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "pricetag.toml").write_text("peu = 1.2\n")
    with pytest.raises(ValidationError, match="peu"):
        Settings()


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:p%40ss@h:5433/d?sslmode=require",
        "postgresql://u:p%40ss@h:5433/d?sslmode=require",
        "postgresql+psycopg://u:p%40ss@h:5433/d?sslmode=require",
    ],
)
def test_every_spelling_of_a_database_url_is_accepted(url: str) -> None:
    rest = "://u:p%40ss@h:5433/d?sslmode=require"
    assert sqlalchemy_url(url) == f"postgresql+psycopg{rest}"
    assert libpq_url(url) == f"postgresql{rest}"


def test_a_misspelled_setting_of_the_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "pricetag.toml").write_text("prot = 1\nport = 'x'\n")
    with pytest.raises(SettingsError) as caught:
        get_settings()
    message = str(caught.value)
    assert "prot: is not a known setting; did you mean port?" in message
    assert "port: must be a whole number" in message


def test_invalid_settings_are_reported_in_one_line_in_plain_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PRICETAG_GRID_ZONE", "XX")
    monkeypatch.setenv("PRICETAG_PORT", "many")
    with pytest.raises(SettingsError) as caught:
        get_settings()
    message = str(caught.value)
    assert message.startswith("the configuration is wrong: PRICETAG_PORT: must be a whole number; ")
    assert message.endswith("; PRICETAG_GRID_ZONE: zone 'XX' is not in the catalog")
    assert "\n" not in message


def test_a_malformed_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "pricetag.toml").write_text("pue = \n")
    with pytest.raises(SettingsError, match=r"^pricetag\.toml: .*line 1"):
        get_settings()
