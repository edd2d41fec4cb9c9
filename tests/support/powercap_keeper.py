"""The process that writes the counters of a simulated powercap tree: ``fake_powercap``."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

MAX_RANGE_UJ = 262_143_328_850
TICK_S = 0.005
WIDTH = 15


def keep(longest_pause: str, epoch_s: float, zones: list[tuple[str, float]]) -> None:
    """Writes the counters forever; in place, since a meter may hold a file open."""
    with suppress(PermissionError):
        os.nice(-10)  # hardware does not wait for a busy machine
    handles = [(os.open(path, os.O_WRONLY), power_w) for path, power_w in zones]
    pauses = os.open(longest_pause, os.O_WRONLY)
    longest_s, before_s = 0.0, time.monotonic()
    while True:
        now_s = time.monotonic()
        if now_s - before_s > longest_s:
            longest_s = now_s - before_s
            os.pwrite(pauses, f"{longest_s:{WIDTH}.6f}".encode(), 0)
        before_s = now_s
        for handle, power_w in handles:
            energy_uj = int((time.time() - epoch_s) * power_w * 1e6) % MAX_RANGE_UJ
            os.pwrite(handle, f"{energy_uj:0{WIDTH}d}".encode(), 0)
        time.sleep(TICK_S)


if __name__ == "__main__":
    paths, powers = sys.argv[3::2], sys.argv[4::2]
    zones = [(path, float(w)) for path, w in zip(paths, powers, strict=True)]
    keep(sys.argv[1], float(sys.argv[2]), zones)
