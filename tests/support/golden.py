"""Issued price tags: of each accounting version, and of real runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "data" / "price_tags"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def issued(name: str) -> dict[str, Any]:
    """``{content, content_sha256}`` as a database had it."""
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return document


def content(name: str) -> dict[str, Any]:
    """The price tag itself."""
    return dict(issued(name)["content"])
