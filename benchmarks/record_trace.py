"""Records a real GPU: idling, short windows, a training; what each meter makes of them.

Writes ``trace.csv`` (what NVML reported, every 5 ms, one row where something changed; the format of
``tests.support.replay`` and ``tests.support.recorded``) and ``summary.json``: the idle
baseline, how often the counter was updated, and for each window Pricetag's energy, the plain
difference of the counter, the integral of power, and CodeCarbon's.

    python -m benchmarks.record_trace --out traces/h200 [--device 0] [--idle 60] [--train 30]
"""

from __future__ import annotations

import argparse
import csv
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import Any

import pynvml

from pricetag.accounting.readings.alignment import update_period_s
from pricetag.accounting.readings.ledger import EnergyLedger, Reading
from pricetag.metering import codecarbon_parts
from pricetag.metering.meter import Meter
from pricetag.metering.nvml import NvmlSource
from pricetag.metering.nvml_devices import Device, list_devices
from pricetag.metering.nvml_power import FieldPower, UsagePower, architecture

LENGTHS_S = (0.2, 0.5, 1.0, 2.0, 5.0)
RECORD_EVERY_S = 0.005
PAUSE_S = 1.0

COLUMNS = ("time_s", "uuid", "power_w", "energy_mj", "instant_w", "average_w")

Work = Callable[[float], None]
"""Keeps the device busy for a time in s, and returns when it has ended."""


class Recorder:
    """What NVML reports for one device, on the clock of the meter beside it."""

    def __init__(self, uuid: str, path: Path) -> None:
        self._uuid = uuid
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._record, name="recorder")

    def __enter__(self) -> Recorder:
        pynvml.nvmlInit()
        self._began_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        pynvml.nvmlShutdown()

    def _record(self) -> None:
        handle = pynvml.nvmlDeviceGetHandleByUUID(self._uuid)
        ways = (
            UsagePower(),
            FieldPower(pynvml.NVML_FI_DEV_POWER_INSTANT),
            FieldPower(pynvml.NVML_FI_DEV_POWER_AVERAGE),
        )
        last_row: list[str] | None = None
        with self._path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            while not self._stop.is_set():
                now_s = time.monotonic() - self._began_s
                powers = [_power(way.power_w(handle)) for way in ways]
                row = [powers[0], _counter_mj(handle), *powers[1:]]
                if row != last_row:
                    last_row = row
                    writer.writerow([f"{now_s:.4f}", self._uuid, *row])
                self._stop.wait(RECORD_EVERY_S)
            writer.writerow(
                [f"{time.monotonic() - self._began_s:.4f}", self._uuid, *(last_row or [])]
            )


def _power(reading: tuple[int, float]) -> str:
    code, power_w = reading
    return f"{power_w:.3f}" if code == pynvml.NVML_SUCCESS else ""


def _counter_mj(handle: Any) -> str:
    try:
        return str(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
    except pynvml.NVMLError_NotSupported:
        return ""


class Bench:
    """A device's meters, and the windows measured on the device."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._component = f"gpu:{device.uuid}"
        self._readings: list[Reading] = []
        self._meter = Meter([NvmlSource([device.uuid])], self._readings.extend)
        self._gpu = codecarbon_parts.load("codecarbon.external.hardware").GPU
        self.windows: list[dict[str, Any]] = []

    def open(self) -> None:
        self._meter.open()

    @contextmanager
    def window(self, name: str) -> Iterator[None]:
        """Around a stretch of work, each meter in its own way."""
        codecarbon = self._gpu(gpu_ids=[self._device.index])
        start = self._meter.edge()[0]
        codecarbon.start()
        began_s = time.perf_counter()
        yield
        elapsed_s = time.perf_counter() - began_s
        _, energy = codecarbon.measure_power_and_energy(elapsed_s)
        end = self._meter.edge()[0]
        self.windows.append(
            {
                "name": name,
                "start_s": start.t_s,
                "end_s": end.t_s,
                "counter_j": _difference(start.counter_j, end.counter_j),
                "integral_j": _difference(start.integrated_j, end.integrated_j),
                "codecarbon_j": energy.kWh * 3.6e6,
            }
        )

    def close(self) -> dict[str, Any]:
        """The summary."""
        self._meter.close()
        readings = self._readings
        ledger = EnergyLedger(readings)
        for window in self.windows:
            energy = ledger.window(window["start_s"], window["end_s"])
            window["pricetag_j"] = energy.energy_j
            window["flags"] = list(energy.flags)
        idle = next(w for w in self.windows if w["name"] == "idle")
        powers_w = [r.power_w for r in readings if idle["start_s"] <= r.t_s <= idle["end_s"]]
        known_w = [power for power in powers_w if power is not None]
        return {
            "device": self._device.name,
            "power_limit_w": self._device.power_limit_w,
            "architecture": _architecture(self._device.uuid),
            "counter_update_s": update_period_s(readings),
            "idle_w": idle["pricetag_j"] / (idle["end_s"] - idle["start_s"]),
            "idle_power_mean_w": fmean(known_w) if known_w else None,
            "idle_power_std_w": pstdev(known_w) if known_w else None,
            "short_windows": _short(self.windows),
            "windows": self.windows,
        }


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _architecture(uuid: str) -> int:
    pynvml.nvmlInit()
    try:
        return architecture(pynvml.nvmlDeviceGetHandleByUUID(uuid))
    finally:
        pynvml.nvmlShutdown()


def _short(windows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Spread of the mean power over windows of one length: the load is the same in each."""
    by_length: dict[str, dict[str, float]] = {}
    for length_s in LENGTHS_S:
        own = [window for window in windows if window["name"] == f"{length_s:g} s"]
        spreads = {}
        for meter in ("pricetag_j", "counter_j", "codecarbon_j"):
            powers_w = [w[meter] / (w["end_s"] - w["start_s"]) for w in own if w[meter] is not None]
            if len(powers_w) > 1:
                spreads[meter.removesuffix("_j")] = pstdev(powers_w) / max(median(powers_w), 1e-9)
        by_length[f"{length_s:g}"] = spreads
    return by_length


def cuda_work() -> tuple[Work, Callable[[float], None]]:
    """Products of matrices, and a training; both synchronized at their ends."""
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("PyTorch sees no CUDA device; give --work none to record without load")
    matrix = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)
    network = torch.nn.Sequential(
        torch.nn.Linear(2048, 8192), torch.nn.GELU(), torch.nn.Linear(8192, 2048)
    ).to("cuda")
    optimizer = torch.optim.AdamW(network.parameters())

    def multiply(seconds: float) -> None:
        until_s = time.perf_counter() + seconds
        while time.perf_counter() < until_s:
            for _ in range(4):
                torch.mm(matrix, matrix)
            torch.cuda.synchronize()

    def train(seconds: float) -> None:
        until_s = time.perf_counter() + seconds
        while time.perf_counter() < until_s:
            batch = torch.randn(512, 2048, device="cuda")
            optimizer.zero_grad()
            loss: Any = (network(batch) - batch).square().mean()
            loss.backward()
            optimizer.step()
        torch.cuda.synchronize()

    multiply(0.5)
    train(0.5)
    return multiply, train


def record(
    device: Device, out: Path, work: Work, train: Work, *, idle_s: float, train_s: float, each: int
) -> dict[str, Any]:
    """The whole session; returns what ``summary.json`` holds."""
    out.mkdir(parents=True, exist_ok=True)
    with Recorder(device.uuid, out / "trace.csv"):
        bench = Bench(device)
        bench.open()
        with bench.window("idle"):
            time.sleep(idle_s)
        for length_s in LENGTHS_S:
            for _ in range(each):
                time.sleep(PAUSE_S * min(length_s, 1.0))
                with bench.window(f"{length_s:g} s"):
                    work(length_s)
        with bench.window("training"):
            train(train_s)
        summary = bench.close()
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", type=int, default=0, help="NVML's index")
    parser.add_argument("--idle", type=float, default=60.0)
    parser.add_argument("--train", type=float, default=30.0)
    parser.add_argument("--each", type=int, default=10, help="windows of each length")
    parser.add_argument("--work", choices=("cuda", "none"), default="cuda")
    options = parser.parse_args()
    device = list_devices()[options.device]
    work, train = cuda_work() if options.work == "cuda" else (time.sleep, time.sleep)
    summary = record(
        device,
        options.out,
        work,
        train,
        idle_s=options.idle,
        train_s=options.train,
        each=options.each,
    )
    print(json.dumps({k: v for k, v in summary.items() if k != "windows"}, indent=2))


if __name__ == "__main__":
    main()
