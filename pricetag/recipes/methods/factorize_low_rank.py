"""Parameters of low-rank factorization."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.accounting.work.low_rank import largest_rank
from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import ALL_FORMATS, MisfitError, Shape, require_format
from pricetag.recipes.training import RECOVERY, Recovery

SIZES = ("rank", "ratio", "energy", "budget")
"""Options that determine the ranks; a stage has one of them."""


class FactorizeLowRank(Recovery):
    """Replace matrices of the encoder's layers by two factors of low rank, and fine-tune.

    A matrix W becomes the product of two, from its truncated singular value decomposition, which
    is the closest matrix of that rank. Embeddings, LayerNorm, biases, pooler and head stay.

    Source: Eckart and Young 1936, doi:10.1007/BF02288367; Sainath et al. 2013, section 3,
    doi:10.1109/ICASSP.2013.6638949.
    """

    kind: Literal["factorize"] = "factorize"
    method: Literal["low_rank"]
    rank: int | None = Field(None, ge=1, le=65_536, description="Rank of every matrix.")
    ratio: float | None = Field(
        None, gt=0, lt=1, description="Share of each matrix's weights that its factors may have."
    )
    energy: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of the sum of each matrix's squared singular values to keep.",
    )
    budget: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of the weights of all matrices to keep; ranks differ by matrix.",
    )
    matrices: Literal["all", "attention", "feed_forward"] = Field(
        "all", description="Matrices of the layers to replace."
    )

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        stated = [option for option in SIZES if getattr(self, option) is not None]
        if len(stated) != 1:
            message = (
                "state one of rank, ratio, energy and budget"
                if not stated
                else "use one of rank, ratio, energy and budget, not several"
            )
            raise PydanticCustomError(
                "one_size", message, {"field": stated[-1] if stated else "rank"}
            )
        return self

    @property
    def sizes(self) -> dict[str, float | None]:
        """The four options that determine the ranks, by name; one of them is set."""
        return {option: getattr(self, option) for option in SIZES}


def _reshape(params: FactorizeLowRank, shape: Shape) -> Shape:
    """Check the rank against the limit of each matrix, as far as the shape is known."""
    others = shape.formats - {"low_rank"}
    require_format(shape, others, "factorize the model that it was made from", "already-factorized")
    hidden, inner = shape.hidden_size, shape.intermediate_size
    limits = []
    if hidden and params.matrices != "feed_forward":
        limits.append((largest_rank(hidden, hidden), f"{hidden} x {hidden} (attention)"))
    if hidden and inner and params.matrices != "attention":
        limits.append((largest_rank(hidden, inner), f"{hidden} x {inner} (feed-forward)"))
    if params.rank is not None and limits and params.rank > min(limits)[0]:
        message = above_limit(params.rank, *min(limits))
        raise MisfitError("rank", message, "rank-above-limit")
    _require_room(params, shape)
    return shape.of_format("low_rank")


def _require_room(params: FactorizeLowRank, shape: Shape) -> None:
    """Check that the budget has room for rank 1 of every matrix, as far as the shape is known."""
    hidden, inner = shape.hidden_size, shape.intermediate_size
    if params.budget is None or hidden is None or inner is None:
        return
    matrices = []
    if params.matrices != "feed_forward":
        matrices += [(hidden, hidden)] * 4
    if params.matrices != "attention":
        matrices += [(hidden, inner)] * 2
    least = sum(map(sum, matrices)) / sum(rows * columns for rows, columns in matrices)
    if params.budget < least:
        raise MisfitError("budget", budget_too_small(least), "budget-too-small")


def budget_too_small(least: float) -> str:
    """The message for a budget below that of rank 1 of every matrix.

    Args:
        least: Share of the weights that rank 1 has.
    """
    return (
        f"rank 1 of every matrix has {least:.2%} of the weights already; use more than {least:.4f}"
    )


def above_limit(rank: int, limit: int, matrix: str) -> str:
    """The message for a rank that saves no weights in a matrix."""
    if limit == 0:
        return f"factors of a {matrix} matrix save no weights at any rank"
    return (
        f"{rank} is above the limit: the factors of a {matrix} matrix save weights up to rank "
        f"{limit}; use at most {limit}"
    )


ENTRY = RecipeEntry(
    params=FactorizeLowRank,
    title="Factorize matrices into low rank",
    summary="Replaces matrices of the layers by two smaller ones, by singular value decomposition.",
    paper=Paper(
        "Sainath, Kingsbury, Sindhwani, Arisoy, Ramabhadran (2013): Low-Rank Matrix "
        "Factorization for Deep Neural Network Training with High-Dimensional Output Targets. "
        "ICASSP.",
        "https://doi.org/10.1109/ICASSP.2013.6638949",
    ),
    example={"kind": "factorize", "method": "low_rank", "ratio": 0.5, "recovery_epochs": 1},
    traits=replace(RECOVERY, formats=ALL_FORMATS - {"low_rank"}, reshape=_reshape),
)
