"""The conditions of the latencies in a table of variants: batch, tokens, calls, threads, device."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pricetag.tag.variants import (
    LATENCY_CALLS,
    LATENCY_P50,
    LATENCY_THREADS,
    LATENCY_TOKENS,
    ON_ACCELERATOR,
    THROUGHPUT,
    Names,
    Variant,
)
from pricetag.tag.view import TagView

_BATCH = re.compile(r"latency_p\d+_batch_(\d+)_s")
AT_BATCH_1 = LATENCY_P50[0]


def conditions(tag: TagView, variants: Sequence[Variant]) -> list[str]:
    """How the latency and the throughput of a run's variants were measured.

    Args:
        tag: The run's price tag.
        variants: The variants that it measured.

    Returns:
        Sentences; none where no ``measure`` stage measured a latency.
    """
    timed = [variant for variant in variants if AT_BATCH_1 in variant.metrics]
    if not timed:
        return []
    tokens, calls = _range(timed, LATENCY_TOKENS), _range(timed, LATENCY_CALLS)
    of = f" of {tokens} tokens" if tokens else ""
    percentiles = "p50 is the median, p95 the 95th percentile"
    if not calls:
        return [
            f"Latency: of one forward pass of one example{of} (batch size 1); {percentiles}. The "
            "number of calls, the tokens, the threads and the device were not recorded.",
            *_throughput(timed),
        ]
    return [
        f"Latency: of one forward pass of one example{of} (batch size 1), in {calls} calls after a "
        f"warm-up, {_devices(tag, timed)}; {percentiles} of the calls.",
        *_throughput(timed),
    ]


def _throughput(variants: Sequence[Variant]) -> list[str]:
    names = (name for variant in variants for name in variant.metrics)
    batches = [int(match[1]) for name in names if (match := _BATCH.fullmatch(name))]
    if not any(variant.metric(THROUGHPUT) for variant in variants):
        return []
    return [f"Rate: examples per second at batch size {max(batches)}."]


def _devices(tag: TagView, variants: Sequence[Variant]) -> str:
    """``on the CPU with 2 threads``; if variants differ, the device of each."""
    places: dict[str, list[str]] = {}
    for variant in variants:
        places.setdefault(_device(tag, variant), []).append(variant.label)
    most = max(places, key=lambda place: len(places[place]))
    others = [f"{', '.join(labels)} {place}" for place, labels in places.items() if place != most]
    return "; ".join([most, *others])


def _device(tag: TagView, variant: Variant) -> str:
    on_accelerator = variant.metric(ON_ACCELERATOR)
    if on_accelerator is not None and on_accelerator.value:
        return f"on {tag.hardware or 'the accelerator'}"
    threads = _range([variant], LATENCY_THREADS)
    return f"on the CPU with {threads} thread{'' if threads == '1' else 's'}"


def _range(variants: Iterable[Variant], names: Names) -> str:
    """A figure of the variants, ``10 to 30`` where they differ; empty where none has it."""
    metrics = [variant.metric(names) for variant in variants]
    values = [metric.value for metric in metrics if metric is not None and metric.value]
    ends = [min(values), max(values)] if values else []
    return " to ".join(dict.fromkeys(f"{end:,.0f}" for end in ends))
