"""A WordPiece vocabulary learnt from the training text, for models from scratch."""

from __future__ import annotations

from typing import cast

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from workers import ranks, roots
from workers.context import StageContext
from workers.training.data import load_split

SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def train_wordpiece(
    context: StageContext, vocab_size: int, max_tokens: int
) -> PreTrainedTokenizerBase:
    """The tokenizer the recipe names, else one of at most ``vocab_size`` word pieces.

    Source: Schuster and Nakajima 2012, doi:10.1109/ICASSP.2012.6289079; Devlin et al. 2019.
    """
    assert context.model is not None
    assert context.model.scratch is not None
    named = context.model.scratch.tokenizer
    if named is not None:
        folder = roots.find(named, context.job.data_roots, "recipe.model.tokenizer")
        return cast(
            PreTrainedTokenizerBase,
            AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            ),
        )
    saved = context.folder / "tokenizer"
    if ranks.rank() == 0 and not (saved / "done").exists():
        _train(context, vocab_size, max_tokens).save_pretrained(saved)
        (saved / "done").touch()
    ranks.wait_for(saved / "done")
    return cast(PreTrainedTokenizerBase, PreTrainedTokenizerFast.from_pretrained(str(saved)))


def _train(context: StageContext, vocab_size: int, max_tokens: int) -> PreTrainedTokenizerFast:
    examples = load_split(context, "train")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=list(SPECIAL.values()), show_progress=False
    )
    tokenizer.train_from_iterator([*examples.texts, *(examples.pairs or [])], trainer)
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL.values()}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, model_max_length=max_tokens, **SPECIAL
    )
