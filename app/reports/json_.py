"""JSON: the context itself, for other programs."""

from __future__ import annotations

import json

from app.reports.shape import Context

MEDIA_TYPE = "application/json"


def render(context: Context) -> bytes:
    """The whole context; unknown figures are null with their reason beside them."""
    return (json.dumps(context, indent=2, sort_keys=True, allow_nan=False) + "\n").encode("ascii")
