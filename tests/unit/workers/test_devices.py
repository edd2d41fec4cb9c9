import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.node.devices import DevicePool, DeviceSet


def test_only_jobs_that_fit_are_assigned() -> None:
    pool = DevicePool(["a", "b", "c"], cpu_slots=1)
    assert (pool.capacity, pool.sizes()) == (4, [0, 1, 2, 3])
    first = pool.take(2)
    assert first == DeviceSet(("a", "b"))
    assert pool.fitting() == [0, 1]
    assert pool.take(2) is None
    assert pool.take(0) == DeviceSet(())
    assert pool.fitting() == [1]
    pool.give_back(first)
    assert pool.take(3) == DeviceSet(("a", "b", "c"))


def test_a_node_without_cpu_slots_takes_no_cpu_jobs() -> None:
    pool = DevicePool(["a"], cpu_slots=0)
    assert pool.sizes() == [1]
    assert pool.take(0) is None


def test_a_device_named_twice_is_rejected() -> None:
    with pytest.raises(ValueError, match="listed twice"):
        DevicePool(["a", "a"], cpu_slots=0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=60))
def test_no_device_is_ever_held_twice_and_none_is_lost(steps: list[tuple[bool, int]]) -> None:
    pool = DevicePool(["a", "b", "c"], cpu_slots=2)
    held: list[DeviceSet] = []
    for give_back, count in steps:
        if give_back and held:
            pool.give_back(held.pop(count % len(held)))
        elif (reserved := pool.take(count)) is not None:
            assert len(reserved.uuids) == count
            held.append(reserved)
        in_use = [uuid for devices in held for uuid in devices.uuids]
        assert len(in_use) == len(set(in_use))
        assert sum(not devices.uuids for devices in held) <= 2
    for devices in held:
        pool.give_back(devices)
    assert pool.fitting() == pool.sizes()


def test_shared_devices_go_to_the_fewest_jobs_first() -> None:
    pool = DevicePool(["a", "b"], cpu_slots=0, share=2)
    assert pool.capacity == 4
    assert pool.take(1) == DeviceSet(("a",))
    assert pool.take(1) == DeviceSet(("b",))
    assert pool.fitting() == [1, 2]
    both = pool.take(2)
    assert both == DeviceSet(("a", "b"))
    assert pool.fitting() == []
    assert pool.take(1) is None
    pool.give_back(both)
    pool.give_back(DeviceSet(("b",)))
    assert pool.take(1) == DeviceSet(("b",))


def test_a_device_has_at_least_one_place_for_jobs() -> None:
    with pytest.raises(ValueError, match="share must be 1 or more"):
        DevicePool(["a"], cpu_slots=0, share=0)


@given(
    share=st.integers(1, 3),
    steps=st.lists(st.tuples(st.booleans(), st.integers(1, 3)), max_size=60),
)
def test_no_device_has_more_jobs_than_may_share_it(
    share: int, steps: list[tuple[bool, int]]
) -> None:
    pool = DevicePool(["a", "b", "c"], cpu_slots=0, share=share)
    held: list[DeviceSet] = []
    for give_back, count in steps:
        if give_back and held:
            pool.give_back(held.pop(count % len(held)))
        elif (reserved := pool.take(count)) is not None:
            assert len(set(reserved.uuids)) == count
            held.append(reserved)
        in_use = [uuid for devices in held for uuid in devices.uuids]
        assert max((in_use.count(uuid) for uuid in "abc"), default=0) <= share
        free = sum(in_use.count(uuid) < share for uuid in "abc")
        assert pool.fitting() == list(range(1, free + 1))
