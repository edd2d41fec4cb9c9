"""A powercap tree whose counters rise at a steady power, kept by a process.

The counter is a pure function of the wall clock, so that a test knows the true energy of
any stretch of time without asking the files. On a busy machine the process may be late: it
notes by how much, and tests allow for that.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import powercap_keeper
from tests.support.powercap_keeper import MAX_RANGE_UJ, TICK_S, WIDTH

LONGEST_PAUSE = "longest_pause_s"


@dataclass(frozen=True, slots=True)
class FakePowercap:
    root: Path
    power_w: float
    epoch_s: float

    def drew(self, duration_s: float, unit_j: float = 1.0) -> Any:
        """What a meter should have read over a stretch of time, to compare with: within 1%.

        At either end the counter may be as old as the longest pause between two of its updates.
        """
        true_j = self.power_w * duration_s
        stale_j = self.power_w * 2 * (float((self.root / LONGEST_PAUSE).read_text()) + TICK_S)
        return pytest.approx(true_j / unit_j, abs=(0.01 * true_j + stale_j) / unit_j)


@contextmanager
def fake_powercap(folder: Path, *, package_w: float, dram_w: float) -> Iterator[FakePowercap]:
    package, dram = folder / "intel-rapl:0", folder / "intel-rapl:0" / "intel-rapl:0:0"
    for zone, name in ((package, "package-0"), (dram, "dram")):
        zone.mkdir(parents=True)
        (zone / "name").write_text(f"{name}\n")
        (zone / "max_energy_range_uj").write_text(f"{MAX_RANGE_UJ}\n")
        (zone / "energy_uj").write_text("1".rjust(WIDTH, "0"))
        (zone / "enabled").write_text("1\n")
    (folder / LONGEST_PAUSE).write_text("0".rjust(WIDTH))
    epoch_s = time.time()
    kept = [(package / "energy_uj", package_w), (dram / "energy_uj", dram_w)]
    arguments = [str(item) for zone in kept for item in zone]
    pauses = str(folder / LONGEST_PAUSE)
    process = subprocess.Popen(
        [sys.executable, powercap_keeper.__file__, pauses, str(epoch_s), *arguments]
    )
    try:
        yield FakePowercap(folder, package_w + dram_w, epoch_s)
    finally:
        process.kill()
        process.wait()
