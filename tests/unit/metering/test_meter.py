from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from pricetag.metering.meter import Meter
from pricetag.metering.source import Reading
from tests.support.meters import Clock, ScriptedSource, advance
from tests.support.patience import PATIENCE_S

Records = list[Reading]


def opened(*sources: ScriptedSource, **options: Any) -> tuple[Meter, Clock, Records]:
    clock, records = Clock(), Records()
    meter = Meter(list(sources), emit=records.extend, clock=clock, **options)
    meter.open(thread=False)
    return meter, clock, records


def test_constant_power_integrates_to_power_times_time() -> None:
    meter, clock, records = opened(ScriptedSource(power_w=250.0))
    advance(meter, clock, 10.0)
    meter.close()
    assert records[-1].t_s == pytest.approx(10.0)
    assert records[-1].integrated_j == pytest.approx(2500.0)


def test_a_ramp_is_integrated_by_trapezoids() -> None:
    source = ScriptedSource(power_w=0.0)
    meter, clock, records = opened(source)
    for step in range(1, 101):
        clock.now_s += 0.1
        source.power_w = 10.0 * step * 0.1
        meter.poll()
    meter.close()
    assert records[-1].integrated_j == pytest.approx(10.0 * 10.0**2 / 2)


def test_readings_come_once_a_second_with_the_journal_s_fields() -> None:
    meter, clock, records = opened(ScriptedSource())
    advance(meter, clock, 3.0)
    assert [round(record.t_s, 6) for record in records] == [0.0, 1.0, 2.0, 3.0]
    fields = {"t_s", "component", "counter_j", "integrated_j", "power_w", "flags"}
    assert all(set(reading.as_record()) == fields for reading in records)


def test_nothing_is_emitted_before_the_start_record_can_be_written() -> None:
    meter, clock, records = opened(ScriptedSource())
    advance(meter, clock, 0.8)
    assert records == []
    meter.edge()
    assert [round(record.t_s, 6) for record in records] == [0.0, 0.8]


def test_an_edge_reads_now_and_is_emitted_in_order() -> None:
    meter, clock, records = opened(ScriptedSource(power_w=100.0))
    advance(meter, clock, 1.0)
    clock.now_s += 0.37
    (edge,) = meter.edge()
    advance(meter, clock, 2.0)
    assert edge.t_s == pytest.approx(1.37)
    assert edge.integrated_j == pytest.approx(137.0)
    assert records.count(edge) == 1
    times_s = [record.t_s for record in records]
    assert times_s == sorted(times_s)


def test_a_long_stall_is_flagged_and_not_integrated() -> None:
    meter, clock, records = opened(ScriptedSource(power_w=100.0))
    advance(meter, clock, 1.0)
    clock.now_s += 30.0
    meter.poll()
    advance(meter, clock, 1.0)
    meter.close()
    flagged = [record for record in records if "gap" in record.flags]
    assert [round(record.t_s, 6) for record in flagged] == [31.0]
    assert records[-1].integrated_j == pytest.approx(200.0)


def test_a_short_stall_is_bridged() -> None:
    meter, clock, records = opened(ScriptedSource(power_w=100.0))
    clock.now_s += 1.9
    meter.poll()
    meter.close()
    assert records[-1].integrated_j == pytest.approx(190.0)
    assert all(record.flags == () for record in records)


def test_the_integral_is_null_while_power_is_unreadable() -> None:
    source = ScriptedSource(power_w=100.0)
    meter, clock, records = opened(source)
    advance(meter, clock, 1.0)
    source.power_w = None
    advance(meter, clock, 1.0)
    source.power_w = 100.0
    advance(meter, clock, 1.0)
    assert [record.integrated_j for record in records] == [
        0.0,
        pytest.approx(100.0),
        None,
        pytest.approx(300.0),
    ]


def test_nothing_is_bridged_over_a_lost_device() -> None:
    source = ScriptedSource(power_w=100.0)
    meter, clock, records = opened(source)
    advance(meter, clock, 0.9)
    source.power_w, source.flags = None, ["lost"]
    advance(meter, clock, 0.5)
    source.power_w, source.flags = 100.0, []
    advance(meter, clock, 1.6)
    assert [record.integrated_j for record in records[:2]] == [0.0, None]
    assert records[2].flags == ("gap",)
    # 0.9 s before, and from the first sample after on (1.5 s to 2.0 s).
    assert records[2].integrated_j == pytest.approx(90.0 + 50.0)


def test_one_failing_source_does_not_stop_the_others() -> None:
    broken, healthy = ScriptedSource("gpu:broken"), ScriptedSource("gpu:healthy", power_w=50.0)
    meter, clock, records = opened(broken, healthy)
    broken.error = OSError("gone")
    advance(meter, clock, 2.0)
    last = {record.component: record for record in records}
    assert last["gpu:broken"].flags == ("source_error",)
    assert last["gpu:broken"].integrated_j is None
    assert last["gpu:healthy"].integrated_j == pytest.approx(100.0)


def test_undelivered_readings_are_kept_and_offered_again() -> None:
    delivered: Records = []
    is_full = [True]

    def emit(records: Records) -> None:
        if is_full[0]:
            raise OSError("no room")
        delivered.extend(records)

    clock = Clock()
    meter = Meter([ScriptedSource()], emit=emit, clock=clock)
    meter.open(thread=False)
    advance(meter, clock, 3.0)
    assert delivered == []
    assert isinstance(meter.failure, OSError)
    is_full[0] = False
    advance(meter, clock, 1.0)
    assert [round(record.t_s, 6) for record in delivered] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert meter.failure is None


def test_closing_reports_undelivered_readings() -> None:
    def emit(records: Records) -> None:
        raise OSError("no room")

    source = ScriptedSource()
    meter = Meter([source], emit=emit, clock=Clock())
    meter.open(thread=False)
    with pytest.raises(OSError, match="no room"):
        meter.close()
    assert source.is_closed


@pytest.mark.parametrize(("watts", "warning_count"), [(150.0, 1), (108.0, 0)])
def test_a_counter_that_diverges_from_the_integral_is_logged_once(
    watts: float, warning_count: int, caplog: pytest.LogCaptureFixture
) -> None:
    source = ScriptedSource(power_w=100.0)
    source.counter_j = 0.0
    meter, clock, _ = opened(source)
    for second in range(40):
        source.counter_j = watts * (second + 1)
        advance(meter, clock, 1.0)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    expected = "gpu:a: its counter is +50% off its integrated power; the counter is used"
    assert warnings == [expected] * warning_count


def test_a_meter_without_sources_emits_nothing() -> None:
    meter, clock, records = opened()
    advance(meter, clock, 2.0)
    assert meter.edge() == []
    assert records == []
    assert meter.now_s() == pytest.approx(2.0)


def test_a_component_is_not_metered_twice() -> None:
    meter = Meter([ScriptedSource(), ScriptedSource()], emit=lambda _: None)
    with pytest.raises(ValueError, match="metered twice: gpu:a"):
        meter.open(thread=False)


def test_close_takes_a_last_reading_and_may_be_repeated() -> None:
    source = ScriptedSource(power_w=100.0)
    meter, clock, records = opened(source)
    clock.now_s += 0.25
    meter.close()
    meter.close()
    assert [round(record.t_s, 6) for record in records] == [0.0, 0.25]
    assert source.is_closed
    with pytest.raises(RuntimeError, match="closed"):
        meter.edge()


@pytest.mark.parametrize(("power_hz", "reading_hz"), [(0.0, 1.0), (10.0, -1.0)])
def test_rates_must_be_positive(power_hz: float, reading_hz: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Meter([], emit=lambda _: None, power_hz=power_hz, reading_hz=reading_hz)


def test_its_thread_reads_while_others_ask_for_edges() -> None:
    records: Records = []
    meter = Meter([ScriptedSource(power_w=100.0)], records.extend, power_hz=200.0, reading_hz=50.0)
    meter.open()
    callers = [threading.Thread(target=lambda: [meter.edge() for _ in range(50)]) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    deadline_s = time.monotonic() + PATIENCE_S
    while len(records) <= 205 and time.monotonic() < deadline_s:
        time.sleep(0.02)
    meter.close()
    times_s = [record.t_s for record in records]
    assert len(times_s) > 205  # 200 edges, the first, the last, and the thread's own
    assert times_s == sorted(times_s)
    assert records[-1].integrated_j == pytest.approx(100.0 * times_s[-1], rel=1e-6)


def test_power_is_shown_as_it_is_sampled_and_changes_no_reading() -> None:
    shown: list[tuple[dict[str, float | None], int]] = []
    source = ScriptedSource(power_w=250.0)
    meter, clock, records = opened(
        source, on_power=lambda powers_w, period_ms: shown.append((dict(powers_w), period_ms))
    )
    advance(meter, clock, 0.5)
    source.power_w = None
    advance(meter, clock, 1.0)
    meter.close()
    [component] = {record.component for record in records}
    sampled = [powers_w[component] for powers_w, period_ms in shown if period_ms == 100]
    assert sampled[:3] == [250.0] * 3
    assert sampled[-1] is None  # a gap is shown as one
    assert all(component not in powers_w for powers_w, period_ms in shown if period_ms == 1000)
    plain_source = ScriptedSource(power_w=250.0)
    plain, clock, expected = opened(plain_source)
    advance(plain, clock, 0.5)
    plain_source.power_w = None
    advance(plain, clock, 1.0)
    plain.close()
    assert records == expected
