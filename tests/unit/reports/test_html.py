from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from hypothesis import given, settings

from app.reports import html
from app.reports.shape import Context
from app.reports.text import clean
from tests.support.report_contexts import context_with
from tests.unit.reports.strategies import names

VOID = {"meta"}


class Reader(HTMLParser):
    """Reads a page as a browser does; knows every element, attribute and piece of text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.append((self._open[-1], data))

    def text_of(self, tag: str) -> list[str]:
        return [data for inside, data in self.texts if inside == tag]


PLAIN = Reader(html.render(context_with("plain")).decode())


@settings(max_examples=100)
@given(names)
def test_a_name_is_rendered_only_as_text(name: str) -> None:
    page = Reader(html.render(context_with(name)).decode())
    assert page.tags == PLAIN.tags
    assert [a[:2] for a in page.attributes] == [a[:2] for a in PLAIN.attributes]
    assert "".join(page.text_of("h1")).split() == clean(name).split()
    assert "".join(page.text_of("caption")).split() == clean(name).split()


def test_the_page_loads_nothing_and_runs_nothing(site: Context) -> None:
    source = html.render(site).decode()
    page = Reader(source)
    assert "script" not in page.tags
    assert not {"link", "img", "iframe", "object"} & set(page.tags)
    assert "url(" not in source
    assert "@import" not in source
    links = [value for _, name, value in page.attributes if name in ("href", "src")]
    assert links
    assert all(value and value.startswith("#") for value in links)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_tables_can_be_read_aloud_and_scrolled_by_keyboard(site: Context) -> None:
    page = Reader(html.render(site).decode())
    tables = sum(len(section["tables"]) for section in site["sections"])
    rows = sum(len(t["rows"]) for section in site["sections"] for t in section["tables"])
    assert page.tags.count("table") == page.tags.count("caption") == tables
    scopes = [value for tag, name, value in page.attributes if (tag, name) == ("th", "scope")]
    assert scopes.count("row") == rows
    assert len(scopes) == page.tags.count("th")
    assert [v for _, name, v in page.attributes if name == "tabindex"] == ["0"] * tables
    ids = [str(value) for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for _, name, value in page.attributes:
        if name == "aria-labelledby":
            assert value in ids


def test_every_link_leads_somewhere(site: Context) -> None:
    page = Reader(html.render(site).decode())
    ids = {value for _, name, value in page.attributes if name == "id"}
    targets = {str(v)[1:] for tag, name, v in page.attributes if (tag, name) == ("a", "href")}
    assert targets <= ids


def test_the_page_follows_the_color_scheme_and_prints() -> None:
    source = html.render(context_with("x")).decode()
    style = re.search(r"<style>(.*?)</style>", source, re.S)
    assert style is not None
    assert "prefers-color-scheme: dark" in style.group(1)
    assert "@media print" in style.group(1)


def test_all_figures_of_the_context_are_on_the_page(site: dict[str, Any]) -> None:
    texts = {text.strip() for _, text in Reader(html.render(site).decode()).texts}  # type: ignore[arg-type]
    for section in site["sections"]:
        for table in section["tables"]:
            for row in table["rows"]:
                assert {cell for cell in row["cells"] if cell} <= texts
