"""The hash of a file of lines that can be continued without reading the lines before.

The chain of no lines is the SHA-256 of nothing; that of one line more is the SHA-256 of the chain
so far (32 bytes) and the line without its end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

NO_LINES = hashlib.sha256().hexdigest()
"""The chain of an empty file."""


def extended(chain_sha256: str, lines: Iterable[bytes]) -> str:
    """The chain after further lines, in hexadecimal.

    Args:
        chain_sha256: The chain of the lines before, in hexadecimal.
        lines: Lines without their ends.
    """
    chain = bytes.fromhex(chain_sha256)
    for line in lines:
        chain = hashlib.sha256(chain + line).digest()
    return chain.hex()
