"""Logs as one JSON object per line, with the IDs of what a line is about.

``about`` states the IDs for everything that is logged in a block, in tasks that begin in it, too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_ids: ContextVar[dict[str, str] | None] = ContextVar("pricetag log ids", default=None)


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """Adds IDs to every line that is logged in the block: ``about(run_id=run.id)``."""
    token = _ids.set({**current(), **{name: str(value) for name, value in ids.items()}})
    try:
        yield
    finally:
        _ids.reset(token)


def current() -> dict[str, str]:
    """The IDs of the block that runs now."""
    return _ids.get() or {}


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time (UTC), level, logger, message, IDs, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line break."""
        line: dict[str, str] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **current(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def formatter(log_format: str, text_format: str) -> logging.Formatter:
    """The formatter of a service's log.

    Args:
        log_format: ``json`` or ``text``.
        text_format: The form of a line of text.
    """
    return JsonFormatter() if log_format == "json" else logging.Formatter(text_format)
