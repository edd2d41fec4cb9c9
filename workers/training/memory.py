"""Memory of the process in training: what one step frees, the next one uses again."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT = {M_TRIM_THRESHOLD: 2**31 - 1, M_MMAP_THRESHOLD: 2**30}
# The largest values to which glibc raises its own limits (DEFAULT_MMAP_THRESHOLD_MAX).
RETURNED = {M_TRIM_THRESHOLD: 2 * 2**25, M_MMAP_THRESHOLD: 2**25}


@contextmanager
def kept_between_steps() -> Iterator[None]:
    """Let the allocator keep freed memory for the next step, instead of returning it at once.

    glibc returns every block of more than 32 MiB to the kernel, such as the gradient of a table
    of tokens, and clears its pages when they are used again: 12% of a step of a 6 x 384 encoder
    on a CPU. Numbers do not depend on it. Afterwards free memory is returned. Nothing is done
    where the C library is not glibc.
    """
    allocator = _glibc()
    if allocator is None:
        yield
        return
    mallopt, malloc_trim = allocator
    try:
        for option, value in KEPT.items():
            mallopt(option, value)
        yield
    finally:
        for option, value in RETURNED.items():
            mallopt(option, value)
        malloc_trim(0)


def _glibc() -> tuple[Callable[[int, int], int], Callable[[int], int]] | None:
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return None
    return library.mallopt, library.malloc_trim
