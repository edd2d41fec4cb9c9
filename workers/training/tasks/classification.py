"""A class for each text or pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from pricetag.recipes import Data
from pricetag.recipes.labels import find_class
from workers.job.context import StageContext
from workers.training.data.cells import Cells
from workers.training.data.examples import Examples
from workers.training.data.labels import (
    encode_labels,
    label_names,
    names_in_data,
    positive_class,
    unknown_label,
)
from workers.training.data.texts import load_split
from workers.training.data.tokens import TokenData
from workers.training.metrics import Metrics, agreement
from workers.training.model.classes import class_names, kept_classes, listed, set_classes
from workers.training.model.loaded import Loaded
from workers.training.prediction import Predictions
from workers.training.tasks.labeled import Labeled


class Classification(Labeled):
    """Cross-entropy; accuracy, F1 and Matthews' correlation."""

    name = "classification"

    def examples(self, cells: Cells, data: Data, split: str) -> Examples:
        """See ``Task.examples``: the label names a class."""
        examples = Examples(
            split=split,
            texts=cells.texts(data.text),
            pairs=cells.texts(data.text_pair) if data.text_pair else None,
            labels=cells.classes(data.label),
            class_names=cells.table.classes,
            unit=cells.table.unit,
            places=cells.table.places,
        )
        return _with_stated_names(examples, data.labels) if data.labels else examples

    def check(self, splits: Mapping[str, Examples], *, trains: bool) -> None:
        """See ``Task.check``: every label occurs in the training data."""
        if not trains or "train" not in splits:
            return
        names = label_names(splits["train"])
        for examples in splits.values():
            encode_labels(examples, names)

    def classes(self, context: StageContext) -> list[str]:
        """See ``Task.classes``."""
        return label_names(load_split(context, "train"))

    def accepts(self, config: PreTrainedConfig) -> bool:
        """See ``Task.accepts``: a head of several outputs."""
        return super().accepts(config) and config.num_labels != 1

    def head_classes(self, config: PreTrainedConfig) -> list[str] | None:
        """See ``Task.head_classes``."""
        return class_names(config)

    def settle_head(
        self, context: StageContext, config: PreTrainedConfig, classes: Sequence[str] | None
    ) -> tuple[list[str] | None, bool]:
        """See ``Task.settle_head``.

        A head of the same classes is kept, with its own order and spelling. A head without names
        (``LABEL_0``, ...) is kept where the order of the classes is stated or they are numbers.
        Any other head is replaced.
        """
        assert classes is not None
        head_names = class_names(config) if self.head.is_in(config) else None
        order_stated = load_split(context, "train").class_names is not None
        names = kept_classes(head_names, classes, order_stated=order_stated)
        if names is None and self.head.is_in(config):
            context.reporter.log(
                f"the model's head is for other classes ({listed(head_names)}): "
                f"a new one for {listed(classes)}"
            )
        names = list(classes) if names is None else names
        if head_names == names:
            return names, False
        set_classes(config, names)
        return names, True

    def configure(
        self,
        config: PreTrainedConfig,
        tokenizer: PreTrainedTokenizerBase,
        classes: Sequence[str] | None,
    ) -> None:
        """See ``Task.configure``."""
        set_classes(config, classes)

    def score(
        self,
        context: StageContext,
        loaded: Loaded,
        examples: Examples,
        data: TokenData,
        batch_size: int,
    ) -> tuple[Metrics, Predictions]:
        """See ``Task.score``; F1 is of the positive class of two."""
        logits, predictions = self.logits(context, loaded, data, batch_size)
        assert loaded.labels is not None
        names = names_in_data(loaded.labels, examples)
        positive = None
        if len(names) == 2:
            order = examples.class_names
            positive = names.index(positive_class(context.recipe.data, names, order))
        predicted, labels = logits.argmax(-1).tolist(), [int(n) for n in data.labels]
        known = replace(predictions, logits=logits, labels=labels)
        return agreement(predicted, labels, names, positive), known


def _with_stated_names(examples: Examples, labels: Sequence[str]) -> Examples:
    """The labels in the spelling of the job's ``labels``; numbers are indices of that list."""
    numbers = {str(number): name for number, name in enumerate(labels)}
    spelled: dict[str, str] = {}
    renamed = replace(examples, class_names=tuple(labels), labels_given=True)
    for row, label in enumerate(examples.labels):
        name = str(label)
        if name not in spelled:
            number = find_class(name, labels)
            spelling = numbers.get(name) if number is None else labels[number]
            if spelling is None:
                raise unknown_label(renamed, row, labels)
            spelled[name] = spelling
    return replace(renamed, labels=[spelled[str(label)] for label in examples.labels])


TASK = Classification()
