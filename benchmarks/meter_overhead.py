"""What metering costs: the meter's CPU time over wall time, for many devices.

Runs on the pretended NVML library (compiled with ``cc``), so it needs no GPU; a real library
costs more for each call, which a machine with GPUs shows with ``--real``.

    python -m benchmarks.meter_overhead [--gpus 8] [--hz 10] [--seconds 20] [--real]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pricetag.metering import open_sources, prepare
from pricetag.metering.journal import Journal
from pricetag.metering.meter import Meter
from pricetag.metering.nvml import list_devices
from tests.support.fake_nvml import FakeDevice, FakeTrace, build_fake_nvml, gpu_uuid

TARGET_SHARE = 0.005
WARM_UP_S = 1.0

CASES = {
    "devices, 10 Hz samples and 1 Hz readings": {"host": False, "journal": False},
    "the same, readings to a journal": {"host": False, "journal": True},
    "the same, with the host's model": {"host": True, "journal": True},
}


def measure(folder: Path, hz: float, seconds: float, *, host: bool, journal: bool) -> float:
    """CPU seconds a second of this process, which does nothing but meter."""
    prepare()
    spool = Journal.create(folder, f"{host}-{journal}")

    def emit(records: list[dict[str, Any]]) -> None:
        if journal:
            for record in records:
                spool.append({"type": "reading", **record})

    uuids = [device.uuid for device in list_devices()]
    environ = {"PRICETAG_METER_HOST": "model" if host else "none"}
    meter = Meter(open_sources(uuids, environ=environ), emit, power_hz=hz)
    meter.open()
    time.sleep(WARM_UP_S)
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    time.sleep(seconds)
    share = (time.process_time() - cpu_s) / (time.perf_counter() - wall_s)
    meter.close()
    spool.close()
    return share


def in_process(case: str, options: argparse.Namespace, variables: dict[str, str]) -> float:
    """One case in a fresh process, since a library is loaded once a process."""
    command = [sys.executable, "-m", "benchmarks.meter_overhead", "--case", case]
    numbers = ["--hz", str(options.hz), "--seconds", str(options.seconds)]
    done = subprocess.run(
        [*command, *numbers], env={**os.environ, **variables}, stdout=subprocess.PIPE, check=True
    )
    return float(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--hz", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--real", action="store_true", help="use this machine's NVML")
    parser.add_argument("--case", choices=list(CASES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.case:
            share = measure(folder, options.hz, options.seconds, **CASES[options.case])
            print(json.dumps(share))
            return
        devices = [FakeDevice(gpu_uuid(n), base_w=80.0 * n) for n in range(1, options.gpus + 1)]
        variables = {} if options.real else build_fake_nvml(folder, FakeTrace(devices))
        print(f"{options.gpus} devices at {options.hz:g} Hz over {options.seconds:g} s")
        print(f"{'what is metered':<44}{'share of one core':>18}{'target':>9}")
        for case in CASES:
            share = in_process(case, options, variables)
            print(f"{case:<44}{share:>18.3%}{TARGET_SHARE:>9.1%}", flush=True)


if __name__ == "__main__":
    main()
