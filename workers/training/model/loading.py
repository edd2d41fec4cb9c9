"""Errors of broken model and tokenizer folders, raised as the job's own error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workers.job.request import JobError

MAX_MESSAGE_CHARS = 500


@contextmanager
def loading(name: str, field: str) -> Iterator[None]:
    """Turn all errors of the libraries into ``bad-model``, except those of full memory.

    Raises:
        JobError: ``bad-model``.
    """
    try:
        yield
    except (JobError, MemoryError):
        raise
    except Exception as error:  # a damaged file raises KeyError, TypeError, their own classes...
        if _is_out_of_memory(error):
            raise
        text = str(error)[:MAX_MESSAGE_CHARS] or type(error).__name__
        raise JobError("bad-model", f"{name} cannot be loaded: {text}", field) from error


def _is_out_of_memory(error: Exception) -> bool:
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
