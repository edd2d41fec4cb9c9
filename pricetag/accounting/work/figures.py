"""The operations of a stage or a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.quantity.record import Record, Since


@dataclass(frozen=True, slots=True)
class FlopsTag(Record):
    """Floating-point operations: of the dense network, times density, and low-bit ones apart."""

    dense: Annotated[Quantity, "Operations of the dense network."]
    effective: Annotated[Quantity, "Times the density of its weights."]
    low_bit: Annotated[Quantity, "In integers of 8 bits or fewer, counted apart."]
    mfu_ratio: Annotated[
        Quantity, "Dense operations over the accelerators' dense 16-bit peak.", Since(2)
    ]
    flops_per_joule: Annotated[Quantity, "Dense operations per joule of IT energy.", Since(2)]
    methods: Annotated[tuple[str, ...], "How they were counted.", Since(2)] = ()
    uncounted: Annotated[
        tuple[str, ...], "Operators and stages that are not counted.", Since(2)
    ] = ()
