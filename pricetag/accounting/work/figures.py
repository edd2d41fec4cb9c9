"""The FLOPs of a stage or a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.quantity.record import Record, Since


@dataclass(frozen=True, slots=True)
class FlopsTag(Record):
    """Floating-point operations: dense, effective (times density), and low-bit."""

    dense: Annotated[Quantity, "Operations of the dense network."]
    effective: Annotated[Quantity, "Dense operations times the density of the weights."]
    low_bit: Annotated[Quantity, "Operations on integers of 8 bits or fewer, counted separately."]
    mfu_ratio: Annotated[
        Quantity, "Dense operations over the accelerators' dense 16-bit peak.", Since(2)
    ]
    flops_per_joule: Annotated[Quantity, "Dense operations per joule of IT energy.", Since(2)]
    methods: Annotated[tuple[str, ...], "How the operations were counted.", Since(2)] = ()
    uncounted: Annotated[
        tuple[str, ...], "Operators and stages that were not counted.", Since(2)
    ] = ()
