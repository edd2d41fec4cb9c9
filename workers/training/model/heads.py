"""Heads of models: their classes in transformers, and their operations beside the encoder's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import transformers
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto import modeling_auto as families

from pricetag.accounting.work.flops import EncoderShape, encoder_flops, linear_flops
from workers.job.request import JobError

CLASSES = 2  # number of classes of the classifier whose operations are counted

ClosedForm = Callable[[PreTrainedConfig, EncoderShape, int], int]


@dataclass(frozen=True)
class Head:
    """The last part of a model, for one purpose.

    Attributes:
        name: Name in keys of counts.
        purpose: Purpose in messages.
        auto: Class of transformers that loads and makes such models.
        models: Names of the models' classes, by type of model.
        also: Endings of the names of other classes whose weights include such a head.
        per_token: Whether it computes for every token, not once for the text.
        formula: Its operations, beside those of the encoder's layers.
        bert_flops: Operations of a BERT model with the head on one text, in closed form.
        pads_with_end: Whether the end of a text may replace missing padding.
    """

    name: str
    purpose: str
    auto: Any
    models: Mapping[str, str]
    also: tuple[str, ...]
    per_token: bool
    formula: str
    bert_flops: ClosedForm
    pads_with_end: bool = False

    def is_in(self, config: PreTrainedConfig) -> bool:
        """Whether a saved model has such a head."""
        return any(self.is_of(name) for name in config.architectures or [])

    def is_of(self, class_name: str) -> bool:
        """Whether the models of a class have such a head."""
        return class_name.endswith(self.also) or class_name in self.models.values()

    def require(self, config: PreTrainedConfig) -> None:
        """Reject a type of model that cannot have such a head.

        Raises:
            JobError: ``bad-model``.
        """
        if config.model_type not in self.models:
            raise JobError(
                "bad-model",
                f"a {config.model_type} model has no head for {self.purpose}; "
                "use a text encoder or decoder that has one",
                "recipe.model",
            )

    def build(self, config: PreTrainedConfig) -> PreTrainedModel:
        """A model with random weights."""
        return cast(PreTrainedModel, self.auto.from_config(config))

    def load(self, place: str, config: PreTrainedConfig | None, **options: Any) -> PreTrainedModel:
        """A saved model; with ``config`` a classifier of another size is replaced by a new one."""
        if config is not None:
            options |= {"config": config, "ignore_mismatched_sizes": not self.per_token}
        return cast(PreTrainedModel, self.auto.from_pretrained(place, **options))

    def closed_form(self, config: PreTrainedConfig, length: int) -> int | None:
        """Forward operations on one text of a BERT model; None for other types."""
        if config.model_type != "bert":
            return None
        shape = EncoderShape(
            layers=config.num_hidden_layers,
            hidden=config.hidden_size,
            intermediate=config.intermediate_size,
            attention=config.hidden_size,
        )
        return self.bert_flops(config, shape, length)


CLASSIFIER = Head(
    name="classifier",
    purpose="classification or regression of text",
    auto=transformers.AutoModelForSequenceClassification,
    models=families.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    also=("ForSequenceClassification",),
    per_token=False,
    formula="",
    bert_flops=lambda config, shape, length: encoder_flops(shape, length, classes=CLASSES),
)


def _bert_masked_lm(config: PreTrainedConfig, shape: EncoderShape, length: int) -> int:
    transform = linear_flops(length, config.hidden_size, config.hidden_size)
    logits = linear_flops(length, config.hidden_size, config.vocab_size)
    return encoder_flops(shape, length, pooler=False) + transform + logits


MASKED_LM = Head(
    name="masked-lm",
    purpose="masked language modeling",
    auto=transformers.AutoModelForMaskedLM,
    models=families.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    also=("ForMaskedLM", "BertForPreTraining"),
    per_token=True,
    formula=" and 2L(H^2 + H*V) of the head",
    bert_flops=_bert_masked_lm,
)
CAUSAL_LM = Head(
    name="causal-lm",
    purpose="causal language modeling",
    auto=transformers.AutoModelForCausalLM,
    models=families.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    also=("ForCausalLM",),
    per_token=True,
    formula=" and 2L(H^2 + H*V) of the head",
    bert_flops=_bert_masked_lm,
    pads_with_end=True,
)

QUESTION_ANSWERING = Head(
    name="question-answering",
    purpose="extractive question answering",
    auto=transformers.AutoModelForQuestionAnswering,
    models=families.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES,
    also=("ForQuestionAnswering",),
    per_token=True,
    formula=" and 4L*H of the head",
    bert_flops=lambda config, shape, length: (
        encoder_flops(shape, length, pooler=False) + linear_flops(length, config.hidden_size, 2)
    ),
)

HEADS = (CLASSIFIER, MASKED_LM, CAUSAL_LM, QUESTION_ANSWERING)


def head_of(model: PreTrainedModel) -> Head:
    """A model's head; a classifier for a class that transformers does not have."""
    name = type(model).__name__
    return next((head for head in HEADS if head.is_of(name)), CLASSIFIER)
