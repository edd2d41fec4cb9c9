from __future__ import annotations

from pathlib import Path

import pytest

from pricetag.accounting.readings.ledger import window_energy
from pricetag.metering.meter import Meter
from pricetag.metering.source import Reading
from tests.support.meters import Clock, advance, booked
from tests.support.replay import ReplaySource, TraceError, load_trace

HEADER = "time_s,uuid,power_w,energy_mj,util\n"


def trace(tmp_path: Path, *lines: str, header: str = HEADER) -> Path:
    path = tmp_path / "trace.csv"
    path.write_text(header + "".join(f"{line}\n" for line in lines))
    return path


def two_devices(tmp_path: Path) -> Path:
    rows = [
        f"{1000 + second / 10},GPU-{name},{watts},{7000 + watts * 100 * second},99"
        for second in range(121)
        for name, watts in (("a", 100), ("b", 350))
    ]
    return trace(tmp_path, *rows)


def test_a_replayed_trace_is_booked_as_counted(tmp_path: Path) -> None:
    clock, records = Clock(), list[Reading]()
    meter = Meter([ReplaySource(load_trace(two_devices(tmp_path)))], records.extend, clock)
    components = meter.open(thread=False)
    assert [component.id for component in components] == ["gpu:GPU-a", "gpu:GPU-b"]
    advance(meter, clock, 10.0)
    for name, watts in (("a", 100.0), ("b", 350.0)):
        window = window_energy(booked(records, f"gpu:GPU-{name}"), start_s=0.0, end_s=10.0)
        assert window.energy_j == pytest.approx(watts * 10.0, rel=0.011)
        assert set(window.energy_by_source_j) == {"counter"}


def test_a_trace_can_be_replayed_faster(tmp_path: Path) -> None:
    source = ReplaySource(load_trace(two_devices(tmp_path)), speed=10.0)
    first, later = source.read(0.0)[0], source.read(0.5)[0]
    assert first.counter_j == 7.0
    assert later.counter_j == pytest.approx(507.0)
    assert source.sample(0.5) == [100.0, 350.0]


def test_a_trace_is_silent_after_its_end(tmp_path: Path) -> None:
    source = ReplaySource(load_trace(two_devices(tmp_path)))
    assert source.sample(12.5) == [None, None]
    assert [reading.flags for reading in source.read(12.5)] == [("trace_end",), ("trace_end",)]


def test_an_empty_row_is_a_lost_device(tmp_path: Path) -> None:
    path = trace(tmp_path, "0,GPU-a,100,5000,1", "1,GPU-a,,,1", "2,GPU-a,100,5200,1")
    source = ReplaySource(load_trace(path))
    assert [source.read(t)[0].flags for t in (0.5, 1.5, 2.0)] == [(), ("lost",), ()]


def test_a_trace_without_counter_is_integrated(tmp_path: Path) -> None:
    path = trace(tmp_path, "0,GPU-a,100,,1", "1,GPU-a,100,,1")
    assert ReplaySource(load_trace(path)).components()[0].method == "integrated"


@pytest.mark.parametrize(
    ("lines", "header", "message"),
    [
        ((), HEADER, "no rows"),
        (("1,GPU-a,5",), "time_s,uuid,power_w\n", "no column energy_mj"),
        (("1,GPU-a,much,5,1",), HEADER, "line 2, power_w: 'much' is no number"),
        ((",GPU-a,5,5,1",), HEADER, "line 2: time_s is empty"),
        (("2,GPU-a,5,5,1", "1,GPU-a,5,5,1"), HEADER, "time goes back at 1 s of GPU-a"),
    ],
)
def test_an_invalid_trace_is_rejected_with_its_error(
    tmp_path: Path, lines: tuple[str, ...], header: str, message: str
) -> None:
    with pytest.raises(TraceError, match=message):
        load_trace(trace(tmp_path, *lines, header=header))


def test_speed_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="above 0"):
        ReplaySource(load_trace(two_devices(tmp_path)), speed=0.0)
