"""Early exit: temperatures, calibration and exits, against the values of its authors' code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from workers.methods.early_exit import (
    HIGHEST,
    LOWEST,
    calibration_error,
    chosen_classes,
    exit_loss,
    fit_temperature,
    leaves_at,
    weighted_state,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/early_exit.json").read_text())
CASES = GOLDEN["cases"]
LABELS = torch.tensor(CASES["inputs"]["labels"])
LOGITS = torch.tensor(CASES["inputs"]["logits_per_classifier"], dtype=torch.float64)
FITTED = CASES["temperature_fit"]
FITS: list[dict[str, float]] = FITTED["exact"]

few = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 10_000)


def entropy(logits: torch.Tensor, temperature: float = 1.0) -> float:
    return float(functional.cross_entropy(logits / temperature, LABELS))


def drawn(seed: int, *shape: int, scale: float = 2.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_every_case_is_computed() -> None:
    parts = {"inputs", "temperature_fit", "closest_margin", "sum_weights_never_learned"}
    assert parts == set(CASES)
    assert set(FITTED) == {"exact", "authors_adam_sweep_float32", "abs_difference"}
    assert len(FITS) == len(LOGITS)


@pytest.mark.parametrize("number", range(len(FITS)))
def test_temperatures_and_calibration_errors_are_those_of_the_authors(number: int) -> None:
    logits, expected = LOGITS[number], FITS[number]
    temperature = fit_temperature(logits, LABELS)
    assert temperature == pytest.approx(expected["T"], rel=1e-5)
    assert entropy(logits) == pytest.approx(expected["nll_before"], rel=1e-9)
    assert entropy(logits, temperature) == pytest.approx(expected["nll_after"], rel=1e-9)
    before, after = (calibration_error(logits, LABELS, each) for each in (1.0, temperature))
    assert before == pytest.approx(expected["ece15_before"], rel=1e-5)
    assert after == pytest.approx(expected["ece15_after"], rel=1e-5)
    accuracy = (logits.argmax(1) == LABELS).double().mean()
    assert float(accuracy) == pytest.approx(expected["accuracy"], rel=1e-12)


def test_their_sweep_ends_near_the_exact_temperature() -> None:
    """A note of the file: it stops early, so it is compared loosely, by its own differences."""
    fitted = [fit_temperature(logits, LABELS) for logits in LOGITS]
    columns = FITTED["authors_adam_sweep_float32"], FITTED["abs_difference"]
    for ours, swept, difference in zip(fitted, *columns, strict=True):
        assert abs(ours - swept) == pytest.approx(difference, abs=1e-4)


def test_weights_of_the_sum_learn_as_those_of_the_authors_do_not() -> None:
    never = CASES["sum_weights_never_learned"]["max_change_after_20_adam_steps_lr_point1"]
    assert never == 0.0
    weights = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    pooled, target = torch.tanh(drawn(0, 3, 5, 4)), torch.tanh(drawn(1, 5, 4))
    optimizer = torch.optim.Adam([weights], lr=0.1)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = functional.mse_loss(weighted_state(pooled, weights), target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert float((weights.detach() - 1).abs().max()) > 0.1
    assert losses[-1] < losses[0]


@few
@given(seed=seeds, layers=st.integers(1, 6), scale=st.floats(0.01, 100))
def test_the_weighted_state_does_not_depend_on_the_length_of_the_weights(
    seed: int, layers: int, scale: float
) -> None:
    pooled, weights = torch.tanh(drawn(seed, layers, 3, 4)), drawn(seed + 1, layers)
    unit = weights / weights.square().sum().sqrt()
    expected = sum(w * state for w, state in zip(unit, pooled, strict=True))
    torch.testing.assert_close(weighted_state(pooled, scale * weights), expected)


@few
@given(seed=seeds, classes=st.integers(2, 5), temperature=st.floats(0.2, 5.0))
def test_no_temperature_in_bounds_has_less_entropy(
    seed: int, classes: int, temperature: float
) -> None:
    logits = drawn(seed, 40, classes)
    generator = torch.Generator().manual_seed(seed + 1)
    labels = torch.softmax(logits / temperature, 1).multinomial(1, generator=generator)[:, 0]
    fitted = fit_temperature(logits, labels)
    assert LOWEST <= fitted <= HIGHEST
    least = float(functional.cross_entropy(logits / fitted, labels))
    for factor in (0.9, 0.999, 1.001, 1.1):
        other = min(max(fitted * factor, LOWEST), HIGHEST)
        assert least <= float(functional.cross_entropy(logits / other, labels)) + 1e-12


@pytest.mark.parametrize(
    ("rows", "labels", "temperature"),
    [
        ([[3.0, 0.0], [0.0, 2.0]], [0, 1], LOWEST),  # always right: as sure as the bound allows
        ([[3.0, 0.0], [0.0, 2.0]], [1, 0], HIGHEST),  # always wrong
        ([[1.0, 1.0], [-2.0, -2.0]], [0, 1], 1.0),  # no preference
    ],
)
def test_a_temperature_is_bounded(rows: Any, labels: Any, temperature: float) -> None:
    assert fit_temperature(torch.tensor(rows), torch.tensor(labels)) == temperature


def test_calibration_error_by_hand() -> None:
    """Two bins: a half at 0.6 with one of two right, a half at 0.9 with both right."""
    sure = torch.tensor([0.6, 0.6, 0.9, 0.9], dtype=torch.float64)
    logits = torch.stack([sure.log(), (1 - sure).log()], dim=1)
    error = calibration_error(logits, torch.tensor([0, 1, 0, 0]), bins=5)
    assert error == pytest.approx(0.5 * 0.1 + 0.5 * 0.1, rel=1e-12)


def test_the_loss_is_the_sum_over_the_classifiers() -> None:
    each = [float(functional.cross_entropy(logits, LABELS)) for logits in LOGITS]
    assert float(exit_loss(list(LOGITS), LABELS)) == pytest.approx(sum(each), rel=1e-12)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.6, 0.75, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("calibrated", [True, False])
def test_examples_leave_at_the_first_classifier_that_is_sure(
    threshold: float, calibrated: bool
) -> None:
    temperatures = [fit["T"] if calibrated else 1.0 for fit in FITS]
    exits = leaves_at(LOGITS, temperatures, threshold)
    classes = chosen_classes(LOGITS, exits)
    for row in range(len(LABELS)):
        expected = len(LOGITS) - 1
        for number in reversed(range(len(LOGITS) - 1)):
            if (
                float(torch.softmax(LOGITS[number, row] / temperatures[number], 0).max())
                >= threshold
            ):
                expected = number
        assert int(exits[row]) == expected
        assert int(classes[row]) == int(LOGITS[expected, row].argmax())


@few
@given(seed=seeds, low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_higher_threshold_lets_no_example_leave_earlier(
    seed: int, low: float, high: float
) -> None:
    low, high = sorted((low, high))
    logits, temperatures = drawn(seed, 3, 20, 4), [0.7, 1.3, 2.0]
    one, other = (leaves_at(logits, temperatures, each) for each in (low, high))
    assert bool((one <= other).all())
    assert bool((leaves_at(logits, temperatures, 1.01) == 2).all())
