"""Parameters of lottery tickets."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from pricetag.accounting.forecast.from_history import Work
from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.pruning import fault
from pricetag.recipes.shapes import ALL_FORMATS
from pricetag.recipes.training import TRAINING, FullTraining, examples_per_step

POINTS_PER_ROUND = 0.1


class PruneLotteryTicket(FullTraining):
    """Find a sparse ticket by iterative magnitude pruning with rewinding, and train it.

    A round trains the model, prunes the smallest weights of all matrices to the next sparsity, and
    rewinds the others to the weights at the share rewind_to of the first training. The ticket
    of the last round is trained and is the stage's model.

    Source: Chen et al. 2020, section 3, algorithm 1, arXiv:2007.12223; ``select``: Prasanna,
    Rogers, Rumshisky 2020, section 4, arXiv:2005.00561.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["lottery_ticket"]
    sparsity: float = Field(gt=0, lt=1, description="Share of the prunable weights set to zero.")
    rounds: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Number of rounds, each with an equal share of the weights. Default: one for "
        "10% of the weights.",
    )
    rewind_to: float | Literal["standard"] = Field(
        0.0,
        description="Share of the first training whose weights the others are rewound to, below "
        "1; standard: they are not rewound.",
    )
    rewind_head: bool = Field(
        True, description="Rewind the head too; the released code does not (false)."
    )
    pooler: bool = Field(True, description="Prune the pooler too, as the paper does.")
    select: Literal["good", "random", "bad"] = Field(
        "good",
        description="Weights that stay, in the number of the ticket's: those of the ticket, at "
        "random, or those that it pruned (filled up at random).",
    )
    control: (
        Literal["random_mask", "random_weights", "shuffled_layers", "shuffled_elements"] | None
    ) = Field(
        None,
        description="Train a control instead of the ticket: a random mask, or the ticket's mask "
        "with random or shuffled weights.",
    )

    @model_validator(mode="after")
    def _rewinding_is_possible(self) -> Self:
        if isinstance(self.rewind_to, float) and not 0 <= self.rewind_to < 1:
            raise fault(
                "rewind_to",
                f"must be a share of the training from 0 to below 1 (got {self.rewind_to:g}): "
                "there are no weights beyond the training to rewind to",
            )
        if self.control is not None and self.rewind_to == "standard":
            raise fault("control", "needs rewinding; use rewind_to: 0")
        if self.select != "good" and self.rewind_to == "standard":
            raise fault("select", "needs rewinding; use rewind_to: 0")
        if self.select != "good" and self.control is not None:
            raise fault("select", "must be good with a control, which has a mask of its own")
        if self.control == "random_mask" and self.rewind_to != 0:
            raise fault("rewind_to", "must be 0 with control: random_mask, which has no rounds")
        if self.control == "random_mask" and self.rounds is not None:
            raise fault("rounds", "belongs to tickets; control: random_mask has none, remove it")
        if self.keep_sparsity is False:
            raise fault("keep_sparsity", "cannot be false: a ticket's zeros stay; remove it")
        return self

    @property
    def ticket_rounds(self) -> int:
        """Number of rounds before the last training."""
        if self.control == "random_mask":
            return 0
        return self.rounds or math.ceil(self.sparsity / POINTS_PER_ROUND - 1e-9)


def _work(params: PruneLotteryTicket, devices: int) -> Work:
    trainings = params.ticket_rounds + 1
    if params.max_steps is not None:
        steps = trainings * params.max_steps
        return Work(examples=float(steps * examples_per_step(params, devices)))
    return Work(epochs=trainings * params.effective_epochs)


ENTRY = RecipeEntry(
    params=PruneLotteryTicket,
    title="Find a lottery ticket",
    summary="Prunes in rounds with rewinding and trains the ticket, or a control.",
    paper=Paper(
        "Chen, Frankle, Chang, Liu, Zhang, Wang, Carbin (2020): The Lottery Ticket Hypothesis "
        "for Pre-trained BERT Networks. NeurIPS.",
        "https://arxiv.org/abs/2007.12223",
    ),
    example={
        "kind": "prune",
        "method": "lottery_ticket",
        "sparsity": 0.5,
        "rounds": 2,
        "epochs": 1,
    },
    traits=replace(
        TRAINING,
        formats=ALL_FORMATS,
        group="compression",
        starts_from_scratch=True,
        finds_tickets=True,
        later=frozenset({"select"}),
        work=_work,
        counts_whole=lambda params: params.ticket_rounds == 0,
    ),
)
