"""What a broken folder of a model or a tokenizer raises, told as the job's own error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workers.job.request import JobError

MOST_CHARS = 500


@contextmanager
def loading(what: str, field: str) -> Iterator[None]:
    """Turns whatever the libraries raise into ``bad-model``; memory that is full stays itself.

    Raises:
        JobError: ``bad-model``.
    """
    try:
        yield
    except (JobError, MemoryError):
        raise
    except Exception as error:  # a damaged file ends as KeyError, TypeError, their own classes...
        if _is_out_of_memory(error):
            raise
        text = str(error)[:MOST_CHARS] or type(error).__name__
        raise JobError("bad-model", f"{what} cannot be loaded: {text}", field) from error


def _is_out_of_memory(error: Exception) -> bool:
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
