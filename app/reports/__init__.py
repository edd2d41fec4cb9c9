"""Reports: one context from price tags, rendered in six formats."""

from app.reports.context import build_context
from app.reports.glue_context import NoScoresError, glue_context
from app.reports.render import FORMATS, render
from app.reports.rendered import Rendered
from app.reports.shape import Context, Format, Profile

__all__ = [
    "FORMATS",
    "Context",
    "Format",
    "NoScoresError",
    "Profile",
    "Rendered",
    "build_context",
    "glue_context",
    "render",
]
