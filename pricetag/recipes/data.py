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

from pricetag.recipes.architectures import Architecture, InvertedBottleneck
from pricetag.recipes.base import MISMATCHED, ColumnName, HubName, Location, Name, Params
from pricetag.recipes.glue import GLUE, HUB_NAMES, GlueName, glue_task, options_of
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


def _as_glue(value: object) -> object:
    """A task in any spelling: ``SST-2``, ``sst2``."""
    task = glue_task(value)
    return value if task is None else task.name


def _text(value: object) -> str | None:
    """A text; None for what its field's own type rejects."""
    return value if isinstance(value, str) else None


def _fault(option: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("glue", "{message}", {"message": message, "field": option})


ClassName = Annotated[
    str,
    BeforeValidator(_as_class),
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
]


class Data(TableOptions):
    """Labeled text: local tables, a data set of the Hugging Face hub, or a task of GLUE.

    With ``hub`` the splits are names (``train``, ``validation``), otherwise files. With ``glue``
    splits, columns and classes are those of the task.
    """

    glue: Annotated[GlueName, BeforeValidator(_as_glue)] | None = Field(
        None,
        description="Task of GLUE, which determines splits, columns, classes and metrics: the "
        "files in 'path', or without it the hub's.",
    )
    path: Folder | None = Field(
        None, description="Folder with GLUE's files in the official layout; with 'glue' only."
    )
    hub: HubName | None = Field(None, description="Name of a hub data set instead of local files.")
    config: Name | None = Field(None, description="Configuration of the hub data set.")
    revision: Name | None = Field(None, description="Commit or tag of the hub data set.")
    train: Location | None = Field(None, description="Training file, or split of the hub set.")
    validation: Location | None = Field(None, description="Validation file, or split.")
    validation_mismatched: Location | None = Field(
        None,
        description="Second validation file, or split, which is evaluated with the first one.",
    )
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

    @model_validator(mode="before")
    @classmethod
    def _of_glue(cls, values: object) -> object:
        """The options that follow from a task of GLUE, which jobs cannot change."""
        if not isinstance(values, dict) or (task := glue_task(values.get("glue"))) is None:
            return values
        path, hub = values.get("path"), values.get("hub")
        if path is not None and hub is not None:
            raise _fault("path", "is a folder, but 'hub' names a data set of the hub; use one")
        of_task = options_of(task, _text(path), _text(hub))
        for option, value in of_task.items():
            stated, default = values.get(option), cls.model_fields[option].default
            if stated not in (None, default, value) and not (option == "config" and hub):
                shown = ", ".join(value) if isinstance(value, list) else value
                says = f"is '{shown}' for" if value is not None else "is not a column of"
                raise _fault(option, f"{says} GLUE's {task.title}; remove it")
        if hub is not None and values.get("config") is not None:
            of_task["config"] = values["config"]
        return {**values, **of_task}

    @model_validator(mode="after")
    def _glue_fits_its_source(self) -> Self:
        if self.glue is None:
            if self.path is not None:
                raise _fault("path", "belongs to a GLUE task; add 'glue', or name the files")
            return self
        task = GLUE[self.glue]
        for option in self.set_table_options():
            if option != "encoding" or self.path is None:
                raise _fault(option, "has no effect on GLUE's own files; remove it")
        if self.positive_label != task.positive:
            raise _fault("positive_label", f"comes from GLUE's {task.title}; remove it")
        if task.labels is None and self.labels is not None:
            raise _fault(
                "labels", f"are not known to GLUE's {task.title}, a regression; remove them"
            )
        if self.test is not None and self.hub in HUB_NAMES and self.glue != "mrpc":
            raise _fault(
                "test",
                f"the labels of {task.title}'s test set are hidden (-1); evaluate on validation",
            )
        return self

    @model_validator(mode="after")
    def _splits_fit_the_source(self) -> Self:
        if not self.splits():
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
        named = {
            "train": self.train,
            "validation": self.validation,
            MISMATCHED: self.validation_mismatched,
            "test": self.test,
        }
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
    architecture: Architecture | None = Field(
        None,
        exclude_if=lambda value: value is None,  # as in recipes stored before it
        description="Encoder to use instead of the one in config, such as {name: deq}. Default: "
        "the one in config.",
    )

    @model_validator(mode="after")
    def _encoder_is_a_bert(self) -> Self:
        if self.architecture is not None and self.config.model_type != "bert":
            raise PydanticCustomError(
                "architecture",
                "'{name}' is an encoder of model_type bert, not {model_type}",
                {
                    "name": self.architecture.name,
                    "model_type": self.config.model_type,
                    "field": "architecture",
                },
            )
        return self

    @model_validator(mode="after")
    def _inner_width_fits(self) -> Self:
        inside = self.architecture
        if not isinstance(inside, InvertedBottleneck):
            return self
        heads, between = self.config.num_attention_heads, self.config.hidden_size
        problem = None
        if inside.inner_size % heads:
            problem = f"must be a multiple of the {heads} attention heads"
        elif inside.inner_size < between:
            problem = f"must be at least hidden_size, the {between} between layers"
        if problem is not None:
            raise PydanticCustomError(
                "architecture",
                "{problem} (got {size})",
                {
                    "problem": problem,
                    "size": inside.inner_size,
                    "field": "architecture.inner_size",
                },
            )
        return self


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
