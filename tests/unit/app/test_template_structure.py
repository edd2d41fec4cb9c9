"""Templates keep their structure whatever figures hold: one without a value is a block."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.web.rendering import TEMPLATES

FIGURES = re.compile(
    r"\{\{-?\s*(?:ui|parts|live)\.(?:figure|optional|chart|empty|scroller|message)\("
)
BLOCKS = re.compile(r"\{%-?\s*call\s+(?:ui|parts)\.(?:scroller|empty|chart_frame)\(")
BRANCH = re.compile(r"\{%-?\s*(if|elif|else|endif|for|endfor|macro|endmacro)\b.*?%\}", re.S)
PHRASING = {"p", "h1", "h2", "h3", "h4", "a", "label", "button", "summary", "data", "code", "time"}
VOID = {"br", "img", "input", "link", "meta", "source", "wbr", "hr"}
MARK = "a-block"


class Walk(HTMLParser):
    """Elements that hold phrases alone, and in which a template puts a block."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in (MARK, "details", "pre", "div", "dl", "ul", "table", "form"):
            inside = [name for name in self.open if name in PHRASING]
            if inside and not (tag == "details" and inside == ["label"]):
                self.wrong.append(f"line {self.getpos()[0]}: {tag} in {inside[-1]}")
        if tag not in VOID and tag != MARK:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass


def wrong_in(source: str) -> list[str]:
    """Lines of a template in which a block is inside what holds phrases alone."""
    text = re.sub(r"\{#.*?#\}", lambda match: "\n" * match[0].count("\n"), source, flags=re.S)
    text = BLOCKS.sub(f"<{MARK}>{{%", FIGURES.sub(f"<{MARK}>{{{{", text))
    text = re.sub(
        r"\{\{.*?\}\}|\{%.*?%\}", lambda match: "\n" * match[0].count("\n"), text, flags=re.S
    )
    walk = Walk()
    walk.feed(text)
    walk.close()
    return walk.wrong


@pytest.mark.parametrize(
    "path",
    sorted(TEMPLATES.rglob("*.html")),
    ids=lambda path: path.relative_to(TEMPLATES).as_posix(),
)
def test_a_figure_that_may_be_unknown_is_not_within_a_phrase(path: Path) -> None:
    assert wrong_in(path.read_text(encoding="utf-8")) == []


def test_the_test_notices_a_figure_in_a_paragraph() -> None:
    assert wrong_in("<p>Used {{ ui.figure(view) }}</p>") == ["line 1: a-block in p"]
    assert wrong_in("<p>\n{% call ui.scroller('x') %}{% endcall %}</p>") == ["line 2: a-block in p"]
    assert wrong_in("<div>Used {{ ui.figure(view) }}</div><p>{{ text }}</p>") == []
