from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import get_args
from uuid import UUID

import pytest

from pricetag.configuration import ConfigurationError
from pricetag.local.request import Request
from pricetag.local.settings import HOST_METERS, LocalSite, read_settings, settings_of_program
from pricetag.metering import HostMeter
from pricetag.metering.thread_model import BUSY_W, IDLE_W, ThreadModel


def test_settings_come_from_variables_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('pue = 1.3\ngrid_zone = "FRA"\n')
    environ = {
        "PRICETAG_CONFIG": str(file),
        "PRICETAG_DATA_DIR": str(tmp_path),
        "PRICETAG_PUE": "1.1",
        "PRICETAG_PROJECT": "reviews",
        "PRICETAG_ELECTRICITY_PER_KWH": "0.31",
    }
    settings = read_settings(environ)
    assert settings.site == LocalSite(pue=1.1, grid_zone="FRA", electricity_per_kwh=Decimal("0.31"))
    assert (settings.project, settings.folder) == ("reviews", tmp_path / "local")
    assert LocalSite.from_record(settings.site.as_record()) == settings.site


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PRICETAG_PUE", "0.5"),
        ("PRICETAG_PUE", "much"),
        ("PRICETAG_METER_HOST", "codecarbon"),
        ("PRICETAG_GRID_ZONE", "atlantis"),
        ("PRICETAG_ELECTRICITY_PER_KWH", "-1"),
        ("PRICETAG_ELECTRICITY_PER_KWH", "nan"),
        ("PRICETAG_GRID_G_PER_KWH", "nan"),
        ("PRICETAG_CURRENCY", "xyz1"),
    ],
)
def test_an_invalid_setting_is_named_before_anything_starts(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        read_settings({name: value})
    environ = {name: value, "PRICETAG_PROJECT": "reviews"}
    settings = settings_of_program(environ)
    assert settings.site == LocalSite()
    assert settings.project == "reviews"
    (problem,) = settings.unused
    assert name in problem
    assert environ == {"PRICETAG_PROJECT": "reviews"}


def test_a_program_runs_without_invalid_settings_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    environ = {"PRICETAG_CONFIG": str(file), "PRICETAG_CURRENCY": "EUR"}
    file.write_text('pue = "much"\ngrid_zone = "FRA"\ngrid_g_per_kwh = 40\nelectricity_per_kwh = 1')
    settings = settings_of_program(environ)
    assert settings.site == LocalSite(electricity_per_kwh=Decimal(1), currency="EUR")
    assert [problem.partition(":")[0] for problem in settings.unused] == [
        "PRICETAG_PUE",
        "set grid_zone or grid_g_per_kwh, not both; not used",
    ]
    file.write_text("pue = ")
    settings = settings_of_program(environ)
    assert settings.site == LocalSite(currency="EUR")
    (problem,) = settings.unused
    assert problem.endswith("none of its settings is used")


def test_the_host_meters_are_those_of_the_meter() -> None:
    assert get_args(HostMeter) == HOST_METERS


def test_the_model_scales_between_idle_and_busy_threads() -> None:
    busy_s, now_s = iter([0.0, 4.0, 4.0, 1000.0]), iter([0.0, 2.0, 4.0, 6.0])
    model = ThreadModel(4, lambda: next(busy_s), lambda: next(now_s))
    assert model.power_w() == pytest.approx(4 * (IDLE_W + BUSY_W) / 2)  # 4 of 8 thread seconds
    assert model.power_w() == pytest.approx(4 * IDLE_W)
    assert model.power_w() == pytest.approx(4 * BUSY_W)


def test_the_model_has_no_power_where_the_system_reports_no_load() -> None:
    assert ThreadModel(4, lambda: None).power_w() is None


START = """
import sys
import pricetag.cli.metered, pricetag.local.program
from pricetag.local.request import Request
from pricetag.local.settings import settings_of_program
settings_of_program({})
Request("x", "program", ("true",))
print(*sorted({"email", "importlib.metadata", "pydantic", "uuid"} & set(sys.modules)))
"""


def test_a_program_does_not_wait_for_slow_imports() -> None:
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_a_request_has_a_random_uuid() -> None:
    request = Request("x", "program")
    assert {UUID(request.run_id).version, UUID(request.attempt_id).version} == {4}
    assert request.run_id == str(UUID(request.run_id)) != request.attempt_id
