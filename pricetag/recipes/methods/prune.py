"""Parameters of magnitude pruning."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.accounting.forecast.from_history import Work
from pricetag.recipes.kinds import Paper, RecipeEntry, SplitNeed, Traits
from pricetag.recipes.training import AMOUNT, TUNING, Optimisation, evaluation_splits


class Prune(Optimisation):
    """Set the smallest weights of the encoder's matrices to zero, with recovery training.

    Prunable are query, key, value, attention.output.dense, intermediate.dense and
    output.dense of each layer; embeddings, LayerNorm, biases, pooler and head stay.

    Source: Han et al. 2015, section 3, arXiv:1506.02626; Gordon et al. 2020,
    Compressing BERT, arXiv:2002.08307.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["magnitude"] = "magnitude"
    sparsity: float = Field(gt=0, lt=1, description="Share of the prunable weights set to zero.")
    scope: Literal["global", "per_matrix"] = "global"
    mode: Literal["one_shot", "iterative"] = "one_shot"
    rounds: int = Field(1, ge=1, le=100, description="Number of rounds in iterative mode.")
    recovery_epochs: float = Field(
        0.0, ge=0, le=10_000, description="Epochs of recovery after each pruning; 0 for none."
    )

    @model_validator(mode="after")
    def _rounds_fit_the_mode(self) -> Self:
        if self.mode == "one_shot" and self.rounds != 1:
            raise PydanticCustomError(
                "rounds",
                "one_shot has one round; use mode: iterative for {rounds}",
                {"rounds": self.rounds, "field": "rounds"},
            )
        if self.mode == "iterative" and self.rounds < 2:
            raise PydanticCustomError(
                "rounds", "iterative pruning needs two rounds or more", {"field": "rounds"}
            )
        return self


def _splits(params: Prune) -> tuple[SplitNeed, ...]:
    recovery = (SplitNeed("train"),) if params.recovery_epochs > 0 else ()
    return (*recovery, *evaluation_splits(params))


def _work(params: Prune, devices: int) -> Work:
    return Work(epochs=params.recovery_epochs * params.rounds)


ENTRY = RecipeEntry(
    params=Prune,
    title="Prune by magnitude",
    summary="Sets the smallest encoder weights to zero, at once or in rounds with recovery.",
    paper=Paper(
        "Han, Pool, Tran, Dally (2015): Learning both Weights and Connections for Efficient "
        "Neural Networks. NIPS.",
        "https://arxiv.org/abs/1506.02626",
    ),
    example={"kind": "prune", "sparsity": 0.5, "scope": "global", "recovery_epochs": 1},
    traits=Traits(
        group="compression",
        trains=True,
        all_ranks=True,
        evaluates_after=True,
        makes_model=True,
        splits=_splits,
        work=_work,
        counts_whole=lambda params: params.rounds == 1,
        amount=AMOUNT | {"recovery_epochs"},
        tuning=TUNING,
        seeds=frozenset({"seed"}),
    ),
)
