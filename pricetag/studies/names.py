"""Names of the fields that vary."""

from __future__ import annotations


def label_of(path: str) -> str:
    """The name of a field for people: its last part, with the part before an index."""
    parts = path.split(".")
    return ".".join(parts[-2:]) if parts[-1].isdecimal() else parts[-1]
