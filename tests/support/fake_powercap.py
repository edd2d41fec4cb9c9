"""A powercap tree whose counters rise at a steady power, kept by a process.

The counter is a pure function of the wall clock, so that a test knows the true energy of
any stretch of time without asking the files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MAX_RANGE_UJ = 262_143_328_850
TICK_S = 0.005
WIDTH = 15


@dataclass(frozen=True, slots=True)
class FakePowercap:
    root: Path
    power_w: float
    epoch_s: float

    def energy_j(self, start_s: float, end_s: float) -> float:
        """True energy between two wall-clock times."""
        return self.power_w * (end_s - start_s)


@contextmanager
def fake_powercap(folder: Path, *, package_w: float, dram_w: float) -> Iterator[FakePowercap]:
    package, dram = folder / "intel-rapl:0", folder / "intel-rapl:0" / "intel-rapl:0:0"
    for zone, name in ((package, "package-0"), (dram, "dram")):
        zone.mkdir(parents=True)
        (zone / "name").write_text(f"{name}\n")
        (zone / "max_energy_range_uj").write_text(f"{MAX_RANGE_UJ}\n")
        (zone / "energy_uj").write_text("1".rjust(WIDTH, "0"))
        (zone / "enabled").write_text("1\n")
    epoch_s = time.time()
    kept = [(package / "energy_uj", package_w), (dram / "energy_uj", dram_w)]
    arguments = [str(item) for zone in kept for item in zone]
    process = subprocess.Popen([sys.executable, __file__, str(epoch_s), *arguments])
    try:
        yield FakePowercap(folder, package_w + dram_w, epoch_s)
    finally:
        process.kill()
        process.wait()


def keep(epoch_s: float, zones: list[tuple[str, float]]) -> None:
    """Writes the counters for ever; in place, since a meter may hold a file open."""
    with suppress(PermissionError):
        os.nice(-10)  # hardware does not wait for a busy machine
    handles = [(os.open(path, os.O_WRONLY), power_w) for path, power_w in zones]
    while True:
        for handle, power_w in handles:
            energy_uj = int((time.time() - epoch_s) * power_w * 1e6) % MAX_RANGE_UJ
            os.pwrite(handle, f"{energy_uj:0{WIDTH}d}".encode(), 0)
        time.sleep(TICK_S)


if __name__ == "__main__":
    paths, powers = sys.argv[2::2], sys.argv[3::2]
    keep(float(sys.argv[1]), [(path, float(w)) for path, w in zip(paths, powers, strict=True)])
