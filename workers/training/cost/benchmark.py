"""Time and memory of a model in use."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from pricetag.repetition import repeat_for
from workers.job.context import StageContext
from workers.training.model.loaded import Loaded

WARM_UP_CALLS = 5
LATENCY_CALLS = 30
LATENCY_SECONDS = 2.0


@dataclass(frozen=True)
class Latency:
    """Seconds of one call at a batch size."""

    p50_s: float
    p95_s: float
    calls: int


def latency(call: Callable[[], object]) -> Latency:
    """Time calls after a warm-up: 30, or as many as fit into two seconds, but at least 10."""
    for _ in range(WARM_UP_CALLS):
        call()
    times: list[float] = []
    deadline = time.perf_counter() + LATENCY_SECONDS
    while len(times) < 10 or (len(times) < LATENCY_CALLS and time.perf_counter() < deadline):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    p50_s, p95_s = torch.quantile(
        torch.tensor(times, dtype=torch.float64), torch.tensor([0.5, 0.95], dtype=torch.float64)
    ).tolist()
    return Latency(p50_s, p95_s, len(times))


def inference_call(
    loaded: Loaded, batch_size: int, length: int, device: torch.device
) -> Callable[[], object]:
    """A forward pass on seeded token numbers that returns when the device has finished."""
    generator = torch.Generator().manual_seed(0)
    vocabulary = int(getattr(loaded.model.config, "vocab_size", len(loaded.tokenizer)))
    ids = torch.randint(0, vocabulary, (batch_size, length), generator=generator)
    if loaded.model.config.is_encoder_decoder:
        _end_once(ids, loaded.model.config.eos_token_id)
    ids = ids.to(device)
    mask = torch.ones_like(ids)
    model: nn.Module = loaded.model
    model.to(device).train(False)

    def call() -> object:
        with torch.inference_mode():
            outputs = model(input_ids=ids, attention_mask=mask)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return outputs

    return call


def _end_once(ids: torch.Tensor, end: int | None) -> None:
    """Set the last token of every row of random tokens to an end of text."""
    if end is not None:
        ids[ids == end] = end - 1 if end else 1
        ids[:, -1] = end


def repeat(
    context: StageContext, call: Callable[[], object], batch_size: int, min_seconds: float
) -> tuple[int, float]:
    """Call for at least ``min_seconds``; returns inferences (examples) and seconds."""

    def report(calls: int, elapsed_s: float) -> None:
        text = f"{calls * batch_size} inferences"
        context.reporter.progress(elapsed_s, min_seconds, "s", text)
        context.stop_if_asked()

    calls, seconds = repeat_for(call, min_seconds, report)
    return calls * batch_size, seconds


def peak_memory_bytes(device: torch.device) -> int:
    """The peak of the device's allocated memory, in bytes; on the CPU that of the process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
