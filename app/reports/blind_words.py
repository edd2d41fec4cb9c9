"""What stays in the variant for blind review: numbers, and the texts listed here.

A text that is not listed, of no listed form, and not a name with a pseudonym, is withheld. So a
text that nobody has thought of cannot name anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_args

from pricetag import catalog
from pricetag.accounting.document.records import SCHEMA, PriceTag
from pricetag.accounting.quantity.quantity import SOURCES, Quantity
from pricetag.accounting.quantity.record import NOT_RECORDED, members
from pricetag.recipes.registry import REGISTRY
from pricetag.tag.flags import FLAGS, QUIET
from pricetag.tag.glue.rows import NOT_MADE, NOT_MEASURED
from pricetag.tag.glue.scores import NOT_EVALUATED
from pricetag.tag.scores import SCORES
from pricetag.tag.view import LATE, REPRICED

WITHHELD = "withheld"
"""In place of a text that does not stay."""

UNITS = frozenset(
    {
        *("1", "s", "ms", "h", "J", "W", "kWh", "kg", "g", "lb", "l", "bytes", "B", "1/s", "%"),
        *("g/kWh", "l/kWh", "kg/kWh", "FLOP", "FLOP/s", "FLOP/J", "money"),
    }
)
STATUSES = frozenset(
    {
        *("queued", "running", "succeeded", "failed", "cancelled", "interrupted", "lost"),
        *("reused", "budget-exceeded", "disk-full", "out-of-memory", "time-limit"),
        *(LATE, REPRICED),
    }
)
STAGES = frozenset({*REGISTRY, "inference", "epoch", "round", "rung"})
"""Kinds of stages, and of parts of them."""

WORDS = frozenset(
    {
        *(SCHEMA, *SOURCES, *UNITS, *STATUSES, *FLAGS, *QUIET, *STAGES),
        *("gpu", "cpu", "ram", "host", "server", "stage", "edge_aligned"),
        *("validation", "test", "macro", "micro", "weighted", "binary"),
        *("development", "tuning", "final", "ablation"),
        *("closed_form", "counter_mode", "reported", "codecarbon"),
        *("owned hardware and electricity", "owned hardware without electricity"),
        *("cloud", "electricity alone", "Linux", "Darwin", "Windows"),
    }
)
"""Words of Pricetag's own vocabulary."""

METRICS = frozenset(
    {
        *SCORES,
        *("loss", "parameters", "nonzero_parameters", "model_bytes", "inferences", "density"),
        *("throughput_per_s", "examples", "tokens", "steps", "threshold", "batch_size"),
    }
)
PACKAGES = frozenset(
    {
        *("accelerate", "bitsandbytes", "codecarbon", "datasets", "numpy", "optuna", "pandas"),
        *("pricetag", "safetensors", "scikit-learn", "scipy", "tokenizers", "torch", "torchao"),
        *("transformers",),
    }
)
"""Packages whose versions stay."""

TERMS = frozenset(
    {
        *("PUE", "carbon intensity", "edges of the counters", "range of the cloud's prices"),
        *("price of electricity", "tariff", "idle power", "unread end", "water"),
    }
)
CAUSES = frozenset(
    {
        *("pue-applied", "missing-there", "missing-here", "remainder", "share-of-the-machine"),
        *("duration", "meter-against-theirs", "ram-model", "same-model"),
    }
)
REASONS = frozenset(
    {
        NOT_RECORDED,
        NOT_EVALUATED,
        NOT_MADE,
        NOT_MEASURED,
        "not defined",
        "a quote has no such figure",
        "device-hours at the low and at the high price; the value is half-way",
        "it has no price tag: no attempt of it has ended",
        "it had no price tag when the paper was frozen",
        "it never ended",
        "no component was metered",
        "no accelerator was reserved, and no other peak is known",
        "no accelerator was reserved, and prices are per accelerator",
        "no electricity tariff is configured",
        "no embodied emissions of this hardware are known",
        "no grid zone is configured",
        "no hardware with known embodied emissions was reserved",
        "no hourly carbon intensity is known for the site",
        "no idle baseline is known",
        "no market-based figure of the site's contracts is known",
        "no market-based intensity of the site's contracts is entered",
        "no operations were counted",
        "no price is known",
        "no price of a device-hour is known for this hardware",
        "no stage counted them",
        "no water intensity of the electricity is known",
        "no water usage effectiveness of the site and no water intensity of the electricity is "
        "known",
        "nothing was metered in this time",
        "both are a constant by memory modules, times or divided by two",
        "both are one model of load, seen over other stretches of time",
        "both are a constant per memory module, uncertain by a factor of two",
        "both use the same model of the load, over different periods",
        "ours is a hardware counter, theirs a constant by memory size",
        "ours is a hardware counter, theirs a constant that depends on the memory size",
        "ours is metered; theirs is read more seldom, or modelled",
        "ours is metered; theirs is read less often, or modelled",
        "our figure is zero",
        "the devices used nothing",
        "the embodied part is unknown: no embodied emissions of this hardware are known",
        "the energy is unknown",
        "the energy may be zero",
        "the energy of the whole device was not kept",
        "the metered time is zero",
        "the site has no price of its own for this hardware",
        "the time is unknown or zero",
        "the total is zero",
        "there is nothing to add",
        "there was no attempt",
        "there was no time to meter",
    }
)
"""Why a figure is unknown, or a remark on it."""

BEGINNINGS = {
    "a lower bound, not counted: ": "a lower bound: some operations were not counted",
    "not counted: ": "some operations were not counted",
    "the peak of ": "the peak of the accelerator is not in the catalog",
}
"""Beginnings of remarks that contain names, and the words in their place."""

PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)",  # a time
        r"\d{1,4}(\.\d{1,4}){0,3}",  # a version
        r"latency_p\d\d_batch_\d{1,6}_s|latency_(calls|tokens|threads)",
        r"[A-Z]{3}(/h|/kWh|/unit)?",  # money, and prices
        r"\d{1,6} [KMGT]i?B",  # memory
        r"(nvml|amdsmi)_error_\d{1,4}",
        r"power model of (cpu|ram|host)",
    )
)
HARDWARE = re.compile(
    r"(\d+ ?x )?(NVIDIA|Tesla|Quadro|GeForce|AMD|Radeon|Instinct|Intel|Xeon|Genuine Intel|ARM|Apple"
    r"|Ampere|Google TPU|TPU|Neoverse|Cortex|AWS Graviton|QEMU|KVM)[\w()@./+ -]{0,60}"
)
"""Names of products begin with those of their makers."""


@cache
def cited_texts() -> frozenset[str]:
    """Citations, zones, licenses and product names of the catalog."""
    lists: tuple[Any, ...] = (
        *(catalog.grid_factors(), catalog.grid_regions(), catalog.pues(), catalog.waters()),
        *(catalog.prices(), catalog.embodied_factors(), catalog.lifetimes()),
        *(catalog.accelerators(), catalog.equivalents(), catalog.published()),
    )
    texts = {text for rows in lists for row in rows for text in _texts(row)}
    texts |= {
        row.as_factor().citation for row in (*catalog.grid_factors(), *catalog.grid_regions())
    }
    profile = catalog.profile("strubell2019")
    return frozenset(texts | set(_texts(profile)) | set(catalog.currency_codes()))


def _texts(row: Any) -> Iterator[str]:
    if isinstance(row, str):
        yield row
    elif is_dataclass(row):
        for item in fields(row):
            yield from _texts(getattr(row, item.name))


@cache
def member_names() -> frozenset[str]:
    """Names of the members of a price tag's JSON."""
    names: set[str] = {"cause", "newest_version", "code", "message"}
    _collect(PriceTag, names, set())
    _collect(Quantity, names, set())
    return frozenset(names)


def _collect(hint: Any, names: set[str], seen: set[Any]) -> None:
    for part in get_args(hint):
        _collect(part, names, seen)
    if isinstance(hint, type) and is_dataclass(hint) and hint not in seen:
        seen.add(hint)
        for member in members(hint):
            names.add(member.name)
            _collect(member.hint, names, seen)


def stays(text: str) -> bool:
    """Whether a text stays as it is."""
    return (
        text in WORDS
        or text in METRICS
        or text in TERMS
        or text in CAUSES
        or text in REASONS
        or text in cited_texts()
        or any(pattern.fullmatch(text) for pattern in PATTERNS)
    )


def remark(text: str) -> str:
    """A remark on a figure; one with names is said without them."""
    if stays(text):
        return text
    for beginning, words in BEGINNINGS.items():
        if text.startswith(beginning):
            return words
    if all(stays(part) for part in text.split("; ")):
        return text
    _, separator, rest = text.partition(": ")
    return rest if separator and stays(rest) else f"the reason is {WITHHELD}"


def hardware(name: str) -> str:
    """The name of a product."""
    return name if stays(name) or HARDWARE.fullmatch(name) else WITHHELD
