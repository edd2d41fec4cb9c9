"""Whether the structure of a page is the one that its source shows: a strict reading of HTML."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = frozenset(
    ("area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "details", "dialog", "div", "dl"),
        *("fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "main", "menu", "nav", "ol", "p", "pre"),
        *("search", "section", "table", "ul"),
    )
)
ALONE = ("a", "button", "form", "label")
"""Elements that do not hold another one of their kind."""


class Structure(HTMLParser):
    """Reads a page, and collects where a browser would turn it into other elements."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.wrong: list[str] = []

    def _says(self, text: str) -> None:
        self.wrong.append(f"line {self.getpos()[0]}: {text}")

    def _begins(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in BLOCKS and "p" in self.open:
            self._says(f"<{tag}> ends the <p> around it")
        if tag in ALONE and tag in self.open:
            self._says(f"<{tag}> in <{tag}>")
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self._says(f"<{tag}> has an attribute twice")
        for name, value in attrs:
            if name == "id":
                if value in self.ids:
                    self._says(f"the id {value!r} twice")
                self.ids.add(str(value))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._begins(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._begins(tag, attrs)
        if tag not in VOID and "svg" not in self.open:
            self._says(f"<{tag}/> is not closed by its slash")

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
            return
        self._says(f"</{tag}> where <{self.open[-1] if self.open else 'nothing'}> is open")
        if tag in self.open:
            while self.open.pop() != tag:
                pass


def wrong_structure(text: str) -> list[str]:
    """Where a page is not what its source shows, by line; empty if it is."""
    reader = Structure()
    reader.feed(text)
    reader.close()
    return reader.wrong + [f"<{tag}> is never closed" for tag in reader.open]
