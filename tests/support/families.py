"""Tiny configurations of many model families, by the options that each of them has."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from transformers import AutoConfig

from tests.support import tiny_models

_VALUES = {
    1: "n_layer n_layers num_layers num_decoder_layers encoder_layers decoder_layers "
    "num_blocks num_self_attends_per_block",
    2: "n_head n_heads num_heads encoder_attention_heads decoder_attention_heads "
    "num_key_value_heads num_self_attention_heads num_cross_attention_heads",
    8: "d_kv d_head head_dim xpath_unit_hidden_size entity_emb_size",
    16: "embedding_size d_model n_embd dim emb_dim true_hidden_size intra_bottleneck_size "
    "word_embed_proj_dim input_embedding_size output_embedding_size d_latents pooler_hidden_size",
    32: "d_ff encoder_ffn_dim decoder_ffn_dim d_inner hidden_dim dff ffn_dim n_inner",
}
_SMALL: dict[str, Any] = {
    **tiny_models.SIZES,
    **{name: value for value, names in _VALUES.items() for name in names.split()},
    "n_positions": 34,
    "num_latents": 4,
    "entity_vocab_size": 10,
    "rotary_dim": 4,
    "num_hash_functions": 2,
    "block_sizes": [1],
    "axial_pos_shape": [4, 16],
    "axial_pos_embds_dim": [8, 8],
    "attn_layers": ["local"],
    "channel_shrink_ratio": 1,
    "attention_window": [8],
    "attention_types": [[["global"], 1]],
    "attention_layers": ["global"],
    "layer_types": ["full_attention"],
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "languages": ["en_XX"],
    "default_language": "en_XX",
}


def config(family: str, **changes: Any) -> Any:
    """A configuration of a family with a handful of neurons."""
    made = AutoConfig.for_model(family)
    for name, value in {**_SMALL, **changes}.items():
        if hasattr(made, name) or name in changes:
            with suppress(NotImplementedError):  # some are derived from others
                setattr(made, name, value)
    return made
