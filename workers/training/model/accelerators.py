"""Checks that torch can use the devices of a job."""

from __future__ import annotations

import torch

from pricetag.tag.figures import counted
from workers.job.request import JobError


def require(gpus: int) -> None:
    """Reject a job whose devices torch cannot use: it must not train on the CPU unnoticed.

    Raises:
        JobError: ``no-accelerator``.
    """
    usable = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if usable >= gpus:
        return
    reason = (
        "it was built without CUDA"
        if torch.version.cuda is None
        else f"it was built for CUDA {torch.version.cuda}; see the worker's driver"
    )
    raise JobError(
        "no-accelerator",
        f"the run has {counted(gpus, 'GPU')}, but torch {torch.__version__} on this worker can use "
        f"{usable}: {reason}",
        "resources.gpus",
    )
