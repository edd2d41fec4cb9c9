"""The power board: frames of all that came, marks for what stopped, and fewer frames."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.schemas.stream import PowerFrame
from app.services.live import power
from app.services.live.power import PowerBoard, coalesced

T0 = 1_772_366_400_000


def batch(t0: int = T0, dt_ms: int = 100, node: str = "n1", **powers: Any) -> str:
    rows = [
        {"id": name, "kind": "gpu", "name": "H200", "limit_w": 700, "w": samples}
        for name, samples in powers.items()
    ]
    return json.dumps({"node": node, "t0": t0, "dt_ms": dt_ms, "components": rows})


@pytest.fixture
def board() -> PowerBoard:
    return PowerBoard()


def test_batches_of_one_second_are_one_frame(board: PowerBoard) -> None:
    board.receive(batch(a=[1] * 10, b=[2] * 10), 0.0)
    board.receive(batch(node="n2", a=[3] * 10), 0.1)
    devices, frames = board.cut(0.2)
    assert [(device.node, device.component, device.id) for device in devices] == [
        ("n1", "a", 1),
        ("n1", "b", 2),
        ("n2", "a", 3),
    ]
    assert frames == [PowerFrame(t0=T0, dt_ms=100, ids=[1, 2, 3], w=[[1] * 10, [2] * 10, [3] * 10])]
    assert board.cut(0.7) == ([], [])


def test_a_device_that_stops_is_marked_and_its_samples_end(board: PowerBoard) -> None:
    board.receive(batch(a=[1] * 10), 0.0)
    board.receive(batch(node="n2", a=[1] * 10), 0.0)
    board.cut(0.1)
    board.receive(batch(T0 + 1000, node="n2", a=[1] * 10), 3.0)
    silent_s = power.SILENT_S + 0.5
    [marked], [frame] = board.cut(silent_s)
    assert (marked.node, marked.reporting, frame.ids) == ("n1", False, [2])
    assert [each.ids for each in board.history()] == [[2], [2]]
    board.receive(batch(T0 + 9000, a=[5] * 10), silent_s + 1)
    [back], [frame] = board.cut(silent_s + 1)
    assert (back.id, back.reporting, frame.w) == (1, True, [[5] * 10])


def test_a_second_that_two_workers_send_counts_once(board: PowerBoard) -> None:
    board.receive(batch(a=[1] * 10), 0.0)
    board.receive(batch(a=[9] * 10), 0.0)
    assert board.cut(0.1)[1][0].w == [[1] * 10]
    board.receive(batch(a=[9] * 10), 0.2)
    assert board.cut(0.3)[1] == []


def test_the_faster_meter_of_a_device_is_shown(board: PowerBoard) -> None:
    board.receive(batch(a=[1] * 10), 0.0)
    board.receive(batch(dt_ms=1000, a=[7], b=[8]), 0.5)
    assert [(frame.dt_ms, frame.ids) for frame in board.cut(0.6)[1]] == [(100, [1]), (1000, [2])]
    # Once the faster one ends, the slower one continues.
    later_s = 0.0 + power.FINE_S + 0.1
    board.receive(batch(T0 + 3000, dt_ms=1000, a=[7]), later_s)
    assert [(frame.dt_ms, frame.ids) for frame in board.cut(later_s)[1]] == [(1000, [1])]


def test_the_history_is_a_minute_and_does_not_hold_what_comes_next(board: PowerBoard) -> None:
    for second in range(100):
        board.receive(batch(T0 + 1000 * second, a=[second] * 10), float(second))
        board.cut(float(second))
    times = [frame.t0 for frame in board.history()]
    assert times == [T0 + 1000 * second for second in range(39, 100)]
    board.receive(batch(T0 + 100_000, a=[1] * 10), 100.0)
    assert board.history()[-1].t0 == T0 + 99_000
    assert board.cut(100.0)[1][0].t0 == T0 + 100_000


def test_a_message_that_cannot_be_read_is_dropped(board: PowerBoard) -> None:
    for message in ("", "{}", "[1]", batch(a=["x"]), batch(t0=-1, a=[1])):
        board.receive(message, 0.0)
    assert board.cut(0.1) == ([], [])


def test_devices_that_were_silent_for_an_hour_are_dropped(board: PowerBoard) -> None:
    board.receive(batch(a=[1] * 10), 0.0)
    board.cut(power.FORGOTTEN_S + 1)
    assert board.devices() == []


def test_coalesced_frames_have_a_mean_of_each_second() -> None:
    frames = [
        PowerFrame(t0=T0, dt_ms=100, ids=[1, 2], w=[[1, 2, 3, None], [None] * 4]),
        PowerFrame(t0=T0 + 1000, dt_ms=100, ids=[1], w=[[10] * 10]),
        PowerFrame(t0=T0, dt_ms=1000, ids=[3], w=[[7]]),
    ]
    assert coalesced(frames) == [
        PowerFrame(t0=T0, dt_ms=1000, ids=[1, 2, 3], w=[[2], [None], [7]]),
        PowerFrame(t0=T0 + 1000, dt_ms=1000, ids=[1], w=[[10]]),
    ]


def test_a_clock_that_was_ahead_and_is_set_back_does_not_end_the_samples(
    board: PowerBoard,
) -> None:
    ahead = T0 + 3_600_000
    board.receive(batch(ahead, a=[9] * 10), 0.0)
    board.receive(batch(ahead, dt_ms=1000, b=[9]), 0.0)
    board.cut(0.1)
    for second in range(3):
        board.receive(batch(T0 + 1000 * second, a=[second] * 10), 1.0 + second)
        board.receive(batch(T0 + 1000 * second, dt_ms=1000, b=[second]), 1.0 + second)
    assert [(frame.t0 - T0, frame.dt_ms) for frame in board.cut(4.0)[1]] == [
        (1000 * second, dt_ms) for second in range(3) for dt_ms in (100, 1000)
    ]
    assert [frame.t0 - T0 for frame in board.history()] == [0, 0, 1000, 1000, 2000, 2000]


def test_a_batch_that_is_a_little_late_is_not_a_clock_set_back(board: PowerBoard) -> None:
    board.receive(batch(T0 + power.BACK_MS, a=[1] * 10), 0.0)
    board.receive(batch(T0, a=[9] * 10), 0.1)
    assert [frame.t0 for frame in board.cut(0.2)[1]] == [T0 + power.BACK_MS]
