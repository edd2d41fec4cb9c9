"""How the UUIDs of AMD's devices differ from NVIDIA's."""

from __future__ import annotations

AMD_PREFIX = "AMD-"
"""Prefix that distinguishes UUIDs of AMD devices from NVIDIA's."""


def is_amd(uuid: str) -> bool:
    """Whether a UUID is that of an AMD device."""
    return uuid.startswith(AMD_PREFIX)
