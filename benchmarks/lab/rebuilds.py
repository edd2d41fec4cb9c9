"""What the service derives from the rows and COPY does not bring: each is made by its own code.

Whoever adds a table of sums, balances or thinned series adds the function that rebuilds it
here; the benchmark computes none of them itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rebuild:
    """One derived part of the database.

    Attributes:
        name: For the progress of a fill.
        run: Makes it from the rows that are there; gets the URL of the database.
    """

    name: str
    run: Callable[[str], None]


REBUILDS: list[Rebuild] = []
