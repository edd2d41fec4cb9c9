"""What metering costs, beside CodeCarbon: CPU, memory, time at a job's start, a job's slowdown.

Runs on the simulated NVML library (compiled with ``cc``; counters are updated every 0.1 s), so
it needs no GPU; a real library costs more for each call, which a machine with GPUs shows with
``--real``. Both tools run as the supervisor runs them. CPU time is what counts on a machine
that does other things too; wall time is shown beside it.

    python -m benchmarks.meter_overhead [--gpus 8] [--hz 10] [--seconds 20] [--repeats 24]
        [--runs 5] [--real]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Protocol

TARGET_SHARE = 0.005
TARGET_START_S = 0.050
TARGET_SLOWDOWN = 0.001

WARM_UP_S = 1.0
EDGE_EVERY_S = 5.0
STARTS = 5
TRAIN_STEPS = 500

CASES = ("Pricetag, GPUs", "Pricetag, GPUs and the host's model", "CodeCarbon")


class Metering(Protocol):
    """One tool over one attempt."""

    def start(self) -> None: ...
    def edge(self) -> None: ...
    def stop(self) -> None: ...


class PricetagMetering:
    """The meter with its readings in a journal."""

    def __init__(self, folder: Path, hz: float, host: bool) -> None:
        from pricetag.metering import Reading, open_sources
        from pricetag.metering.journal import Journal
        from pricetag.metering.meter import Meter
        from pricetag.metering.nvml import list_devices

        spool = Journal.create(folder, f"{time.perf_counter_ns()}")
        environ = {"PRICETAG_METER_HOST": "model" if host else "none"}
        uuids = [device.uuid for device in list_devices()]

        def emit(readings: list[Reading]) -> None:
            for reading in readings:
                spool.append({"type": "reading", **reading.as_record()})

        self._spool = spool
        self._meter = Meter(open_sources(uuids, environ=environ), emit, power_hz=hz)

    def start(self) -> None:
        self._meter.open()

    def edge(self) -> None:
        self._meter.edge()

    def stop(self) -> None:
        self._meter.close()
        self._spool.close()


class CodeCarbonMetering:
    """Its offline tracker."""

    def __init__(self, gpus: int) -> None:
        from pricetag.metering import codecarbon_parts

        codecarbon_parts.load("codecarbon")
        from pricetag.metering.codecarbon_tracker import CodeCarbonTracker

        self._tracker = CodeCarbonTracker(list(range(gpus)))

    def start(self) -> None:
        self._tracker.start()

    def edge(self) -> None:
        """It has none."""

    def stop(self) -> None:
        self._tracker.stop()


def maker(case: str, folder: Path, gpus: int, hz: float) -> Callable[[], Metering]:
    """How a tool is made, at the start of each job."""
    if case == "CodeCarbon":
        return lambda: CodeCarbonMetering(gpus)
    return lambda: PricetagMetering(folder, hz, host="host" in case)


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(make: Callable[[], Metering], seconds: float) -> dict[str, float]:
    """Memory and start of a tool, and its share of a core while nothing else is done."""
    before_mb = rss_mb()
    starts_s = []
    for _ in range(STARTS):
        began_s = time.perf_counter()
        metering = make()
        metering.start()
        starts_s.append(time.perf_counter() - began_s)
        metering.stop()
    metering = make()
    metering.start()
    time.sleep(WARM_UP_S)
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    while (left_s := seconds - (time.perf_counter() - wall_s)) > 0:
        time.sleep(min(left_s, EDGE_EVERY_S))
        metering.edge()
    share = (time.process_time() - cpu_s) / (time.perf_counter() - wall_s)
    used_mb = rss_mb() - before_mb
    metering.stop()
    return {
        "share": share,
        "memory_mb": used_mb,
        "first_start_s": starts_s[0],
        "start_s": median(starts_s[1:]),
    }


def train_on_demand() -> None:
    """A job: for each line of input a short training of a small network on one core."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(256, 512), torch.nn.ReLU(), torch.nn.Linear(512, 10)
    )
    optimizer = torch.optim.AdamW(network.parameters())
    inputs, labels = torch.randn(64, 256), torch.randint(0, 10, (64,))
    for _ in sys.stdin:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        for _ in range(TRAIN_STEPS):
            optimizer.zero_grad()
            loss: Any = torch.nn.functional.cross_entropy(network(inputs), labels)
            loss.backward()
            optimizer.step()
        spent = (time.perf_counter() - wall_s, time.process_time() - cpu_s)
        print(json.dumps(spent), flush=True)


def slowdowns(make: Mapping[str, Callable[[], Metering]], repeats: int) -> dict[str, Any]:
    """The job beside each tool against the job alone, in turns: wall time and CPU time."""
    command = [sys.executable, "-m", "benchmarks.meter_overhead", "--trainer"]
    spent: dict[str, list[tuple[float, float]]] = {"alone": [], **{name: [] for name in make}}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as job:
        _train(job)  # warm
        for turn in range(repeats):
            names = list(spent)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                metering = make[name]() if name in make else None
                if metering is not None:
                    metering.start()
                spent[name].append(_train(job))
                if metering is not None:
                    metering.stop()
        assert job.stdin is not None
        job.stdin.close()
    by_case = {
        name: [_ratio(spent["alone"], times, at) for at in (0, 1)] for name, times in spent.items()
    }
    return {"slowdowns": by_case, "alone_s": median(wall_s for wall_s, _ in spent["alone"])}


def _ratio(
    alone: Sequence[tuple[float, float]], beside: Sequence[tuple[float, float]], at: int
) -> tuple[float, float]:
    """Median of the slowdowns turn by turn, and its standard error (by the median deviation)."""
    each = [own[at] / base[at] - 1.0 for own, base in zip(beside, alone, strict=True)]
    middle = median(each)
    deviation = median(abs(value - middle) for value in each)
    return middle, 1.2533 * 1.4826 * deviation / math.sqrt(len(each))


def _train(job: subprocess.Popen[str]) -> tuple[float, float]:
    assert job.stdin is not None
    assert job.stdout is not None
    job.stdin.write("\n")
    job.stdin.flush()
    wall_s, cpu_s = json.loads(job.stdout.readline())
    return wall_s, cpu_s


def run_case(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    makers = {case: maker(case, folder, options.gpus, options.hz) for case in CASES}
    if options.case == "slowdown":
        return slowdowns(makers, options.repeats)
    return measure(makers[options.case], options.seconds)


def in_process(case: str, options: argparse.Namespace, variables: dict[str, str]) -> Any:
    """One case in a fresh process, since a library is loaded once per process."""
    command = [sys.executable, "-m", "benchmarks.meter_overhead", "--case", case]
    for name in ("gpus", "hz", "seconds", "repeats"):
        command += [f"--{name}", str(getattr(options, name))]
    environ = {**os.environ, **variables}
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def table(runs_by_case: Mapping[str, Sequence[dict[str, float]]], slowed: Mapping[str, Any]) -> str:
    """Markdown: medians with the least and the most of the runs, slowdowns with their error."""

    def told(name: str, scale: float, digits: int, unit: str) -> list[str]:
        return [
            spread([scale * run[name] for run in runs], digits, unit)
            for runs in runs_by_case.values()
        ]

    rows: list[tuple[str, list[str], str]] = [
        ("share of one core", told("share", 100.0, 2, "%"), "0.5%"),
        ("memory added", told("memory_mb", 1.0, 0, " MB"), ""),
        ("first start", told("first_start_s", 1e3, 0, " ms"), ""),
        ("a job's start", told("start_s", 1e3, 1, " ms"), "50 ms"),
        ("slowdown, CPU time", [_with_error(*slowed[case][1]) for case in runs_by_case], "0.1%"),
        ("slowdown, wall time", [_with_error(*slowed[case][0]) for case in runs_by_case], ""),
    ]
    lines = [
        f"| | {' | '.join(runs_by_case)} | target |",
        "| --- |" + " ---: |" * (len(runs_by_case) + 1),
    ]
    lines += [f"| {name} | {' | '.join(cells)} | {target} |" for name, cells, target in rows]
    return "\n".join(lines)


def spread(values: Sequence[float], digits: int, unit: str) -> str:
    """The median, and in brackets the least and the most where there are several."""
    middle = f"{median(values):.{digits}f}{unit}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _with_error(value: float, error: float) -> str:
    return f"{value:+.1%} ± {error:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--hz", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=24)
    parser.add_argument("--runs", type=int, default=5, help="processes a tool is measured in")
    parser.add_argument("--real", action="store_true", help="use this machine's NVML")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--trainer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.trainer:
        train_on_demand()
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.case:
            print(json.dumps(run_case(options, folder)))
            return
        variables = {} if options.real else pretended(folder, options.gpus)
        runs_by_case: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
        for _ in range(options.runs):  # in turns, so that other work on the machine hits all
            for case in CASES:
                runs_by_case[case].append(in_process(case, options, variables))
        slowed = in_process("slowdown", options, variables)
        print(f"{options.gpus} devices at {options.hz:g} Hz, an edge every {EDGE_EVERY_S:g} s,")
        print(f"over {options.seconds:g} s, {options.runs} runs: median (least to most);")
        print(f"a job of {slowed['alone_s']:.1f} s, {options.repeats} turns: ± standard error\n")
        print(table(runs_by_case, slowed["slowdowns"]))


def pretended(folder: Path, gpus: int) -> dict[str, str]:
    """The environment of a machine with a number of devices."""
    from tests.support.fake_nvml import FakeDevice, FakeTrace, build_fake_nvml, gpu_uuid

    devices = [FakeDevice(gpu_uuid(n), base_w=80.0 * n) for n in range(1, gpus + 1)]
    return build_fake_nvml(folder, FakeTrace(devices, tick_s=0.1))


if __name__ == "__main__":
    main()
