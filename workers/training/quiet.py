"""Settings before torch is loaded: no progress bars, no network, no busy waiting."""

from __future__ import annotations

import os


def settle(allow_hub: bool) -> None:
    """Apply the settings; to be called before the first import of torch."""
    # Waiting threads must sleep: spinning ones waste energy, and on a shared machine they took
    # the processor from the thread that they waited for (a step of a 6 x 384 encoder took ten
    # times its usual time). torch reads this when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if not allow_hub:
        os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
