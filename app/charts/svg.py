"""An accessible SVG: role, title and description of its root."""

from __future__ import annotations

import re
from html import escape

_ROOT = re.compile(r"<svg\b([^>]*)>")
_ROLE = re.compile(r'\s(?:role|aria-[a-z]+)="[^"]*"')


def described(svg: str, *, title: str, description: str, key: str) -> str:
    """The SVG with role, title and description.

    Args:
        svg: As Vega drew it.
        title: Title of the chart.
        description: What it shows, in a sentence.
        key: Makes the id of the description unique among the pictures of a page.

    Raises:
        ValueError: If the text is not an SVG.
    """
    root = _ROOT.search(svg)
    if root is None:
        raise ValueError("the picture is not an SVG")
    attributes = _ROLE.sub("", root[1])
    head = (
        f'<svg{attributes} role="img" aria-label="{escape(title)}" aria-describedby="d{key}">'
        f"<title>{escape(title)}</title>"
        f'<desc id="d{key}">{escape(description)}</desc>'
    )
    return svg[: root.start()] + head + svg[root.end() :]
