"""JSON: the report's context, for other programs."""

from __future__ import annotations

import json

from app.reports.shape import Context

MEDIA_TYPE = "application/json"


def render(context: Context) -> bytes:
    """The whole context; unknown figures are null, with a reason."""
    return (json.dumps(context, indent=2, sort_keys=True, allow_nan=False) + "\n").encode("ascii")
