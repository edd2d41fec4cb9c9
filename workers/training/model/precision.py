"""The number format of the arithmetic in training. Weights are always fp32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from accelerate import Accelerator

from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.model.fitting import require_working
from workers.training.model.loaded import Loaded

Precision = Literal["fp32", "bf16"]


def choose(wanted: Literal["auto", "fp32", "bf16"], device: str) -> Precision:
    """``auto``: bf16 where the device multiplies it faster than fp32, else fp32.

    Those are GPUs from Ampere on, and CPUs with AVX512-BF16 or AMX (a step of a 6 x 384 encoder
    took half the time). Other CPUs emulate bf16, which is slower.
    """
    if wanted != "auto":
        return wanted
    if device == "cuda":
        return "bf16" if torch.cuda.get_device_capability()[0] >= 8 else "fp32"
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if fast else "fp32"


def require(number_format: Precision, accelerator: Accelerator) -> None:
    """Check that training computes in the format that is logged.

    Accelerate takes its format from the environment too, and cuBLAS may use TF32 for fp32.

    Raises:
        JobError: ``precision-mismatch``.
    """
    expected = "no" if number_format == "fp32" else number_format
    active = str(accelerator.mixed_precision)
    if active == expected and accelerator.device.type == "cuda" and number_format == "fp32":
        active = "tf32" if torch.backends.cuda.matmul.allow_tf32 else active
    if active != expected:
        raise JobError(
            "precision-mismatch",
            f"training would compute in {active if active != 'no' else 'fp32'} instead of "
            f"{number_format}; look for ACCELERATE_*, FSDP_* or TF32 settings in the job's "
            "environment",
        )


def autocast(precision: Precision, device: str) -> AbstractContextManager[object]:
    """A context in which operations use the format."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device_type=device, dtype=torch.bfloat16)


def number_type(device: str, usual: torch.dtype) -> torch.dtype:
    """The type in which a product is computed here: that of ``autocast``, or the usual one."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else usual


def usable(
    number_format: Precision,
    wanted: Literal["auto", "fp32", "bf16"],
    loaded: Loaded,
    context: StageContext,
) -> Precision:
    """The format if the model's code can compute in it, else fp32 with ``auto``.

    Raises:
        JobError: ``precision-not-possible`` where the job names the format.
    """
    if number_format == "fp32":
        return number_format
    device = context.job.device
    try:
        with autocast(number_format, device):
            require_working(loaded.model, loaded.tokenizer, training=True)
    except JobError as error:
        if wanted != "auto":
            raise JobError(
                "precision-not-possible",
                f"in {number_format}, {error.message}; use precision: fp32",
                f"{context.field}.precision",
            ) from error
        context.reporter.log(f"the model's code cannot compute in {number_format}: fp32 instead")
        return "fp32"
    return number_format
