"""A score for each text or pair of texts."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from pricetag.recipes import Data
from workers.job.context import StageContext
from workers.training.data.cells import Cells
from workers.training.data.examples import Examples
from workers.training.data.labels import encode_labels
from workers.training.data.tokens import TokenData
from workers.training.metrics import Metrics, correlations
from workers.training.model.classes import class_names, set_classes
from workers.training.model.loaded import Loaded
from workers.training.prediction import Predictions
from workers.training.tasks.labeled import Labeled


class Regression(Labeled):
    """Mean squared error; Pearson's and Spearman's correlation."""

    name = "regression"

    def examples(self, cells: Cells, data: Data, split: str) -> Examples:
        """See ``Task.examples``: the label is a number."""
        return Examples(
            split=split,
            texts=cells.texts(data.text),
            pairs=cells.texts(data.text_pair) if data.text_pair else None,
            labels=cells.scores(data.label),
            unit=cells.table.unit,
            places=cells.table.places,
        )

    def accepts(self, config: PreTrainedConfig) -> bool:
        """See ``Task.accepts``: a head of one output."""
        return super().accepts(config) and config.num_labels == 1

    def settle_head(
        self, context: StageContext, config: PreTrainedConfig, classes: Sequence[str] | None
    ) -> tuple[list[str] | None, bool]:
        """See ``Task.settle_head``."""
        is_new = class_names(config) is not None or not self.head.is_in(config)
        if is_new:
            set_classes(config, None)
        return None, is_new

    def configure(
        self,
        config: PreTrainedConfig,
        tokenizer: PreTrainedTokenizerBase,
        classes: Sequence[str] | None,
    ) -> None:
        """See ``Task.configure``."""
        set_classes(config, None)

    def score(
        self,
        context: StageContext,
        loaded: Loaded,
        examples: Examples,
        data: TokenData,
        batch_size: int,
    ) -> tuple[Metrics, Predictions]:
        """See ``Task.score``."""
        logits, predictions = self.logits(context, loaded, data, batch_size)
        scores = encode_labels(examples, None)
        return correlations(logits.squeeze(-1).tolist(), scores), predictions


TASK = Regression()
