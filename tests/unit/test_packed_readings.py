from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.packed.codec import DamagedReadingsError, decode, encode, sha256
from models.packed.columns import FLOATS, Columns, joined
from models.packed.levels import FACTORS, decoded, levels
from models.packed.steps import (
    LONGEST_STEPS,
    WIDEST_STEPS,
    Segments,
    cut,
    is_settled,
    steps_of,
)
from models.packed.steps import joined as joined_segments
from tests.support.packed import any_columns, columns_of, rows_of, trace

GPU, ZONE = "gpu:1", "rapl:0"


def bits(columns: Columns) -> list[object]:
    """Everything that must come back, with each float as its bytes."""
    return [
        [
            row["seq"],
            row["flags"],
            *(None if row[name] is None else struct.pack("<d", row[name]) for name in FLOATS),
        ]
        for row in rows_of(columns)
    ]


@given(any_columns())
def test_readings_are_restored_bit_for_bit(columns: Columns) -> None:
    stored = decode(encode(columns), sha256(columns))
    assert bits(stored) == bits(columns)
    assert sha256(stored) == sha256(columns)


@pytest.mark.parametrize(
    "values",
    [
        [0.0, -0.0, 0.0],
        [1e308, -1e308, 5e-324, -5e-324],
        [float("inf"), float("-inf"), 0.0],
        [2.0**53, 2.0**53 + 2, -(2.0**63)],
        [0.001, 0.002, 123456.789, 1e-9],
        [None, 1.5, None],
        [None, None],
    ],
)
def test_extreme_values_are_restored(values: list[float | None]) -> None:
    rows: list[dict[str, Any]] = [
        {"seq": seq, "t_s": float(seq), "counter_j": value, "flags": []}
        for seq, value in enumerate(values)
    ]
    columns = columns_of(rows)
    assert bits(decode(encode(columns), sha256(columns))) == bits(columns)


def test_a_block_of_a_steady_counter_is_small() -> None:
    rng = np.random.default_rng(1)
    milliwatts = rng.integers(150_000, 450_000, 4096)
    millijoules = 5_000_000_000 + np.cumsum(milliwatts)
    rows = [
        {
            "seq": 5 * number,
            "t_s": float(number),
            "counter_j": int(energy) / 1000,
            "integrated_j": int(energy) / 1000,
            "power_w": int(power) / 1000,
            "flags": [],
        }
        for number, (energy, power) in enumerate(zip(millijoules, milliwatts, strict=True))
    ]
    columns = columns_of(rows)
    assert len(encode(columns)) < 9 * len(columns)


@given(any_columns().filter(lambda columns: len(columns) > 0), st.data())
def test_a_damaged_block_is_detected(columns: Columns, data: st.DataObject) -> None:
    stored = bytearray(encode(columns))
    place = data.draw(st.integers(0, len(stored) - 1))
    stored[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        changed = decode(bytes(stored), sha256(columns))
    except DamagedReadingsError:
        return
    assert bits(changed) == bits(columns)  # a bit that deflate does not use


@given(any_columns().filter(lambda columns: len(columns) > 0), st.integers(0, 7))
def test_other_readings_have_another_hash(columns: Columns, bit: int) -> None:
    changed = rows_of(columns)
    value = changed[-1]["t_s"]
    (integer,) = struct.unpack("<q", struct.pack("<d", value))
    changed[-1]["t_s"] = struct.unpack("<d", struct.pack("<q", integer ^ (1 << bit)))[0]
    with pytest.raises(DamagedReadingsError, match="packed with SHA-256"):
        decode(encode(columns_of(changed)), sha256(columns))


@pytest.mark.parametrize("kept", [0, 5, 13, 40])
def test_a_truncated_block_is_detected(kept: int) -> None:
    columns = columns_of(trace(1, 100))
    with pytest.raises(DamagedReadingsError):
        decode(encode(columns)[:kept], sha256(columns))


@given(any_columns(), st.lists(st.integers(0, 40), max_size=3))
def test_parts_join_to_the_whole(columns: Columns, cuts: list[int]) -> None:
    edges = sorted({min(place, len(columns)) for place in cuts} | {0, len(columns)})
    parts = [columns[max(a - 1, 0) : b] for a, b in pairwise(edges)]
    assert bits(joined(parts)) == bits(columns)


def blocks(columns: Columns) -> list[Columns]:
    parts = []
    while (size := cut(columns, is_final=True)) is not None and size > 0:
        parts.append(columns[: size + 1])
        columns = columns[size:]
    return parts


def same(a: Segments, b: Segments) -> bool:
    return bool(np.array_equal(a.matrix(), b.matrix(), equal_nan=True))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("component", [GPU, ZONE])
def test_blocks_have_the_steps_of_the_whole(seed: int, component: str) -> None:
    columns = columns_of(trace(seed, 10_000))
    parts = blocks(columns)
    assert [len(part) - 1 <= WIDEST_STEPS for part in parts] == [True] * len(parts)
    assert all(is_settled(part) for part in parts[:-1])
    steps = joined_segments([steps_of(component, part) for part in parts])
    assert same(steps, steps_of(component, columns))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("factor", FACTORS)
def test_levels_keep_energy_time_and_extremes(seed: int, factor: int) -> None:
    steps = steps_of(GPU, columns_of(trace(seed, WIDEST_STEPS + 1)))
    stored = levels(steps)[factor]
    assert stored is not None
    level = decoded(factor, [stored])
    assert len(level) == WIDEST_STEPS // factor
    assert same(level, steps.every(factor))
    for exact in ("energy_j", "covered_s", "duration_s", "steps"):
        assert np.nansum(getattr(level, exact)) == np.nansum(getattr(steps, exact))
    assert np.nanmin(level.min_w) == np.nanmin(steps.min_w)
    assert np.nanmax(level.max_w) == np.nanmax(steps.max_w)


def test_short_blocks_have_no_levels() -> None:
    assert set(levels(steps_of(GPU, columns_of(trace(1, 9)))).values()) == {None}


@pytest.mark.parametrize("factor", FACTORS)
def test_a_damaged_level_is_detected(factor: int) -> None:
    stored = levels(steps_of(GPU, columns_of(trace(1, WIDEST_STEPS + 1))))[factor]
    assert stored is not None
    with pytest.raises(DamagedReadingsError, match=f"level of {factor} steps"):
        decoded(factor, [stored[:-3]])


def standing(readings: int) -> Columns:
    rows = [
        {"seq": n, "t_s": float(n), "counter_j": 1.0, "integrated_j": 50.0 * n, "flags": []}
        for n in range(readings)
    ]
    return columns_of(rows)


def test_a_block_waits_for_the_end_of_a_standstill() -> None:
    assert cut(standing(WIDEST_STEPS + 2), is_final=False) is None
    assert cut(standing(WIDEST_STEPS + 2), is_final=True) == WIDEST_STEPS + 1
    assert cut(standing(LONGEST_STEPS + 1), is_final=False) == LONGEST_STEPS
    assert not is_settled(standing(3))


def test_too_few_readings_make_no_block_before_the_end() -> None:
    assert cut(columns_of(trace(1, WIDEST_STEPS)), is_final=False) is None
    assert cut(columns_of(trace(1, 2)), is_final=True) == 1


@pytest.mark.parametrize("points", [1, 2, 7, 59, 60, 61])
def test_points_divide_the_steps_evenly(points: int) -> None:
    rows = [{**row, "counter_j": None} for row in trace(3, 61)]
    steps = steps_of(GPU, columns_of(rows))
    grouped = steps.at_most(points)
    assert len(grouped) == min(points, 60)
    assert grouped.steps.max() - grouped.steps.min() <= 1
    assert list(grouped.steps) == sorted(grouped.steps, reverse=True)
    assert grouped.steps.sum() == 60
