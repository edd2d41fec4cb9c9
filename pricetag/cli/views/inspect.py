"""A model's parts on the terminal, as table and chart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.tables import new_table

if TYPE_CHECKING:
    from rich.console import RenderableType

NAMES = {
    "embedding": "embedding",
    "attention": "attention",
    "feed_forward": "feed-forward",
    "head": "head",
}
FIGURES = (("parameters", 1e6), ("flops", 1e9), ("size_bytes", 1e6))
BAR = 20


def inspect_view(figures: Mapping[str, Any]) -> Iterator[str | RenderableType]:
    """The parts with their shares, memory, and what each method could save."""
    yield f"{figures['model']} ({figures['model_type']}), a text of {figures['length']} tokens"
    yield _parts(figures["parts"], figures["total"])
    yield _chart(figures["parts"], figures["total"])
    yield (
        f"Memory: {_scaled(figures['total']['size_bytes'], 1e6)} MB of weights as stored; "
        f"{_scaled(figures['training_bytes'], 1e6)} MB for training in fp32 with AdamW, without "
        "activations."
    )
    if figures["exits"]:
        yield "Early exits: the FLOPs above are those of an example that computes all layers."
        yield _exits(figures["exits"], figures["total"]["flops"])
    if figures["savings"]:
        yield "Size after each method, computed from the shapes; quality is not considered:"
        yield _savings(figures["savings"], figures["total"])
        for saving in figures["savings"]:
            if saving["note"]:
                yield f"{saving['method']}: {saving['note']}."
    else:
        yield "What methods could save is shown for plain BERT models only."


def _parts(parts: Mapping[str, Any], total: Mapping[str, Any]) -> RenderableType:
    table = new_table("Part", ">parameters (M)", ">FLOPs (G)", ">stored (MB)")
    for name, part in parts.items():
        table.add_row(NAMES[name], *(_scaled(part[key], unit) for key, unit in FIGURES))
    table.add_row("total", *(_scaled(total[key], unit) for key, unit in FIGURES))
    return table


def _chart(parts: Mapping[str, Any], total: Mapping[str, Any]) -> RenderableType:
    table = new_table("Share", ">parameters", "", ">FLOPs", "")
    for name, part in parts.items():
        cells = []
        for key, _ in FIGURES[:2]:
            share = part[key] / total[key] if total[key] else 0.0
            cells += [f"{share:.1%}", "━" * round(share * BAR)]
        table.add_row(NAMES[name], *cells)
    return table


def _exits(exits: Sequence[Mapping[str, Any]], total_flops: int) -> RenderableType:
    table = new_table("Leaves after layer", ">FLOPs (G)", ">share")
    for each in exits:
        share = f"{each['flops'] / total_flops:.1%}"
        table.add_row(str(each["layer"]), _scaled(each["flops"], 1e9), share)
    return table


def _savings(savings: Sequence[Mapping[str, Any]], total: Mapping[str, Any]) -> RenderableType:
    table = new_table("Stage", ">parameters", ">stored", ">FLOPs")
    for saving in savings:
        shares = (
            saving["parameters"] / total["parameters"],
            saving["size_bytes"] / total["size_bytes"],
            saving["flops"] / total["flops"],
        )
        table.add_row(saving["method"], *(f"{share:.1%}" for share in shares))
    return table


def _scaled(value: int, unit: float) -> str:
    scaled = value / unit
    return f"{scaled:,.1f}" if scaled >= 100 else f"{scaled:.3g}"
