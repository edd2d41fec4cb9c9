"""Ranks at which two factors have fewer weights than the matrix that they replace."""

from __future__ import annotations

from pricetag.accounting.quantity.checks import require_count


def largest_rank(inputs: int, outputs: int) -> int:
    """The largest rank r with r * (inputs + outputs) < inputs * outputs; 0 if there is none.

    Args:
        inputs: Columns of the matrix.
        outputs: Rows of the matrix.

    Source: Eckart and Young 1936, doi:10.1007/BF02288367 (the factors); the count is arithmetic.
    """
    columns, rows = require_count("inputs", inputs), require_count("outputs", outputs)
    return (columns * rows - 1) // (columns + rows)
