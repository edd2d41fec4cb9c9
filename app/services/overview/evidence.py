"""The evidence behind sums."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from pricetag.accounting.quantity.quantity import Source, weakest


def evidence(sources: Collection[str]) -> Source:
    """The weakest of some kinds of evidence; `estimated` if all attempts are running.

    The use of running attempts is computed from their latest readings, and booked when they end.
    """
    return weakest(*cast(list[Source], list(sources))) if sources else "estimated"
