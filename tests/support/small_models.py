"""The configuration of a model that trains in seconds, for tests with real processes."""

from __future__ import annotations

CONFIG = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 400,
    "max_position_embeddings": 48,
}
