"""The parameter class of each stage kind, and their union."""

from typing import Annotated

from pydantic import Field

from pricetag.recipes.stages.command import Command
from pricetag.recipes.stages.common import (
    FullTraining,
    MidEvaluation,
    Optimisation,
    Split,
    StageParams,
)
from pricetag.recipes.stages.distill import Distill, Student
from pricetag.recipes.stages.evaluate import Evaluate
from pricetag.recipes.stages.measure import Measure
from pricetag.recipes.stages.prune import Prune
from pricetag.recipes.stages.quantize import Quantize
from pricetag.recipes.stages.train import Train

Stage = Annotated[
    Train | Evaluate | Distill | Prune | Quantize | Measure | Command,
    Field(discriminator="kind"),
]

__all__ = [
    "Command",
    "Distill",
    "Evaluate",
    "FullTraining",
    "Measure",
    "MidEvaluation",
    "Optimisation",
    "Prune",
    "Quantize",
    "Split",
    "Stage",
    "StageParams",
    "Student",
    "Train",
]
