import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.devices import DevicePool, DeviceSet


async def test_a_device_is_never_held_twice() -> None:
    pool = DevicePool(["a", "b", "c"], cpu_slots=0)
    first = await pool.take(2)
    second = await pool.take(1)
    assert sorted(first.uuids + second.uuids) == ["a", "b", "c"]
    waiting = asyncio.create_task(pool.take(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    pool.give_back(first)
    assert set((await waiting).uuids) <= set(first.uuids)


async def test_small_jobs_do_not_overtake_a_waiting_big_one() -> None:
    pool = DevicePool(["a", "b"], cpu_slots=1)
    held = await pool.take(1)
    big = asyncio.create_task(pool.take(2))
    small = asyncio.create_task(pool.take(1))
    cpu = asyncio.create_task(pool.take(0))
    await asyncio.sleep(0)
    assert (big.done(), small.done(), cpu.done()) == (False, False, True)
    pool.give_back(held)
    assert sorted((await big).uuids) == ["a", "b"]
    assert not small.done()
    pool.give_back(big.result())
    await small


async def test_a_job_that_gives_up_leaves_nothing_held() -> None:
    pool = DevicePool(["a"], cpu_slots=0)
    held = await pool.take(1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pool.take(1), 0.01)
    pool.give_back(held)
    assert (await asyncio.wait_for(pool.take(1), 0.1)).uuids == ("a",)


async def test_a_job_that_never_fits_is_refused() -> None:
    pool = DevicePool(["a"], cpu_slots=0)
    assert pool.sizes() == [1]
    with pytest.raises(ValueError, match="never fits"):
        await pool.take(2)
    with pytest.raises(ValueError, match="never fits"):
        await pool.take(0)


def test_a_device_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="named twice"):
        DevicePool(["a", "a"], cpu_slots=0)


@given(st.lists(st.integers(0, 3), max_size=20))
def test_every_job_is_served_and_all_comes_back(sizes: list[int]) -> None:
    async def run() -> None:
        pool = DevicePool(["a", "b", "c"], cpu_slots=2)
        in_use: list[str] = []

        async def job(size: int) -> None:
            held: DeviceSet = await pool.take(size)
            assert len(held.uuids) == size
            assert not set(held.uuids) & set(in_use)
            in_use.extend(held.uuids)
            await asyncio.sleep(0)
            for uuid in held.uuids:
                in_use.remove(uuid)
            pool.give_back(held)

        await asyncio.wait_for(asyncio.gather(*(job(size) for size in sizes)), 5)
        assert pool.free == pool.capacity

    asyncio.run(run())
