"""An embedding as two factors: a narrow table, and a projection to the hidden width."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel

from workers.training.formats.base import Format, Note, require_format


class FactorizedEmbedding(nn.Module):
    """Token numbers ``[...]`` -> ``[..., embedding]`` -> ``[..., hidden]``.

    Source: Lan et al. 2020, ALBERT, section 3.1, arXiv:1909.11942.
    """

    def __init__(self, rows: int, size: int, hidden: int, padding_idx: int | None) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim, self.size = rows, hidden, size
        self.table = nn.Embedding(rows, size, padding_idx=padding_idx)
        self.project = nn.Linear(size, hidden, bias=False)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """See the class."""
        projected: torch.Tensor = self.project(self.table(numbers))
        return projected


def word_embedding(model: PreTrainedModel) -> tuple[str, nn.Embedding]:
    """Name and module of a model's embedding table.

    Raises:
        ValueError: The model has no such table, or it is factorized already.
    """
    try:
        table = model.get_input_embeddings()
    except (
        AttributeError,
        NotImplementedError,
    ) as error:  # how transformers reports that there is none
        raise ValueError(f"a {model.config.model_type} model has no embedding table") from error
    if not isinstance(table, nn.Embedding):
        raise ValueError(f"the embedding table is already a {type(table).__name__}")
    return next(name for name, module in model.named_modules() if module is table), table


def put_factors(model: PreTrainedModel, size: int) -> FactorizedEmbedding:
    """Replace a model's embedding table by two factors without trained weights, in place.

    Args:
        model: The model, changed in place.
        size: Width of the new table.

    Raises:
        ValueError: See ``word_embedding``.
    """
    name, table = word_embedding(model)
    embedding = FactorizedEmbedding(
        table.num_embeddings, size, table.embedding_dim, table.padding_idx
    ).to(table.weight.device)
    model.set_submodule(name, embedding)
    return embedding


class FactorizedEmbeddings(Format):
    """A model whose embedding table is narrower than its hidden states."""

    name = "factorized_embedding"
    note_file = "factorized_embedding.json"
    order = 15

    def describe(self, model: PreTrainedModel) -> Note | None:
        """See ``Format.describe``: the width of the table."""
        sizes = [m.size for m in model.modules() if isinstance(m, FactorizedEmbedding)]
        return {"format": 1, "size": sizes[0]} if sizes else None

    def rebuild(self, model: PreTrainedModel, note: Note) -> None:
        """See ``Format.rebuild``."""
        require_format(note, 1, self.note_file)
        put_factors(model, note["size"])


FORMAT = FactorizedEmbeddings()
