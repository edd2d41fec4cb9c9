import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_powercap import FakePowercap, fake_powercap
from tests.support.prepared import Prepared
from tests.support.service import Service, prepared_service

PACKAGE_W = 120.0
DRAM_W = 10.0
SETTINGS = {
    "meter_host": "rapl",
    "grid_g_per_kwh": "100",
    "pue": "1.2",
    "electricity_per_kwh": "0.3",
    "currency": "USD",
    "heartbeat_timeout_s": "20",
    "allow_commands_pools": "default",
}


@pytest.fixture(scope="module")
def powercap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakePowercap]:
    """A host that draws exactly 130 W."""
    folder = tmp_path_factory.mktemp("powercap")
    with fake_powercap(folder, package_w=PACKAGE_W, dram_w=DRAM_W) as powercap:
        yield powercap


@pytest.fixture
def lab(powercap: FakePowercap, prepared_data: Prepared) -> Iterator[Service]:
    """A server, without workers, on a host with a known power draw; of one test alone."""
    yield from _lab(powercap, prepared_data)


@pytest.fixture(scope="module")
def shared_lab(powercap: FakePowercap, prepared_data: Prepared) -> Iterator[Service]:
    """As ``lab``, for all tests of a module, which leave it as they found it."""
    yield from _lab(powercap, prepared_data)


@pytest.fixture
def lent_lab(shared_lab: Service) -> Iterator[Service]:
    """The module's ``shared_lab``; workers that a test starts end with it."""
    yield shared_lab
    shared_lab.stop_workers()


def _lab(powercap: FakePowercap, start: Prepared) -> Iterator[Service]:
    # Not under pytest's own folder: another session of pytest closes that to the database's
    # user when it starts.
    folder = Path(tempfile.mkdtemp(prefix="pricetag-e2e-"))
    (folder / "data").mkdir()
    (folder / "inputs").mkdir()
    places = {"data_roots": str(folder / "inputs"), "powercap_root": str(powercap.root)}
    try:
        with prepared_service(start, folder / "data", **SETTINGS, **places) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)
