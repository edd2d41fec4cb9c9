"""The stylesheet: its size, and that each of its classes is on some page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.web.assets import Assets

WEB = Path(__file__).parents[3] / "app/web"
NAME = "pricetag.css"
MOST_BYTES = 6000
"""Maximum size in gzip, as it is sent."""

DRAWN_BY_LIBRARIES = {"u-select", "visible"}
"""Classes that uPlot and Vega set."""

MADE_OF_VALUES = {
    **dict.fromkeys(("running", "succeeded", "failed", "queued", "cancelled"), "status-{"),
    **dict.fromkeys(("ok", "differs"), "check-{{"),
    **dict.fromkeys(("used", "idle", "unmetered"), "strip-"),
    **dict.fromkeys(("1", "2", "4", "10"), "series-{{"),
    "bad": "crossing-{{",
}
"""Ends of classes that a template makes of a value, and how it begins there."""


def rules() -> str:
    text = (WEB / "static" / NAME).read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def test_the_stylesheet_is_small() -> None:
    compressed = Assets().files[NAME].compressed
    assert compressed is not None
    assert len(compressed) <= MOST_BYTES


def classes() -> list[str]:
    selectors = re.findall(r"([^{};]+)\{", rules())
    return sorted({name for text in selectors for name in re.findall(r"\.([a-z][\w-]*)", text)})


@pytest.fixture(scope="module")
def written() -> str:
    """All templates and scripts, and the parts of pages that are functions."""
    paths = [*WEB.rglob("*.html"), *(WEB / "static/js").glob("*.js"), WEB / "elements.py"]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


@pytest.mark.parametrize("name", classes())
def test_every_class_of_the_stylesheet_is_on_a_page(name: str, written: str) -> None:
    if name in DRAWN_BY_LIBRARIES:
        return
    stem, _, end = name.rpartition("-")
    made = MADE_OF_VALUES.get(end)
    if made is not None and made.startswith(f"{stem}-"):
        assert made in written
        return
    assert re.search(rf"[\"' ]{re.escape(name)}[\"' ]", written), name


def test_no_selector_has_two_blocks_in_one_layer() -> None:
    """What is said twice of one thing belongs together; a media query may say it again."""
    for layer in re.split(r"@layer ", rules())[1:]:
        plain = re.sub(r"@media[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", layer)
        heads = [" ".join(head.split()) for head in re.findall(r"([^{};]+)\{", plain)]
        assert len(heads) == len(set(heads)), sorted({h for h in heads if heads.count(h) > 1})
