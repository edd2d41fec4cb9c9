"""Scales, zero points, rounding and packing, against the golden values of int8_quant."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.training.quantization.affine import (
    Blocks,
    asymmetric_parameters,
    fake_blocks,
    quantize_blocks,
    round_asymmetric,
    round_symmetric,
    straight_through,
    symmetric_scale,
)
from workers.training.quantization.bits import pack, packed_size, unpack

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/int8_quant.json").read_text())
CASES: dict[str, Any] = GOLDEN["cases"]


def values(case: dict[str, Any]) -> torch.Tensor:
    return torch.tensor(case["x"], dtype=torch.float64)


@pytest.mark.parametrize("name", CASES)
def test_symmetric_quantization_is_that_of_the_authors(name: str) -> None:
    case, expected = CASES[name], CASES[name]["symmetric"]
    x, bits = values(case), case["bits"]
    scale = symmetric_scale(x.abs().max(), bits)
    q = round_symmetric(x, scale, bits)
    if expected.get("is_nan"):  # their code divides by zero
        assert float(scale) == 1
        assert not q.any()
        return
    assert expected["Z"] == 0
    assert float(scale) == pytest.approx(expected["S"], rel=1e-12)
    assert q.tolist() == expected["q"]
    torch.testing.assert_close(
        q * scale, torch.tensor(expected["dequantised"], dtype=torch.float64), rtol=1e-9, atol=1e-12
    )
    error = float((q * scale - x).abs().max())
    assert error == pytest.approx(expected["max_error"], abs=1e-6)
    assert expected["half_step"] == pytest.approx(float(scale) / 2, rel=1e-9)


PLAIN = "asymmetric_plain_formula_uint8"


@pytest.mark.parametrize("name", [name for name in CASES if PLAIN in CASES[name]])
def test_the_plain_formula_needs_a_range_with_zero(name: str) -> None:
    x, expected = values(CASES[name]), CASES[name][PLAIN]
    scale, zero_point = asymmetric_parameters(x.min(), x.max(), 0, 255)
    includes_zero = bool(x.min() <= 0 <= x.max())
    assert expected["Z_in_range"] == includes_zero
    if includes_zero:
        assert float(scale) == pytest.approx(expected["S"], rel=1e-9)
        assert float(zero_point) == expected["Z"]
    else:  # ours is wider
        assert float(scale) > expected["S"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["asymmetric_uint8", "asymmetric_int8"])
def test_asymmetric_quantization_is_that_of_the_observer(name: str, kind: str) -> None:
    case, expected = CASES[name], CASES[name][kind]
    x, ends = values(case), (expected["qmin"], expected["qmax"])
    scale, zero_point = asymmetric_parameters(x.min(), x.max(), *ends)
    q = round_asymmetric(x, scale, zero_point, *ends)
    assert float(scale) == pytest.approx(expected["S"], rel=1e-6)
    assert float(zero_point) == expected["Z"]
    assert q.tolist() == expected["q"]
    real = torch.tensor(expected["dequantised"], dtype=torch.float64)
    torch.testing.assert_close((q - zero_point) * scale, real, rtol=1e-6, atol=1e-9)


QBERT = json.loads((Path(__file__).parents[1] / "data/golden/qbert.json").read_text())["cases"]
GROUPED = [name for name in QBERT if name.startswith("groups")]


def test_every_case_is_computed() -> None:
    hessians = [name for name in QBERT if name.startswith("hessian")]  # in test_method_qbert
    assert {"inputs", *GROUPED, *hessians} == set(QBERT)


@pytest.mark.parametrize("name", GROUPED)
def test_groups_of_rows_are_those_of_the_formula(name: str) -> None:
    groups, bits = (int(part.lstrip("groupsbit")) for part in name.split("_"))
    weight = torch.tensor(QBERT["inputs"]["W"], dtype=torch.float64)
    blocks, expected = Blocks(row_groups=groups), QBERT[name]
    q, scale = quantize_blocks(weight, blocks, bits)
    assert scale[:, 0].tolist() == pytest.approx(expected["scale"], rel=1e-12)
    real = q * blocks.spread(scale, *weight.shape)
    torch.testing.assert_close(
        real, torch.tensor(expected["dequantised"], dtype=torch.float64), rtol=1e-9, atol=1e-12
    )
    assert float((real - weight).square().mean()) == pytest.approx(expected["mse"], rel=1e-9)


finite = st.floats(-1e4, 1e4, allow_nan=False, width=32)


@given(st.lists(finite, min_size=1, max_size=40), st.integers(2, 8))
@settings(max_examples=60, deadline=None)
def test_rounding_is_off_by_half_a_step_at_most_and_zero_is_exact(
    numbers: list[float], bits: int
) -> None:
    x = torch.tensor([*numbers, 0.0], dtype=torch.float64)
    scale = symmetric_scale(x.abs().max(), bits)
    back = round_symmetric(x, scale, bits) * scale
    assert float((back - x).abs().max()) <= float(scale) / 2 * (1 + 1e-9)
    assert back[-1] == 0
    low, high = asymmetric_parameters(x.min(), x.max(), 0, 255)
    q = round_asymmetric(x, low, high, 0, 255)
    assert float((((q - high) * low) - x).abs().max()) <= float(low) * (1 + 1e-9)
    assert q[-1] == high
    assert 0 <= float(q.min()) <= float(q.max()) <= 255


@given(st.integers(1, 9), st.integers(1, 70), st.integers(1, 9), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_each_block_has_the_scale_of_its_own_largest_weight(
    rows: int, columns: int, groups: int, size: int
) -> None:
    generator = torch.Generator().manual_seed(rows * 1000 + columns)
    weight = torch.randn((rows, columns), generator=generator, dtype=torch.float64)
    blocks = Blocks(min(groups, rows), size)
    q, scale = quantize_blocks(weight, blocks, 4)
    assert tuple(scale.shape) == blocks.shape(rows, columns)
    count = min(groups, rows)
    for row in range(rows):
        same = [other for other in range(rows) if other * count // rows == row * count // rows]
        for column in range(columns):
            start = column // size * size
            largest = float(weight[same, start : start + size].abs().max())
            step = largest / 7
            assert float(q[row, column]) == pytest.approx(
                float(torch.round(weight[row, column] / step)), abs=1e-9
            )


def test_more_groups_than_rows_are_rejected() -> None:
    with pytest.raises(ValueError, match="5 groups for 4 rows"):
        quantize_blocks(torch.ones(4, 2), Blocks(5), 8)
    with pytest.raises(ValueError, match="2 to 8 bits"):
        quantize_blocks(torch.ones(4, 2), Blocks(), 1)


def test_the_gradient_passes_straight_through() -> None:
    x = torch.tensor([0.3, -4.0, 2.0], requires_grad=True)
    straight_through(x, torch.zeros(3)).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1, 1]
    weight = torch.randn(3, 5, requires_grad=True)
    out = fake_blocks(weight, Blocks(), 3)
    q, scale = quantize_blocks(weight.detach(), Blocks(), 3)
    assert torch.equal(out.detach(), q * scale)
    out.pow(2).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert torch.equal(weight.grad, 2 * out.detach())


@given(st.integers(1, 8), st.lists(st.integers(0, 255), max_size=50))
@settings(max_examples=80, deadline=None)
def test_packed_integers_are_unpacked_unchanged(bits: int, numbers: list[int]) -> None:
    whole = torch.tensor([number % 2**bits for number in numbers], dtype=torch.uint8)
    packed = pack(whole, bits)
    assert len(packed) == packed_size(len(whole), bits) == math.ceil(len(numbers) * bits / 8)
    assert torch.equal(unpack(packed, bits, len(whole)), whole)


def test_bytes_that_do_not_fit_are_rejected() -> None:
    with pytest.raises(ValueError, match="do not hold"):
        unpack(torch.zeros(3, dtype=torch.uint8), 4, 4)
