"""The data and the model of a run."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pricetag.recipes.base import ColumnName, HubName, Location, Name, Params
from pricetag.recipes.labels import class_name
from pricetag.recipes.tables import FILE_SUFFIXES, TableOptions
from pricetag.recipes.upstream import FromRun


def _inside(path: str) -> str:
    if ".." in path.replace("\\", "/").split("/"):
        raise PydanticCustomError(
            "path_outside", "may not contain '..': only files under the data roots are read"
        )
    return path


def _table_file(path: str) -> None:
    if not path.lower().endswith(FILE_SUFFIXES):
        raise PydanticCustomError(
            "file_format",
            "has no known file format; use one of {suffixes}",
            {"suffixes": ", ".join(FILE_SUFFIXES)},
        )


Folder = Annotated[Location, AfterValidator(_inside)]


def _as_class(value: object) -> object:
    """``0`` and ``true`` in a job file mean the same class as such a cell in the data."""
    return value if isinstance(value, str) else (class_name(value) or value)


ClassName = Annotated[
    str,
    BeforeValidator(_as_class),
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
]


class Data(TableOptions):
    """Labeled text: local tables, or a data set of the Hugging Face hub.

    With ``hub`` the splits are names (``train``, ``validation``), otherwise files.
    """

    hub: HubName | None = Field(None, description="Name of a hub data set instead of local files.")
    config: Name | None = Field(None, description="Configuration of the hub data set.")
    revision: Name | None = Field(None, description="Commit or tag of the hub data set.")
    train: Location | None = Field(None, description="Training file, or split of the hub set.")
    validation: Location | None = Field(None, description="Validation file, or split.")
    test: Location | None = Field(None, description="Test file, or split.")
    text: ColumnName = Field("sentence", description="Column of the (first) sentence.")
    text_pair: ColumnName | None = Field(None, description="Column of the second sentence.")
    label: ColumnName = Field("label", description="Column of the class or the score.")

    labels: Annotated[list[ClassName], Field(min_length=2, max_length=100_000)] | None = Field(
        None,
        description="Classes in the order of their numbers. Numbers from 0 in the label column "
        "then mean these names.",
    )
    positive_label: ClassName | None = Field(
        None, description="Positive class of F1, if there are two. Default: the second class."
    )

    question: ColumnName = Field("question", description="Column of the question.")
    context: ColumnName = Field("context", description="Column of the text that has the answer.")
    answer: ColumnName = Field(
        "answer", description="Column of the answer, a part of the context; empty for no answer."
    )
    answer_start: ColumnName = Field(
        "answer_start", description="Column of the position of the answer's first letter, from 0."
    )
    doc_stride: int = Field(
        32,
        ge=0,
        le=8192,
        description="Question answering: tokens that neighboring windows of a long context share.",
    )
    block_size: int | None = Field(
        None,
        ge=4,
        le=8192,
        description="Language models: pack the texts into blocks of this number of tokens. "
        "Default: each text separately.",
    )

    @model_validator(mode="after")
    def _splits_fit_the_source(self) -> Self:
        if self.train is None and self.validation is None and self.test is None:
            raise PydanticCustomError("no_split", "names no split; add at least 'train'")
        if self.hub is None:
            for option in ("config", "revision"):
                if getattr(self, option) is not None:
                    raise PydanticCustomError(
                        "hub_only",
                        "'{option}' belongs to a hub data set, but 'hub' is missing",
                        {"option": option, "field": option},
                    )
            for split, path in self.splits().items():
                try:
                    _table_file(_inside(path))
                except PydanticCustomError as error:
                    raise PydanticCustomError(
                        error.type,
                        error.message_template,
                        {**(error.context or {}), "field": split},
                    ) from error
        if len({self.text, self.text_pair, self.label}) < 3:
            raise PydanticCustomError(
                "same_column", "text, text_pair and label must be different columns"
            )
        self.check_table_options(
            self.splits().values(), hub=self.hub is not None, pairs=self.text_pair is not None
        )
        self._check_labels()
        return self

    def _check_labels(self) -> None:
        if self.labels is None:
            return
        if len(set(self.labels)) < len(self.labels):
            raise PydanticCustomError("labels", "names a class more than once", {"field": "labels"})
        if self.positive_label is not None and self.positive_label not in self.labels:
            raise PydanticCustomError(
                "labels",
                "'{name}' is not one of the labels: {labels}",
                {
                    "name": self.positive_label,
                    "labels": ", ".join(self.labels[:20]),
                    "field": "positive_label",
                },
            )
        if self.positive_label is not None and len(self.labels) > 2:
            raise PydanticCustomError(
                "labels",
                "F1 is the mean over all classes where there are more than two; remove it",
                {"field": "positive_label"},
            )

    def splits(self) -> dict[str, str]:
        """The splits and the file of each: ``{"train": "data/train.tsv", ...}``."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {split: place for split, place in named.items() if place is not None}


class EncoderConfig(Params):
    """Shape of a BERT or GPT-2 model that is trained from scratch.

    Source: Devlin et al. 2019, doi:10.18653/v1/N19-1423; Radford et al. 2019, Language Models are
    Unsupervised Multitask Learners.
    """

    model_type: Literal["bert", "gpt2"] = Field("bert", description="Architecture.")
    vocab_size: int = Field(8000, ge=64, le=500_000, description="Upper bound of the vocabulary.")
    hidden_size: int = Field(128, ge=8, le=8192, description="Width of the hidden states.")
    num_hidden_layers: int = Field(2, ge=1, le=96, description="Number of layers.")
    num_attention_heads: int = Field(
        2, ge=1, le=128, description="Attention heads per layer; must divide hidden_size."
    )
    intermediate_size: int = Field(
        512, ge=8, le=65_536, description="Width of the feed-forward layers."
    )
    max_position_embeddings: int = Field(
        128, ge=8, le=8192, description="Maximum number of tokens of an input."
    )
    hidden_dropout_prob: float = Field(
        0.1, ge=0, lt=1, description="Dropout of embeddings and hidden states."
    )
    attention_probs_dropout_prob: float = Field(
        0.1, ge=0, lt=1, description="Dropout of the attention weights."
    )
    hidden_act: Literal["gelu", "relu", "silu", "gelu_new"] = Field(
        "gelu", description="Activation of the feed-forward layers."
    )

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise PydanticCustomError(
                "heads",
                "hidden_size {hidden} is not a multiple of num_attention_heads {heads}",
                {
                    "hidden": self.hidden_size,
                    "heads": self.num_attention_heads,
                    "field": "num_attention_heads",
                },
            )
        return self


class FromScratch(Params):
    """A model that starts from random weights."""

    config: EncoderConfig = Field(description="Shape of the model.")
    tokenizer: Folder | None = Field(
        None, description="Tokenizer to use; null trains a WordPiece one on the training text."
    )


def _kind_of_model(value: object) -> str:
    if isinstance(value, FromRun) or (isinstance(value, dict) and "run" in value):
        return "from_run"
    return "from_scratch" if isinstance(value, dict | FromScratch) else "location"


ModelSource = Annotated[
    Annotated[Folder, Tag("location")]
    | Annotated[FromScratch, Tag("from_scratch")]
    | Annotated[FromRun, Tag("from_run")],
    Discriminator(_kind_of_model),
]
