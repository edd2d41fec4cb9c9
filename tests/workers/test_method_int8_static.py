"""8-bit models with fixed ranges of activations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.support.training import TRAIN, carry_out, data_set, recipe
from workers.job.reporter import JobError
from workers.training.formats.int8 import Int8, Int8Linear, quantize_rows
from workers.training.quantization.affine import ActivationRange
from workers.training.quantization.calibration import (
    Extremes,
    observed_inputs,
    seen_extremes,
    spread_rows,
)

NOTE = {"scheme": "int8_static"}


def exact(
    layer: nn.Linear, inputs: torch.Tensor, fixed: ActivationRange
) -> tuple[torch.Tensor, torch.Tensor]:
    """The layer in integer arithmetic (float64), and the size of one step of the input."""
    q, scale = quantize_rows(layer.weight.detach())
    rounded = torch.round(inputs.double() / fixed.scale) + fixed.zero_point
    integers = rounded.clamp(fixed.smallest, fixed.largest) - fixed.zero_point
    sums = integers @ q.double().t()
    step = fixed.scale * scale.double() * 127
    return sums * fixed.scale * scale.double() + layer.bias.double(), step


@pytest.mark.parametrize(
    "fixed",
    [
        ActivationRange.asymmetric(-1.5, 2.5),
        ActivationRange.asymmetric(0.5, 2.5),
        ActivationRange.symmetric(2.0),
        ActivationRange.symmetric(0.5),  # most values are clipped, to -127 and 127
    ],
    ids=["asymmetric", "one-sided", "symmetric", "clipped"],
)
@pytest.mark.parametrize("has_instructions", [True, False])
def test_a_layer_equals_its_integer_arithmetic(
    fixed: ActivationRange, has_instructions: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not torch.cpu._is_vnni_supported():
        has_instructions = False  # the kernel would overflow
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: has_instructions)
    torch.manual_seed(0)
    layer = nn.Linear(64, 24)
    inputs = torch.randn((5, 7, 64))
    small = Int8Linear(*quantize_rows(layer.weight.detach()), layer.bias, fixed)
    wanted, step = exact(layer, inputs, fixed)
    # A value on the border between two integers may be rounded to either.
    off = (small(inputs).double() - wanted).abs()
    assert bool((off <= 1.01 * step).all())
    assert float((off < 1e-4).double().mean()) > 0.98


def test_without_its_instructions_a_fixed_range_is_numerics_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    text = Int8().speed_note(NOTE, "cpu")
    assert text is not None
    assert "no VNNI" in text
    assert Int8().speed_note({"scheme": "int8_dynamic"}, "cpu") is None
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)
    assert Int8().speed_note(NOTE, "cpu") is None


@given(st.lists(st.integers(-800, 800).map(lambda eighths: eighths / 8), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_extremes_are_those_of_all_batches_and_zero_is_exact(numbers: list[float]) -> None:
    extremes = Extremes("min_max")
    for number in numbers:
        extremes.add(torch.tensor([number, 0.5 * number]))
    ((low, high),) = seen_extremes({"x": extremes}, "").values()
    assert (low, high) == (
        min(min(n, 0.5 * n) for n in numbers),
        max(max(n, 0.5 * n) for n in numbers),
    )
    fixed = ActivationRange.asymmetric(low, high)
    assert not fixed.rounded(torch.zeros(1)).any()
    ends = torch.tensor([low, high], dtype=torch.float64)
    assert float((fixed.rounded(ends) - ends).abs().max()) <= fixed.scale * (1 + 1e-9)


def test_a_moving_average_starts_at_the_first_batch() -> None:
    extremes = Extremes("moving_average")
    extremes.add(torch.tensor([-1.0, 2.0]))
    extremes.add(torch.tensor([-3.0, 1.0]))
    assert extremes.lowest == pytest.approx(-1.02)
    assert extremes.highest == pytest.approx(1.99)


def test_a_layer_that_no_example_uses_is_named() -> None:
    model = nn.ModuleDict({"used": nn.Linear(2, 2), "idle": nn.Linear(2, 2)})
    with observed_inputs(model, ["used", "idle"], "min_max") as extremes:
        model["used"](torch.ones(1, 2))
    with pytest.raises(JobError, match="do not use the layer idle"):
        seen_extremes(extremes, "recipe.stages.1")
    model["used"](torch.full((1, 2), 9.0))
    assert extremes["used"].highest == 1.0  # it no longer observes


def test_rows_are_spread_over_the_split() -> None:
    assert spread_rows(10, 4) == [0, 2, 5, 7]
    assert spread_rows(3, 8) == [0, 1, 2]


def test_a_run_records_scale_and_zero_point_of_each_layer(tmp_path: Path) -> None:
    data_set(tmp_path)
    stages = [
        {**TRAIN, "evaluate": False},
        {"kind": "quantize", "method": "int8_static", "calibration_examples": 40},
        {"kind": "measure", "min_seconds": 0.01, "batch_size": 2},
    ]
    reporter = carry_out(tmp_path, recipe(*stages))
    note = json.loads((tmp_path / "work/stage-01/model/quantization.json").read_text())
    assert note["scheme"] == "int8_static"
    layers = {name for name, kind in note["modules"].items() if kind == "linear"}
    assert set(note["inputs"]) == layers
    for fixed in note["inputs"].values():
        assert fixed["scale"] > 0
        assert 0 <= fixed["zero_point"] <= 255
    figures = {event["name"]: event["value"] for event in reporter.of("metric")}
    assert figures["low_bit_ops_per_example"] > 0
    (card,) = [
        event["card"]
        for event in reporter.of("artifact")
        if event["card"] and event["card"]["kind"] == "quantize-int8_static"
    ]
    assert card["facts"]["calibration_examples"] == 40
    counted = [
        event for event in reporter.of("flops") if "ranges of activations" in event["uncounted"]
    ]
    assert len(counted) == 1
