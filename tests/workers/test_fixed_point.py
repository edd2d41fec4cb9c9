"""Fixed points and implicit gradients, against values of the authors' code."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.training.architectures.fixed_point import (
    SOLVERS,
    Solver,
    anderson,
    broyden,
    equilibrium,
    relative_residual,
)

GOLDEN = {
    name: torch.tensor(value, dtype=torch.float64)
    for name, value in json.loads(
        (Path(__file__).parents[1] / "data" / "golden" / "deq.json").read_text(encoding="utf-8")
    )["cases"].items()
}
by_solver = pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)


def close(actual: torch.Tensor | None, expected: torch.Tensor) -> None:
    assert actual is not None
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-10)


@by_solver
def test_point_adjoint_and_gradients_are_the_authors(solve: Solver) -> None:
    weight = GOLDEN["W"].clone().requires_grad_()
    inputs = GOLDEN["U"].clone().requires_grad_()
    seen = []

    def function(z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z @ weight.T + GOLDEN["x"] @ inputs.T)

    start = torch.zeros_like(GOLDEN["z_star"])
    value = equilibrium(function, start, solve, 40, 40)
    value.register_hook(lambda gradient: seen.append(gradient))  # type: ignore[no-untyped-call]
    close(value.detach(), GOLDEN["z_star"])
    torch.autograd.backward(value, GOLDEN["grad_seed"])
    close(weight.grad, GOLDEN["grad_W"])
    close(inputs.grad, GOLDEN["grad_U"])
    close(seen[0], GOLDEN["adjoint"])


def contraction(seed: int, size: int, rows: int, radius: float) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(size, size, generator=generator, dtype=torch.float64)
    matrix = matrix / torch.linalg.matrix_norm(matrix, 2) * radius
    bias = torch.randn(rows, size, generator=generator, dtype=torch.float64)
    return matrix, bias


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 4), st.floats(0, 0.9), st.booleans()
)
def test_fixed_points_of_contractions_are_found(
    seed: int, size: int, rows: int, radius: float, uses_broyden: bool
) -> None:
    matrix, bias = contraction(seed, size, rows, radius)
    solve = broyden if uses_broyden else anderson

    def function(z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z @ matrix.T + bias)

    solution = solve(function, torch.zeros_like(bias), 60, 1e-9)
    assert float(solution.residual.max()) < 1e-6
    expected = torch.zeros_like(bias)
    for _ in range(400):
        expected = function(expected)
    torch.testing.assert_close(solution.point, expected, rtol=1e-4, atol=1e-5)


@by_solver
def test_the_iterate_with_the_lowest_residual_is_returned_for_each_row(solve: Solver) -> None:
    tried: list[torch.Tensor] = []
    generator = torch.Generator().manual_seed(3)
    matrix = 3 * torch.randn(5, 5, generator=generator, dtype=torch.float64)

    def function(z: torch.Tensor) -> torch.Tensor:
        tried.append(z)
        return torch.cos(z @ matrix.T)

    start = torch.rand(4, 5, generator=generator, dtype=torch.float64)
    solution = solve(function, start, 12, 0.0)
    assert solution.evaluations == len(tried) == 12
    residuals = torch.stack([relative_residual(z, torch.cos(z @ matrix.T)) for z in tried])
    torch.testing.assert_close(solution.residual, residuals.min(0).values)
    assert int(residuals.argmin(0).max()) < 11 or not torch.equal(solution.point, tried[-1])
    for row, best in enumerate(residuals.argmin(0).tolist()):
        assert torch.equal(solution.point[row], tried[best][row])


@by_solver
def test_a_tolerance_ends_the_search(solve: Solver) -> None:
    matrix, bias = contraction(0, 6, 3, 0.5)
    evaluations = [
        solve(lambda z: torch.tanh(z @ matrix.T + bias), torch.zeros_like(bias), 50, tolerance)
        for tolerance in (1e-1, 1e-4, 0.0)
    ]
    counts = [solution.evaluations for solution in evaluations]
    assert counts[0] < counts[1] < counts[2] == 50
    assert float(evaluations[1].residual.max()) <= 1e-4


@by_solver
def test_rows_do_not_depend_on_one_another(solve: Solver) -> None:
    matrix, bias = contraction(7, 4, 3, 0.8)

    def solved(rows: torch.Tensor) -> torch.Tensor:
        return solve(
            lambda z: torch.tanh(z @ matrix.T + rows), torch.zeros_like(rows), 9, 0.0
        ).point

    torch.testing.assert_close(solved(bias)[1:2], solved(bias[1:2]))


@by_solver
def test_the_implicit_gradient_is_that_of_backpropagation_through_all_steps(solve: Solver) -> None:
    matrix, bias = contraction(11, 5, 2, 0.6)
    gradients = []
    for implicit in (True, False):
        weight, shift = matrix.clone().requires_grad_(), bias.clone().requires_grad_()

        def function(
            z: torch.Tensor, weight: torch.Tensor = weight, shift: torch.Tensor = shift
        ) -> torch.Tensor:
            return torch.tanh(z @ weight.T + shift)

        start = torch.zeros_like(bias)
        if implicit:
            value = equilibrium(function, start, solve, 50, 50)
        else:
            value = start
            for _ in range(200):
                value = function(value)
        torch.autograd.backward((value**3).sum())
        gradients.append((weight.grad, shift.grad))
    for one, other in zip(*gradients, strict=True):
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def layer(weight: torch.Tensor, bias: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return torch.tanh(z @ weight.T + bias)


@by_solver
def test_nothing_is_kept_for_more_evaluations(solve: Solver) -> None:
    matrix, bias = contraction(1, 8, 4, 0.5)
    kept = []
    for evaluations in (2, 20):
        size = 0

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal size
            size += tensor.numel()
            return tensor

        weight = matrix.clone().requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            function = partial(layer, weight, bias)
            equilibrium(function, torch.zeros_like(bias), solve, evaluations, evaluations)
        kept.append(size)
    assert kept[0] == kept[1] > 0
