"""Live power of a worker: batches of whole seconds, without repeated or lost samples."""

from __future__ import annotations

import asyncio
import json
import random
from itertools import pairwise
from typing import Any

import pytest

from pricetag.metering.source import Component
from workers.node import live_power
from workers.node.live_power import MAX_BYTES, MOST_SECONDS, LivePower, Slots, split

BEGIN_S = 1_772_366_400.0


class Clock:
    def __init__(self) -> None:
        self.now_s = BEGIN_S

    def __call__(self) -> float:
        return self.now_s


def component(id_: str, limit_w: float | None = 700.0) -> Component:
    return Component(
        id=id_,
        kind="gpu",
        name="H200",
        method="counter",
        gain_std_ratio=0.05,
        power_limit_w=limit_w,
    )


async def nowhere(message: str) -> None:
    raise ConnectionError


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def live(clock: Clock) -> LivePower:
    power = LivePower("node", nowhere, wall_clock=clock)
    power.meet([component("gpu:a"), component("gpu:b", None)])
    return power


def due(live: LivePower) -> list[dict[str, Any]]:
    return [json.loads(message) for message in live.due()]


def rows(batch: dict[str, Any]) -> dict[str, list[int | None]]:
    return {row["id"]: row["w"] for row in batch["components"]}


def test_a_batch_has_the_samples_of_a_second_in_whole_watts(live: LivePower, clock: Clock) -> None:
    for number in range(20):
        clock.now_s = BEGIN_S + 0.03 + number / 10
        live.add({"gpu:a": 100.4 + number, "gpu:b": None if number == 3 else 50.0}, 100)
    batch, following = due(live)
    head = {"node": "node", "t0": int(BEGIN_S * 1000), "dt_ms": 100}
    assert {name: batch[name] for name in head} == head
    assert rows(batch)["gpu:a"] == list(range(100, 110))
    assert rows(batch)["gpu:b"] == [50, 50, 50, None, *[50] * 6]
    assert [row["limit_w"] for row in batch["components"]] == [700, None]
    assert rows(following)["gpu:a"] == list(range(110, 120))
    assert due(live) == []


def test_a_gap_is_null_and_nothing_is_repeated(live: LivePower, clock: Clock) -> None:
    for number in (0, 1, 2, 7, 8, 9):
        clock.now_s = BEGIN_S + 0.05 + number / 10
        live.add({"gpu:a": 100.0}, 100)
    clock.now_s = BEGIN_S + 1.07
    assert due(live) == []  # a sample may still be late
    clock.now_s = BEGIN_S + 1.09
    [batch] = due(live)
    assert rows(batch)["gpu:a"] == [100] * 3 + [None] * 4 + [100] * 3
    clock.now_s = BEGIN_S + 9.0
    assert due(live) == []


def test_slow_meters_have_batches_of_their_own(live: LivePower, clock: Clock) -> None:
    for second in range(3):
        clock.now_s = BEGIN_S + 0.4 + second
        live.add({"gpu:b": 60.0 + second}, 1000)
        live.add({"gpu:a": 90.0}, 100)
    clock.now_s = BEGIN_S + 3.7
    batches = due(live)
    slow = [batch for batch in batches if batch["dt_ms"] == 1000]
    assert [rows(batch) for batch in slow] == [{"gpu:b": [60]}, {"gpu:b": [61]}, {"gpu:b": [62]}]
    assert all(set(rows(batch)) == {"gpu:a"} for batch in batches if batch["dt_ms"] == 100)


@pytest.mark.parametrize("period_ms", [100, 1000])
@pytest.mark.parametrize("phase", [0.0, 0.25, 0.5, 0.999])
def test_jitter_and_drift_lose_no_sample(period_ms: int, phase: float) -> None:
    slots, chance = Slots(period_ms), random.Random(1)
    numbers = []
    at_ms = 1e12 + phase * period_ms
    for number in range(5000):
        at_ms += period_ms * (1 + 1e-4)
        jitter_ms = chance.uniform(-0.3, 0.3) * period_ms if number else 0.0
        numbers.append(slots.number(at_ms + jitter_ms))
    steps = [later - earlier for earlier, later in pairwise(numbers)]
    assert set(steps) <= {1, 2}
    assert steps.count(2) <= 1 + 5000 * 1e-4  # where the drift has made up a whole period
    assert abs(numbers[-1] * period_ms - at_ms) <= 2 * period_ms


def test_components_that_were_not_described_are_not_sent(live: LivePower, clock: Clock) -> None:
    live.add({"gpu:c": 10.0}, 100)
    clock.now_s += 5
    assert due(live) == []


def test_only_the_newest_seconds_are_sent_after_a_stall(live: LivePower, clock: Clock) -> None:
    for number in range(200):
        clock.now_s = BEGIN_S + 0.05 + number / 10
        live.add({"gpu:a": 1.0}, 100)
    clock.now_s = BEGIN_S + 20.1
    assert [batch["t0"] / 1000 - BEGIN_S for batch in due(live)] == [15, 16, 17, 18, 19]


def test_a_large_batch_is_split_below_the_limit_of_a_notification() -> None:
    row = {"id": "gpu:x", "kind": "gpu", "name": "n" * 80, "limit_w": 700, "w": [700] * 10}
    batch = {
        "node": "ñ" * 50,
        "t0": 1,
        "dt_ms": 100,
        "components": [row | {"id": f"gpu:{n}"} for n in range(300)],
    }
    parts = split(batch)
    assert all(len(part.encode()) <= MAX_BYTES for part in parts)
    ids = [row["id"] for part in parts for row in json.loads(part)["components"]]
    assert ids == [f"gpu:{n}" for n in range(300)]
    assert split({**batch, "components": [row | {"name": "n" * 9000}]}) == []


async def test_a_batch_that_cannot_be_sent_is_dropped(clock: Clock) -> None:
    sent: list[str] = []
    fails = True

    async def send(message: str) -> None:
        if fails:
            raise ConnectionError("the database is away")
        sent.append(message)

    live = LivePower("node", send, wall_clock=clock)
    live.meet([component("gpu:a")])
    for second in range(2):
        live.add({"gpu:a": 100.0 + second}, 100)
        clock.now_s += 1.1
        for message in live.due():
            await live.deliver(message)
        fails = False
    assert len(sent) == 1
    assert 101 in rows(json.loads(sent[0]))["gpu:a"]
    assert 100 not in rows(json.loads(sent[0]))["gpu:a"]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_a_power_that_is_not_a_number_is_null(clock: Clock, wrong: float) -> None:
    live = LivePower("node", nowhere, wall_clock=clock)
    live.meet([component("gpu:a", wrong)])
    for number in range(10):
        clock.now_s = BEGIN_S + 0.05 + number / 10
        live.add({"gpu:a": wrong if number == 4 else 7.0}, 100)
    [batch] = due(live)
    assert rows(batch)["gpu:a"] == [7] * 4 + [None] + [7] * 5
    assert batch["components"][0]["limit_w"] is None


@pytest.mark.parametrize("period_ms", [100, 1000])
def test_samples_that_nobody_sends_are_bounded(
    live: LivePower, clock: Clock, period_ms: int
) -> None:
    most = MOST_SECONDS * 1000 // period_ms
    for number in range(3 * most):
        clock.now_s = BEGIN_S + (number + 0.5) * period_ms / 1000
        live.add({"gpu:a": float(number)}, period_ms)
    [held] = live._samples[period_ms].values()
    assert list(held.values()) == [float(number) for number in range(2 * most, 3 * most)]


async def test_sending_continues_after_an_error(
    live: LivePower, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = asyncio.Event()
    failures = 2

    async def deliver(message: str) -> None:
        sent.set()

    def due() -> list[str]:
        nonlocal failures
        if failures:
            failures -= 1
            raise ValueError("a sample that cannot be written")
        return ["a message"]

    monkeypatch.setattr(live_power, "LOOK_S", 0.0)
    monkeypatch.setattr(live, "due", due)
    monkeypatch.setattr(live, "deliver", deliver)
    live.add({"gpu:a": 1.0}, 100)
    running = asyncio.create_task(live.run())
    try:
        waiting = asyncio.create_task(sent.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        assert waiting.done()
        assert not running.done()
        assert not live._samples  # what could not be sent is not tried forever
    finally:
        running.cancel()
        await asyncio.wait([running])
    assert running.cancelled()
