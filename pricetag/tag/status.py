"""Statuses in words: the API and stored documents have ``cancelled``, texts say "canceled"."""

from __future__ import annotations

STORED, SHOWN = "cancelled", "canceled"


def status_text(status: str) -> str:
    """A status of a run, attempt, stage, study or trial as texts and tables show it."""
    return SHOWN if status == STORED else status


def status_value(word: str) -> str:
    """The API's name of a status that somebody typed, in either spelling."""
    return STORED if word == SHOWN else word
