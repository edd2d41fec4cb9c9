"""Masked language modeling: the model predicts tokens that were hidden.

Source: Devlin et al. 2019, BERT, section 3.1, doi:10.18653/v1/N19-1423.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedTokenizerBase

from workers.job.request import JobError
from workers.training.data.tokens import Batch, padded
from workers.training.forward_pass import ForwardPass
from workers.training.model.heads import MASKED_LM
from workers.training.model.loaded import Loaded
from workers.training.plugin import LossTerm
from workers.training.tasks.language import IGNORED, Items, LanguageModel, token_loss

EVALUATION_SEED = 0
EVALUATION_EPOCH = -1


@dataclass(frozen=True)
class Masking:
    """Shares of the tokens that are predicted; the default is BERT's.

    Attributes:
        predicted: Share of a text's tokens that are predicted.
        masked: Share of the predicted tokens that the mask token hides.
        replaced: Share of the predicted tokens that become random ones. The others stay.
    """

    predicted: float = 0.15
    masked: float = 0.8
    replaced: float = 0.1


BERT = Masking()


@dataclass
class MaskingCollator:
    """Hides a share of each text's tokens, at least one.

    The choice depends only on seed, epoch and number of the text: it is the same after a
    resumption, on every rank and in batches of any size.

    Attributes:
        pad_token_id: Token that fills short texts.
        mask_token_id: Token that hides another.
        special: Tokens that are never hidden.
        vocabulary: Size of the vocabulary; random tokens are those that are not special.
        seed: Seed of the choice.
        multiple: Divisor of a batch's width.
        masking: Shares of the tokens that are hidden, and how.
        epoch: Number of the epoch, which changes the choice.
    """

    pad_token_id: int
    mask_token_id: int
    special: frozenset[int]
    vocabulary: int
    seed: int
    multiple: int = 1
    masking: Masking = BERT
    epoch: int = 0
    _ordinary: torch.Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ordinary = [token for token in range(self.vocabulary) if token not in self.special]
        self._ordinary = torch.tensor(ordinary)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that determines the next masks."""
        self.epoch = epoch

    def __call__(self, items: Items) -> Batch:
        batch = padded(items, self.pad_token_id, self.multiple)
        labels = torch.full_like(batch["input_ids"], IGNORED)
        for row, item in enumerate(items):
            self._hide(batch["input_ids"][row], labels[row], item["input_ids"], item["index"])
        return {**batch, "labels": labels}

    def _hide(
        self, ids: torch.Tensor, labels: torch.Tensor, tokens: Sequence[int], index: int
    ) -> None:
        places = torch.tensor([i for i, token in enumerate(tokens) if token not in self.special])
        if not len(places):
            return
        generator = self._generator(index)
        shares = self.masking
        count = max(1, round(shares.predicted * len(places)))
        hidden = places[torch.randperm(len(places), generator=generator)[:count]]
        fate = torch.rand(count, generator=generator)
        drawn = torch.randint(len(self._ordinary), (count,), generator=generator)
        labels[hidden] = ids[hidden]
        ids[hidden[fate < shares.masked]] = self.mask_token_id
        replaced = (fate >= shares.masked) & (fate < shares.masked + shares.replaced)
        ids[hidden[replaced]] = self._ordinary[drawn[replaced]]

    def _generator(self, index: int) -> torch.Generator:
        name = f"{self.seed}/{self.epoch}/{index}".encode()
        digest = hashlib.blake2b(name, digest_size=7).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest))


class MaskedTokenLoss(LossTerm):
    """Mean cross-entropy of the hidden tokens."""

    name = "task"

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        hidden = forward.labels != IGNORED
        return token_loss(forward.outputs.logits[hidden], forward.labels[hidden])


class MaskedLm(LanguageModel):
    """Perplexity and accuracy on hidden tokens."""

    name = "masked_lm"
    head = MASKED_LM
    accuracy = "masked_accuracy"

    def has_targets(self, ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> bool:
        """See ``LanguageModel.has_targets``."""
        special = set(tokenizer.all_special_ids)
        return any(token not in special for token in ids)

    def collator(
        self, loaded: Loaded, *, seed: int, multiple: int = 1, masking: Masking = BERT
    ) -> MaskingCollator:
        """See ``Task.collator``: new masks in every epoch.

        Args:
            loaded: The model and its tokenizer.
            seed: Seed of the masks.
            multiple: Divisor of a batch's width.
            masking: Shares of the tokens that are hidden.

        Raises:
            JobError: ``bad-model`` if the tokenizer has no mask token.
        """
        tokenizer = loaded.tokenizer
        if tokenizer.mask_token_id is None:
            raise JobError(
                "bad-model",
                "the tokenizer has no mask token; name one as mask_token in tokenizer_config.json",
                "recipe.model",
            )
        return MaskingCollator(
            pad_token_id=int(tokenizer.pad_token_id or 0),
            mask_token_id=int(tokenizer.mask_token_id),
            special=frozenset(tokenizer.all_special_ids),
            vocabulary=len(tokenizer),
            seed=seed,
            multiple=multiple,
            masking=masking,
        )

    def evaluation_collator(self, loaded: Loaded) -> MaskingCollator:
        """See ``LanguageModel.evaluation_collator``: the same masks for every model."""
        collator = self.collator(loaded, seed=EVALUATION_SEED)
        collator.set_epoch(EVALUATION_EPOCH)
        return collator

    def selected(self, logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """See ``LanguageModel.selected``."""
        hidden = batch["labels"] != IGNORED
        return logits[hidden], batch["labels"][hidden]

    def loss(self, weight: float = 1.0) -> MaskedTokenLoss:
        """See ``Task.loss``."""
        return MaskedTokenLoss(weight)


TASK = MaskedLm()
