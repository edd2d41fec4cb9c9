"""The evidence behind sums."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from pricetag.accounting.quantity.quantity import Source, weakest


def evidence(sources: Collection[str]) -> Source:
    """The weakest of some kinds of evidence; of running attempts alone, `estimated`.

    What running attempts have used so far is computed from their latest readings, and is booked
    when they end.
    """
    return weakest(*cast(list[Source], list(sources))) if sources else "estimated"
