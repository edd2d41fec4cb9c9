"""Parameters of knowledge distillation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.base import Params
from pricetag.recipes.stages.common import FullTraining

LayerIndex = Annotated[int, Field(ge=0, le=1023)]
LayerList = Annotated[list[LayerIndex], Field(min_length=1, max_length=96)]
LayerCount = Annotated[int, Field(ge=1, le=96)]
LayerRule = Literal["every_second", "first"]


def _kind_of_layers(value: object) -> str:
    if isinstance(value, list):
        return "list"
    return "rule" if isinstance(value, str) else "count"


Layers = Annotated[
    Annotated[LayerCount, Tag("count")]
    | Annotated[LayerList, Tag("list")]
    | Annotated[LayerRule, Tag("rule")],
    Discriminator(_kind_of_layers),
]


class Student(Params):
    """A student made from its teacher.

    ``layers`` lists the teacher's layers to keep (from 0), or their number (spread evenly),
    or names a rule. A width below starts the student's encoder from random weights, since
    the teacher's no longer fit.
    """

    layers: Layers = "every_second"
    hidden_size: int | None = Field(None, ge=8, le=8192)
    num_attention_heads: int | None = Field(None, ge=1, le=128)
    intermediate_size: int | None = Field(None, ge=8, le=65_536)

    @model_validator(mode="after")
    def _layers_rise(self) -> Self:
        chosen = self.layers
        if isinstance(chosen, list) and chosen != sorted(set(chosen)):
            raise PydanticCustomError(
                "layers",
                "must rise and name each layer once",
                {"field": "layers"},
            )
        return self

    def kept_layers(self, teacher_layers: int) -> list[int]:
        """The teacher's layers that the student starts from, counted from 0.

        A number spreads them evenly from the first layer on; ``first`` is the lower half.

        Raises:
            ValueError: a layer that the teacher does not have.
        """
        wanted = self.layers
        if wanted == "every_second":
            return list(range(0, teacher_layers, 2))
        if wanted == "first":
            return list(range((teacher_layers + 1) // 2))
        if isinstance(wanted, int):
            if wanted > teacher_layers:
                raise ValueError(f"the teacher has {teacher_layers} layers, not {wanted}")
            return [number * teacher_layers // wanted for number in range(wanted)]
        assert isinstance(wanted, list)
        if wanted[-1] >= teacher_layers:
            raise ValueError(f"the teacher has layers 0 to {teacher_layers - 1}, not {wanted[-1]}")
        return list(wanted)


class Distill(FullTraining):
    """Train a smaller student on the logits of the current model, the teacher.

    Loss: alpha * CE + (1 - alpha) * T^2 * KL(teacher_T || student_T), mean over the batch;
    regression: alpha * MSE(label) + (1 - alpha) * MSE(teacher).

    Source: Hinton, Vinyals, Dean 2015, section 2, arXiv:1503.02531; layer selection:
    Sanh et al. 2019, DistilBERT, section 3, arXiv:1910.01108.
    """

    kind: Literal["distill"] = "distill"
    alpha: float = Field(0.5, ge=0, le=1, description="Weight of the hard labels.")
    temperature: float = Field(2.0, gt=0, le=100)
    student: Student = Student()
