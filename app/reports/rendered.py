"""A report in one format, ready to send or to write."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rendered:
    """A report's bytes, with media type and file name."""

    content: bytes
    media_type: str
    filename: str
