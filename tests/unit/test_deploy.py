"""The files in ``deploy`` agree with the code: units of systemd, Prometheus, Grafana."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings
from tests.unit.test_containers import accept

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "pricetag.json").read_text())
INSTALLED = "/opt/pricetag/.venv/bin/pricetag"


def values(unit: Path, name: str) -> list[str]:
    """The values of a setting of a unit, in order."""
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


def commands(unit: Path) -> Iterator[list[str]]:
    """The commands of ours that a unit starts, as lists of words."""
    for line in [*values(unit, "ExecStartPre"), *values(unit, "ExecStart")]:
        words = shlex.split(line)
        if words[:2] == ["/bin/sh", "-c"]:
            words = shlex.split(words[2].replace("$$(date +%%F)", "2026-11-30"))[1:]
        assert words[0] == INSTALLED
        yield ["pricetag", *words[1:]]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_units_start_commands_of_ours_with_settings_of_ours(unit: Path) -> None:
    started = list(commands(unit))
    assert started
    for command in started:
        accept(command)
    for variable in values(unit, "Environment"):
        name = variable.partition("=")[0].removeprefix("PRICETAG_").lower()
        assert name in Settings.model_fields
    assert values(unit, "User") == ["pricetag"]


def test_jobs_have_the_time_to_save_their_state() -> None:
    grace_s = Settings.model_fields["stop_grace_s"].default
    for name in ("pricetag.service", "pricetag-worker.service"):
        unit = DEPLOY / "systemd" / name
        # Twice the grace and 30 s, as docs/how-to/operations.md states.
        assert float(values(unit, "TimeoutStopSec")[0]) > 2 * grace_s + 30
        assert values(unit, "KillMode") == ["mixed"]


def test_a_timer_starts_a_service_that_exists() -> None:
    for timer in (unit for unit in UNITS if unit.suffix == ".timer"):
        assert timer.with_suffix(".service") in SERVICES


def test_prometheus_reads_the_metrics_of_a_server() -> None:
    (scrape,) = yaml.safe_load((DEPLOY / "prometheus" / "pricetag.yml").read_text())[
        "scrape_configs"
    ]
    assert scrape.get("metrics_path", "/metrics") == "/metrics"
    assert scrape["authorization"]["type"] == "Bearer"
    port = Settings.model_fields["port"].default
    assert scrape["static_configs"] == [{"targets": [f"127.0.0.1:{port}"]}]


def test_panels_of_the_board_neither_overlap_nor_share_an_id() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert all(panel["description"] and panel["targets"] for panel in panels)
