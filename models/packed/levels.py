"""Segments of 8, 64, 512 and 4,096 steps, so that a chart reads no more than it shows."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from models.packed.codec import DamagedReadingsError
from models.packed.steps import COLUMNS, Segments

FACTORS = (8, 64, 512, 4096)
"""Steps in a segment of each level."""

DEFLATED = 8
"""The level that is large enough to be worth deflating."""

_ROW_BYTES = 8 * COLUMNS


def levels(steps: Segments) -> dict[int, bytes | None]:
    """Each level of a block's steps in its stored form; None if it would have a single segment."""
    stored: dict[int, bytes | None] = {}
    for factor in FACTORS:
        has_level = len(steps) >= factor and len(steps) > FACTORS[0]
        stored[factor] = _encoded(factor, steps.every(factor)) if has_level else None
    return stored


def _encoded(factor: int, segments: Segments) -> bytes:
    raw = np.ascontiguousarray(segments.matrix().astype("<f8"))
    if factor != DEFLATED:
        return raw.tobytes()
    return zlib.compress(raw.view(np.uint8).reshape(len(raw), _ROW_BYTES).T.tobytes(), 6)


def decoded(factor: int, parts: Sequence[bytes]) -> Segments:
    """The segments of consecutive blocks at one level.

    Raises:
        DamagedReadingsError: If the bytes are not those of segments.
    """
    try:
        raw = b"".join(map(_inflated, parts) if factor == DEFLATED else parts)
        return Segments.of_matrix(np.frombuffer(raw, dtype="<f8").reshape(-1, COLUMNS))
    except (zlib.error, ValueError) as error:
        raise DamagedReadingsError(f"the level of {factor} steps is damaged ({error})") from error


def _inflated(part: bytes) -> bytes:
    shuffled = np.frombuffer(zlib.decompress(part), dtype=np.uint8).reshape(_ROW_BYTES, -1)
    return shuffled.T.tobytes()
