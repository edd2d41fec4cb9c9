"""No figure without unit and source, on any page."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import NewContext
from tests.support.site import PAGES, Site

UNITS = (
    *("[GMkmµ]?Wh", "[GMkm]?W", "[GMk]?J", "(?:t|kg|g|mg|µg)(?: CO2e)?", "g/kWh", "l/kWh", "l"),
    *("m³", "ml", "[ZEPTGM]FLOPs?(?:/[sJ])?", "(?:EUR|USD|GBP|CHF)(?:/kWh)?", "h", "min", "s"),
)
FIGURE = r"(?:^|[\s(])[<>]?[-+]?\d[\d,.]*(?:e[-+]?\d+)?\s?(?:" + "|".join(UNITS) + r")(?![\w/])"
"""A number with a unit of energy, power, mass, volume, work, money or time."""

NOT_FIGURES = ", ".join(
    (
        *("code", "pre", "kbd", "time", "option", "textarea", "title", "desc", "svg", "script"),
        *(".hint", ".clip", "bdi"),  # what somebody typed, or how to type it
        ".interval",  # of a figure
        "figcaption",  # a sentence made of the chart's data, whose figures are in its table
        ".tile-limit",  # what a device is set to
        ".live-bar",  # how far behind its samples a trace is shown
    )
)
SOURCE = r"\b(counter|integrated|modelled|estimated|assumed)\b"
"""The word of a source, which a table may have in a column of its own."""

AWAITED = "table.budgets, #failures"
"""Figures that have no source yet, because the API states none: of budgets, of failed work."""

AWAITED_LABEL = "fail"
"""Part of the label or of the column's head of such figures."""

AWAITED_PAGES = "/budgets"
"""Pages with such figures all over: the state of a budget is a sum whose evidence is not kept."""

WALK = """
([pattern, outside, word, awaited, label]) => {
  const figure = new RegExp(pattern), source = new RegExp(word);
  const wrong = [];
  const named = (element) => {
    const row = element.closest("tr");
    const texts = [...(row?.cells ?? [])].map((cell) => cell.textContent);
    return row?.querySelector(".source") != null || source.test(texts.join(" "));
  };
  const isAwaited = (shown) => {
    const cell = shown.closest("td"), head = cell?.closest("table").querySelectorAll("thead th");
    const text = (head?.[cell.cellIndex] ?? shown.closest("div")?.querySelector("dt"))?.textContent;
    return shown.closest(awaited) !== null || (text ?? "").toLowerCase().includes(label);
  };
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent, parent = walker.currentNode.parentElement;
    if (!figure.test(text) || parent.closest(outside) || parent.closest(".figure")) continue;
    if (!named(parent)) wrong.push(`not a figure: ${text.trim().slice(0, 120)}`);
  }
  for (const shown of document.querySelectorAll("main span.figure")) {
    const text = shown.textContent.trim();
    const value = shown.querySelector("data")?.getAttribute("value");
    if (!value) wrong.push(`no value: ${text}`);
    if (!shown.title) wrong.push(`no exact value: ${text}`);
    // Nothing has no evidence; and a number without a unit is a score or a count.
    if (Number(value) === 0 || !figure.test(text) || isAwaited(shown)) continue;
    if (!shown.querySelector(".source") && !named(shown)) wrong.push(`no source: ${text}`);
  }
  return wrong;
}
"""


async def wrong_figures(page: Page) -> list[str]:
    found: list[str] = await page.evaluate(
        WALK, [FIGURE, NOT_FIGURES, SOURCE, AWAITED, AWAITED_LABEL]
    )
    return found


async def test_no_page_has_a_number_with_a_unit_outside_of_a_figure_with_its_source(
    context: NewContext, site: Site
) -> None:
    page = await (await context(java_script_enabled=True)).new_page()
    wrong = []
    for path in PAGES:
        if path.startswith(AWAITED_PAGES):
            continue
        await page.goto(site.filled(path))
        wrong += [f"{path}: {line}" for line in await wrong_figures(page)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>It used 12.3 kWh.</p>", ["not a figure: It used 12.3 kWh."]),
        ("<p>1,507 kg CO2e</p>", ["not a figure: 1,507 kg CO2e"]),
        ("<td>310 W</td>", ["not a figure: 310 W"]),
        ("<p>3.35 EUR/kWh and more</p>", ["not a figure: 3.35 EUR/kWh and more"]),
        ("<p>42 runs on 3 nodes, 7 days</p>", []),
        ("<code>--power 300 W</code>", []),
        (
            '<span class="figure" title="1 kWh"><data value="1">1 kWh</data></span>',
            ["no source: 1 kWh"],
        ),
        (
            '<span class="figure"><data value="1">1 kWh</data><i class="source">counter</i></span>',
            ["no exact value: 1 kWhcounter"],
        ),
        (
            '<td><span class="figure" title="1"><data value="1">1 W</data></span></td>'
            "<td>counter</td>",
            [],
        ),
        ('<span class="figure" title="1"><data value="1">0.9</data></span>', []),
    ],
)
async def test_the_walk_finds_what_it_is_for(
    context: NewContext, html: str, expected: list[str]
) -> None:
    page: Any = await (await context(signed_in=False)).new_page()
    table = f"<table><tr>{html}</tr></table>" if html.startswith("<td") else html
    await page.set_content(f"<main>{table}</main>")
    assert await wrong_figures(page) == expected
