from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_powercap import FakePowercap, fake_powercap
from tests.support.service import Service, service

PACKAGE_W = 120.0
DRAM_W = 10.0


@pytest.fixture
def powercap(tmp_path: Path) -> Iterator[FakePowercap]:
    """A host that draws exactly 130 W."""
    with fake_powercap(tmp_path / "powercap", package_w=PACKAGE_W, dram_w=DRAM_W) as powercap:
        yield powercap


@pytest.fixture
def lab(tmp_path: Path, powercap: FakePowercap) -> Iterator[Service]:
    """A server, without workers, on a host with a known power draw."""
    data_dir = tmp_path / "data"
    inputs = tmp_path / "inputs"
    data_dir.mkdir()
    inputs.mkdir()
    with service(
        data_dir,
        data_roots=str(inputs),
        powercap_root=str(powercap.root),
        meter_host="rapl",
        grid_g_per_kwh="100",
        pue="1.2",
        heartbeat_timeout_s="20",
        allow_commands_pools="default",
    ) as running:
        yield running
