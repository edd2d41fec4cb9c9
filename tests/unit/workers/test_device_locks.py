"""A device belongs to one worker: two would each charge all of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from app.settings import get_settings
from pricetag.metering.nvml_devices import Device
from workers import command
from workers.node.device_locks import hold

DEVICES = [Device(f"GPU-{n}", n, "Fake", None, None) for n in range(3)]


def test_a_device_is_held_by_one_worker_at_a_time(tmp_path: Path) -> None:
    with hold(tmp_path / "workers", "node", DEVICES[:2]) as first:
        assert (first.ours, first.elsewhere) == (DEVICES[:2], [])
        with hold(tmp_path / "workers", "node", DEVICES) as second:
            assert (second.ours, second.elsewhere) == (DEVICES[2:], DEVICES[:2])
        with hold(tmp_path / "workers", "another", DEVICES) as other:
            assert other.ours == DEVICES
    with hold(tmp_path / "workers", "node", DEVICES) as third:
        assert third.ours == DEVICES


def test_a_killed_worker_holds_no_device(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        with hold(tmp_path, "node", DEVICES):
            os._exit(0)
    os.waitpid(pid, 0)
    with hold(tmp_path, "node", DEVICES) as held:
        assert held.ours == DEVICES


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[list[Device]]:
    """The devices with which a worker would serve; it ends at once."""
    devices: list[list[Device]] = []

    async def serve(settings: Any, config: Any, held_devices: list[Device], *_: Any) -> None:
        devices.append(held_devices)

    monkeypatch.setattr(command, "_serve", serve)
    monkeypatch.setattr(command, "list_accelerators", lambda: DEVICES)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return devices


def start(tmp_path: Path, *options: str) -> tuple[int, str]:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command.worker)
    environment = {"PRICETAG_DATA_DIR": str(tmp_path), "TERM": "dumb", "COLUMNS": "300"}
    result = CliRunner().invoke(
        app, ["--name", "node", *options], env=environment, catch_exceptions=False
    )
    return result.exit_code, result.output


def test_a_second_worker_takes_the_free_devices(tmp_path: Path, served: list[list[Device]]) -> None:
    with hold(tmp_path / "workers", "node", DEVICES[:1]):
        assert start(tmp_path)[0] == 0
        assert start(tmp_path, "--gpus", "1")[0] == 0
    assert served == [DEVICES[1:], DEVICES[1:2]]


def test_a_second_worker_on_the_same_device_is_rejected(
    tmp_path: Path, served: list[list[Device]]
) -> None:
    with hold(tmp_path / "workers", "node", DEVICES):
        code, message = start(tmp_path, "--gpus", "1,2")
        assert code == 2
        assert "another worker of this node uses GPU-1, GPU-2" in message
        code, message = start(tmp_path, "--cpu-slots", "0")
        assert code == 2
        assert "no device and no CPU slot" in message
    assert served == []


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--gpus", "7"], 2, "--gpus 7: no such device; devices present: 0 (GPU-0)"),
        (["--cpu-slots", "many"], 2, "--cpu-slots': must be a whole number"),
        (["--check"], 1, "no worker of node 'node' was alive in the last 30 s"),
    ],
)
def test_an_invalid_start_is_reported_in_one_line(
    tmp_path: Path,
    served: list[list[Device]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["pricetag worker", "--name", "node", *options])
    get_settings.cache_clear()
    with pytest.raises(SystemExit) as ended:
        command.main()
    get_settings.cache_clear()
    complaint = capsys.readouterr().err
    assert ended.value.code == code
    assert complaint.startswith("pricetag: ")
    assert complaint.count("\n") == 1
    assert message in complaint
