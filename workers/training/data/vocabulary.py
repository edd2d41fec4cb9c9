"""A WordPiece vocabulary learned from the training text, for models from scratch."""

from __future__ import annotations

from collections import Counter
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

from workers.job import ranks, roots
from workers.job.context import StageContext
from workers.training.data.texts import load_split
from workers.training.model.loading import loading

TOKENIZER_FIELD = "recipe.model.tokenizer"

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
    """The tokenizer that the recipe names, else a new one with up to ``vocab_size`` word pieces.

    Source: Schuster and Nakajima 2012, doi:10.1109/ICASSP.2012.6289079; Devlin et al. 2019.
    """
    assert context.model is not None
    assert context.model.scratch is not None
    place = context.model.scratch.tokenizer
    if place is not None:
        folder = roots.find(place, context.job.data_roots, TOKENIZER_FIELD)
        roots.check_links(folder, context.job.data_roots, TOKENIZER_FIELD)
        with loading(f"the tokenizer '{folder.name}'", TOKENIZER_FIELD):
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


def learn_pieces(texts: list[str], vocab_size: int) -> dict[str, int]:
    """Word pieces and their numbers, the same at every call with the same texts.

    The trainer would number the letters inside words in the order of a hash table, which changes
    from call to call, and break ties by these numbers; so it gets fixed ones.
    """
    draft = _empty({})
    counts = Counter(
        letter
        for text in texts
        for word, _ in draft.pre_tokenizer.pre_tokenize_str(draft.normalizer.normalize_str(text))
        for letter in word
    )
    ranked = sorted(counts, key=lambda letter: (-counts[letter], letter))
    letters = sorted(ranked[: vocab_size // 4])  # rare letters must not take the room of pieces
    first = [*SPECIAL.values(), *letters, *(f"##{letter}" for letter in letters)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=first, show_progress=False
    )
    draft.train_from_iterator(texts, trainer)
    return dict(draft.get_vocab(with_added_tokens=True))


def _empty(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _train(context: StageContext, vocab_size: int, max_tokens: int) -> PreTrainedTokenizerFast:
    examples = load_split(context, "train")
    vocabulary = learn_pieces([*examples.texts, *(examples.pairs or [])], vocab_size)
    tokenizer = _empty(vocabulary)
    tokenizer.decoder = decoders.WordPiece()
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL.values()}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=max_tokens,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **SPECIAL,
    )
