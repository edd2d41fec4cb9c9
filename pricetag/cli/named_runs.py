"""Runs as the user named them, for error messages: ``last`` or a prefix instead of an ID alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SHOWN_CHARACTERS = 8
"""Number of characters of an ID beside the name that the user typed."""

_names: ContextVar[dict[str, list[str]] | None] = ContextVar("_names", default=None)


@contextmanager
def remembering() -> Iterator[None]:
    """Remembers, until the end of the block, what the user typed for each run."""
    token = _names.set({})
    try:
        yield
    finally:
        _names.reset(token)


def remember(run_id: str, typed: str) -> None:
    """Notes what the user typed for a run."""
    names = _names.get()
    if names is not None and typed not in names.setdefault(run_id, []):
        names[run_id].append(typed)


def as_typed(text: str) -> str:
    """A message with ``'last' (6f0c0d0e)`` for the ID of a run that the user named otherwise."""
    for run_id, names in (_names.get() or {}).items():
        typed = ", ".join(f"'{name}'" for name in names)
        text = text.replace(run_id, f"{typed} ({run_id[:SHOWN_CHARACTERS]})")
    return text
