"""Parameters of MiniLM's distillation."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import FORMATS_WITH_STATES, MisfitError, Shape
from pricetag.recipes.students import Student, imitating_shape
from pricetag.recipes.training import TRAINING, FullTraining

HEADS_PER_HEAD = 4
"""Relation heads for each attention head of the teacher: 48 for BERT-base, as in the paper."""


class DistillMinilm(FullTraining):
    """Train a student on the self-attention of one layer of its teacher.

    v1: KL of the attention (queries with keys) plus KL of the relations of the values, both of
    the last layer. v2: the mean of the KL of queries, keys and values, each with itself, split
    into ``relation_heads``. No label is used; the student's head is not trained.

    Source: Wang, Wei, Dong, Bao, Yang, Zhou 2020, section 3, arXiv:2002.10957; v2: Wang, Bao,
    Huang, Dong, Wei 2021, section 3, arXiv:2012.15828.
    """

    kind: Literal["distill"] = "distill"
    method: Literal["minilm"]
    version: Literal["v1", "v2"] = Field(
        default="v1", description="MiniLM of 2020 (`v1`) or MiniLMv2 (`v2`)."
    )
    teacher_layer: int | None = Field(
        None, ge=0, le=1023, description="The teacher's layer, from 0. Default: its last."
    )
    relation_heads: int | None = Field(
        None,
        ge=1,
        le=8192,
        description="Number of relation heads of v2. Default: 4 for each of the teacher's heads.",
    )
    learning_rate: float = Field(5e-4, gt=0, le=10, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="Decoupled weight decay of AdamW.")
    warmup_ratio: float = Field(0.01, ge=0, le=1, description="Share of the steps for warm-up.")
    student: Student = Field(
        default=Student(layers=6, hidden_size=384, intermediate_size=1536),
        description="Shape and first weights of the student.",
    )

    def heads(self, teacher_heads: int) -> int | None:
        """Number of relation heads; None for the attention heads, as in v1."""
        if self.version == "v1":
            return None
        return self.relation_heads or HEADS_PER_HEAD * teacher_heads


def check_pair(params: DistillMinilm, teacher: Shape, student: Shape) -> None:
    """Compare the shapes of teacher and student, as far as they are known.

    Raises:
        MisfitError: Their relations cannot be compared.
    """
    if params.version == "v1":
        if params.relation_heads is not None:
            raise MisfitError(
                "relation_heads", "belongs to version: v2; v1 compares the attention heads"
            )
        if teacher.heads and student.heads and teacher.heads != student.heads:
            raise MisfitError(
                "student.num_attention_heads",
                f"must be the teacher's, {teacher.heads} (got {student.heads}): v1 compares them "
                "head by head; use version: v2 for other numbers",
            )
    heads = None if teacher.heads is None else params.heads(teacher.heads)
    for whose, shape in (("teacher", teacher), ("student", student)):
        if heads and shape.hidden_size and shape.hidden_size % heads:
            raise MisfitError(
                "relation_heads",
                f"{heads} does not divide the {whose}'s hidden_size {shape.hidden_size}",
            )
    layer = params.teacher_layer
    if layer is not None and teacher.layers is not None and layer >= teacher.layers:
        raise MisfitError(
            "teacher_layer", f"the teacher has layers 0 to {teacher.layers - 1}, not {layer}"
        )


def _shape(params: DistillMinilm, teacher: Shape) -> Shape:
    student = imitating_shape(params.student, teacher, attention=True)
    check_pair(params, teacher, student)
    return student


ENTRY = RecipeEntry(
    params=DistillMinilm,
    title="Distill self-attention relations (MiniLM)",
    summary="Trains a student on the attention and value relations of one layer of its teacher.",
    paper=Paper(
        "Wang, Wei, Dong, Bao, Yang, Zhou (2020): MiniLM: Deep Self-Attention Distillation for "
        "Task-Agnostic Compression of Pre-Trained Transformers. NeurIPS.",
        "https://arxiv.org/abs/2002.10957",
    ),
    example={
        "kind": "distill",
        "method": "minilm",
        "student": {"layers": 1, "hidden_size": 16, "intermediate_size": 32},
        "epochs": 1,
        "learning_rate": 1e-4,
    },
    traits=replace(
        TRAINING,
        formats=FORMATS_WITH_STATES,
        group="compression",
        tasks=frozenset({"classification", "regression", "masked_lm"}),
        reshape=_shape,
        tuning=TRAINING.tuning | {"version", "teacher_layer", "relation_heads"},
    ),
)
