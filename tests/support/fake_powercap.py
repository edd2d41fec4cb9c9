"""A powercap tree whose package counter rises at a steady power, kept by a process.

The counter is a pure function of the wall clock, so that a test knows the true energy of
any stretch of time without asking the files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
def fake_powercap(folder: Path, *, power_w: float) -> Iterator[FakePowercap]:
    zone = folder / "intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "max_energy_range_uj").write_text(f"{MAX_RANGE_UJ}\n")
    (zone / "energy_uj").write_text("0" * WIDTH)
    (zone / "enabled").write_text("1\n")
    epoch_s = time.time()
    process = subprocess.Popen(
        [sys.executable, __file__, str(zone / "energy_uj"), str(power_w), str(epoch_s)]
    )
    try:
        yield FakePowercap(folder, power_w, epoch_s)
    finally:
        process.kill()
        process.wait()


def keep(path: str, power_w: float, epoch_s: float) -> None:
    """Writes the counter for ever; in place, since a meter may hold the file open."""
    handle = os.open(path, os.O_WRONLY)
    while True:
        energy_uj = int((time.time() - epoch_s) * power_w * 1e6) % MAX_RANGE_UJ
        os.pwrite(handle, f"{energy_uj:0{WIDTH}d}".encode(), 0)
        time.sleep(TICK_S)


if __name__ == "__main__":
    keep(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
