"""Fixed points z = f(z) by Broyden's method or Anderson acceleration, with implicit gradients.

Source: Bai, Kolter, Koltun 2019, Deep Equilibrium Models, sections 3.1 and 3.2, arXiv:1909.01377.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

Function = Callable[[torch.Tensor], torch.Tensor]

TINY = 1e-9
RIDGE = 1e-8  # relative to the residuals' own size


@dataclass(frozen=True)
class Solution:
    """The result of a solver.

    Attributes:
        point: For each row the iterate with the lowest residual ``[rows, size]``.
        residual: |f(z) - z| / |f(z)| of these ``[rows]``.
        evaluations: Number of evaluations of f.
    """

    point: torch.Tensor
    residual: torch.Tensor
    evaluations: int


Solver = Callable[[Function, torch.Tensor, int, float], Solution]


class _Lowest:
    """The iterate of each row with the lowest residual so far."""

    def __init__(self, point: torch.Tensor, value: torch.Tensor) -> None:
        self.point, self.residual = point, relative_residual(point, value)

    def update(self, point: torch.Tensor, value: torch.Tensor) -> None:
        """Compare with one more iterate."""
        residual = relative_residual(point, value)
        better = residual < self.residual
        self.point = torch.where(better[:, None], point, self.point)
        self.residual = torch.where(better, residual, self.residual)

    def is_below(self, tolerance: float) -> bool:
        """Whether the residual of every row is low enough; without a tolerance, no value is
        read."""
        return tolerance > 0 and bool((self.residual <= tolerance).all())


def relative_residual(point: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """|f(z) - z| / |f(z)| of each row.

    Args:
        point: z ``[rows, size]``.
        value: f(z) ``[rows, size]``.

    Returns:
        ``[rows]``
    """
    distance: torch.Tensor = torch.linalg.vector_norm(value - point, dim=-1)
    length: torch.Tensor = torch.linalg.vector_norm(value, dim=-1)
    return distance / (length + TINY)


def anderson(
    function: Function,
    start: torch.Tensor,
    evaluations: int,
    tolerance: float = 0.0,
    memory: int = 5,
) -> Solution:
    """A fixed point of each row by Anderson acceleration.

    The next iterate is the combination Σ a_i f(z_i) of the last ``memory`` ones whose residual
    Σ a_i (f(z_i) - z_i) is smallest, with Σ a_i = 1.

    Args:
        function: f, row by row.
        start: First iterate ``[rows, size]``.
        evaluations: Largest number of evaluations of f; 1 or more.
        tolerance: Relative residual at which it ends; 0 makes all evaluations.
        memory: Number of iterates that are combined.

    Source: Anderson 1965, doi:10.1145/321296.321305; Bai et al. 2019, section 3.1.
    """
    points, values = [start], [function(start)]
    lowest = _Lowest(points[0], values[0])
    done = 1
    while done < evaluations and not lowest.is_below(tolerance):
        latest = torch.stack(values, dim=1)
        weights = _combination(latest - torch.stack(points, dim=1))
        point = (weights.unsqueeze(-1) * latest).sum(1)
        value = function(point)
        done += 1
        lowest.update(point, value)
        points, values = [*points, point][-memory:], [*values, value][-memory:]
    return Solution(lowest.point, lowest.residual, done)


def _combination(residuals: torch.Tensor) -> torch.Tensor:
    """Weights of sum 1 that make the combined residual smallest.

    Args:
        residuals: ``[rows, iterates, size]``.

    Returns:
        ``[rows, iterates]``
    """
    count = residuals.shape[1]
    gram = (residuals.unsqueeze(2) * residuals.unsqueeze(1)).sum(-1)
    scale = gram.diagonal(dim1=1, dim2=2).mean(-1)[:, None, None] + torch.finfo(gram.dtype).tiny
    eye = torch.eye(count, dtype=gram.dtype, device=gram.device)
    ones = torch.ones_like(gram[:, :, :1])
    weights: torch.Tensor = torch.linalg.solve(gram / scale + RIDGE * eye, ones).squeeze(-1)
    return weights / weights.sum(-1, keepdim=True)


def broyden(
    function: Function,
    start: torch.Tensor,
    evaluations: int,
    tolerance: float = 0.0,
    memory: int = 30,
) -> Solution:
    """A fixed point of each row by Broyden's method: the root of g(z) = f(z) - z.

    The inverse of g's Jacobian is approximated by -1 + Σ u vᵀ, with a term of rank 1 from each
    step (Sherman and Morrison). After ``memory`` terms it begins with -1 again.

    Args:
        function: f, row by row.
        start: First iterate ``[rows, size]``.
        evaluations: Largest number of evaluations of f; 1 or more.
        tolerance: Relative residual at which it ends; 0 makes all evaluations.
        memory: Largest number of terms.

    Source: Broyden 1965, doi:10.1090/S0025-5718-1965-0198670-6; Bai et al. 2019, section 3.1.
    """
    point, value = start, function(start)
    lowest = _Lowest(point, value)
    inverse = _Inverse(memory)
    gap = value - point
    done = 1
    while done < evaluations and not lowest.is_below(tolerance):
        step = -inverse.times(gap)
        point = point + step
        value = function(point)
        done += 1
        lowest.update(point, value)
        inverse.learn(step, value - point - gap)
        gap = value - point
    return Solution(lowest.point, lowest.residual, done)


class _Inverse:
    """-1 + Σ u vᵀ for each row."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._terms: list[tuple[torch.Tensor, torch.Tensor]] = []

    def times(self, vector: torch.Tensor) -> torch.Tensor:
        """The matrix times a vector ``[rows, size]``."""
        result = -vector
        for left, right in self._terms:
            result = result + left * (right * vector).sum(-1, keepdim=True)
        return result

    def times_from_left(self, vector: torch.Tensor) -> torch.Tensor:
        """A vector ``[rows, size]`` times the matrix."""
        result = -vector
        for left, right in self._terms:
            result = result + right * (left * vector).sum(-1, keepdim=True)
        return result

    def learn(self, step: torch.Tensor, change: torch.Tensor) -> None:
        """Make the matrix map the last change of g to the step that caused it."""
        if len(self._terms) == self._memory:
            self._terms = []
        right = self.times_from_left(step)
        divisor = (right * change).sum(-1, keepdim=True)
        left = (step - self.times(change)) / divisor
        usable = (divisor != 0) & left.isfinite().all(-1, keepdim=True)
        self._terms.append((torch.where(usable, left, 0.0), torch.where(usable, right, 0.0)))


SOLVERS: dict[str, Solver] = {"anderson": anderson, "broyden": broyden}


def equilibrium(
    function: Function, start: torch.Tensor, solve: Solver, evaluations: int, of_gradient: int
) -> torch.Tensor:
    """f(z*) at a fixed point z*, with the implicit gradient.

    No iterate of the solver is kept for the backward pass: its memory is that of one evaluation,
    whatever their number. The gradient y solves y = yᵀ ∂f/∂z + ∂L/∂z by the same solver, and then
    flows once through f to its parameters and its input.

    Args:
        function: f, row by row; differentiable.
        start: First iterate ``[rows, size]``.
        solve: The solver.
        evaluations: Evaluations of f to find z*.
        of_gradient: Products with ∂f/∂z to find y.

    Source: Bai, Kolter, Koltun 2019, theorem 1 and section 3.1.3, arXiv:1909.01377.
    """
    with torch.no_grad():
        point = solve(function, start, evaluations, 0.0).point
    point = point.detach().requires_grad_()
    with torch.enable_grad():
        value = function(point)

    def implicit(gradient: torch.Tensor) -> torch.Tensor:
        def adjoint(current: torch.Tensor) -> torch.Tensor:
            (product,) = torch.autograd.grad(value, point, current, retain_graph=True)
            return product + gradient

        return solve(adjoint, gradient, of_gradient, 0.0).point

    result = value.view_as(value)  # a hook on ``value`` would be called by its own products
    result.register_hook(implicit)  # type: ignore[no-untyped-call]
    return result
