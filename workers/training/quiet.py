"""Settings that must stand before transformers is used: no bars, no network, no threads race."""

from __future__ import annotations

import os


def settle(allow_hub: bool) -> None:
    """Call before the first import of transformers; without the hub nothing goes out."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if not allow_hub:
        os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
