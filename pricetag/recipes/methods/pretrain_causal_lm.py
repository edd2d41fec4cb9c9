"""Parameters of pre-training by causal language modeling."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import ALL_FORMATS
from pricetag.recipes.training import TRAINING, FullTraining


class PretrainCausalLm(FullTraining):
    """Pre-train a model on text: it predicts each token from those before it.

    The model starts from random weights, or from those of the run's model (continued
    pre-training).

    Source: Radford, Narasimhan, Salimans, Sutskever 2018, Improving Language Understanding by
    Generative Pre-Training, sections 3.1 and 4.1.
    """

    kind: Literal["pretrain"] = "pretrain"
    method: Literal["causal_lm"]
    learning_rate: float = Field(2.5e-4, gt=0, le=10, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(
        0.01, ge=0, le=1, description="Decoupled weight decay of AdamW; not of biases and norms."
    )
    warmup_ratio: float = Field(0.01, ge=0, le=1, description="Share of the steps for warm-up.")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "cosine", description="Schedule of the learning rate after the warm-up."
    )


ENTRY = RecipeEntry(
    params=PretrainCausalLm,
    title="Pre-train by causal language modeling (GPT)",
    summary="Pre-trains a model on text, from random weights or from a checkpoint: it predicts "
    "each next token.",
    paper=Paper(
        "Radford, Narasimhan, Salimans, Sutskever (2018): Improving Language Understanding by "
        "Generative Pre-Training. OpenAI.",
        "https://cdn.openai.com/research-covers/language-unsupervised/"
        "language_understanding_paper.pdf",
    ),
    example={"kind": "pretrain", "method": "causal_lm", "epochs": 1},
    traits=replace(
        TRAINING, formats=ALL_FORMATS, starts_from_scratch=True, tasks=frozenset({"causal_lm"})
    ),
)
