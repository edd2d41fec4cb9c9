"""Settings that must stand before torch is loaded: no bars, no network, no busy waiting."""

from __future__ import annotations

import os


def settle(allow_hub: bool) -> None:
    """Call before the first import of torch; without the hub nothing goes out."""
    # Threads that wait must sleep: spinning ones burn energy for nothing, and on a machine
    # that others use they took the processor from the very thread they waited for (a step
    # of a 6 x 384 encoder took ten times as long). Read when torch is loaded, so before it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if not allow_hub:
        os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
