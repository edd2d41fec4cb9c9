"""Every figure of every page has a unit, an interval, a source and its exact value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import NewContext
from tests.support.site import OPEN_PAGES, PAGES, Site

UNITS = (
    *("[GMkmµ]?Wh", "[GMkm]?W", "[GMk]?J", "(?:t|kg|g|mg|µg)(?: CO2e)?", "g/kWh", "l/kWh", "l"),
    *("m³", "ml", "[ZEPTGM]FLOPs?(?:/[sJ])?", "(?:EUR|USD|GBP|CHF)(?:/kWh)?", "h", "min", "s"),
)
FIGURE = r"(?:^|[\s(])[<>]?[-+]?\d[\d,.]*(?:e[-+]?\d+)?\s?(?:" + "|".join(UNITS) + r")(?![\w/])"
"""A number with a unit of energy, power, mass, volume, work, money or time."""

NOT_FIGURES = ", ".join(
    (
        *("code", "pre", "kbd", "time", "option", "textarea", "title", "desc", "svg", "script"),
        *(".clip", "bdi", "form .hint"),  # what somebody typed, or how to type it
        ".interval",  # of a figure
        "figure:has(details) > figcaption",  # a sentence made of data that are in its table
        ".tile-limit, .limit",  # what somebody has set
        ".live-bar",  # how far behind its samples a trace is shown
    )
)
SOURCE = r"\b(counter|clock|operators counted|integrated|modelled|estimated|assumed)\b"
"""The word of a source, which a table may have in its own column."""

NO_INTERVAL = (
    r"each run shows its interval|(no interval here|has no interval)|error is in the interval|"
    r"error (of a single second )?is not known"
)
"""Words of a section that say why its figures have none."""

SET = "Limit"
"""Head of what somebody has set: it is exact, and nobody has measured it."""

EXACT_UNITS = ("s", "min", "h", "d", "B", "bytes", "FLOP")
"""Units of what is read from a clock or counted, without the error of a meter."""

WALK = (Path(__file__).parent / "figures.js").read_text(encoding="utf-8")


async def wrong_figures(page: Page, html: str | None = None) -> list[str]:
    """What breaks the rules for figures on a page, or in its HTML."""
    rules = [FIGURE, NOT_FIGURES, SOURCE, NO_INTERVAL, SET, EXACT_UNITS]
    wrong: list[str] = await page.evaluate(WALK, [html, *rules])
    return wrong


async def test_every_figure_of_every_page_obeys_the_rules(context: NewContext, site: Site) -> None:
    """In the HTML of each page, which has all of them: no script is needed to read a page."""
    window = await context()
    page = await window.new_page()
    wrong = []
    for path in (*PAGES, *OPEN_PAGES):
        response = await window.request.get(site.filled(path))
        wrong += [f"{path}: {line}" for line in await wrong_figures(page, await response.text())]
    assert not wrong, "\n".join(wrong)


GOOD = '<span class="figure" title="1 kWh"><data value="1">1 <i class="unit">kWh</i></data>'
INTERVAL = '<i class="interval">0 to 2</i>'
COUNTER = '<i class="source">counter</i>'


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>It used 12.3 kWh.</p>", ["not a figure: It used 12.3 kWh."]),
        ("<p>1,507 kg CO2e</p>", ["not a figure: 1,507 kg CO2e"]),
        ("<td>310 W</td>", ["not a figure: 310 W"]),
        ("<p>3.35 EUR/kWh and more</p>", ["not a figure: 3.35 EUR/kWh and more"]),
        ("<p>42 runs on 3 nodes, 7 days</p>", []),
        ("<code>--power 300 W</code>", []),
        ("<figure><figcaption>310 W</figcaption></figure>", ["not a figure: 310 W"]),
        ("<figure><figcaption>310 W</figcaption><details></details></figure>", []),
        (f"{GOOD}{INTERVAL}{COUNTER}</span>", []),
        (f"{GOOD}{INTERVAL}</span>", ["no source: 1 kWh0 to 2"]),
        (f"{GOOD}{COUNTER}</span>", ["no interval: 1 kWhcounter"]),
        (f"<section>{GOOD}{COUNTER}</span> Its error is not known.</section>", []),
        (
            f"{GOOD.replace('figure', 'figure provisional')}{INTERVAL}{COUNTER}</span>",
            ["not marked as provisional: 1 kWh0 to 2counter"],
        ),
        (
            f'<span class="figure"><data value="1">1 kWh</data>{INTERVAL}{COUNTER}</span>',
            ["no exact value: 1 kWh0 to 2counter"],
        ),
        (
            f'<span class="figure" title="1 kWh"><data value="1">1</data>{INTERVAL}{COUNTER}'
            "</span>",
            ["no unit: 10 to 2counter"],
        ),
        (
            '<td><span class="figure" title="1 s"><data value="1">1 <i class="unit">s</i></data>'
            "</span></td><td>counter</td>",
            [],
        ),
        ('<span class="figure" title="0.9"><data value="0.9">0.9</data></span>', []),
        ("<p>n/a</p>", ["n/a without a reason: n/a"]),
        ('<div class="unknown"><b>n/a</b><p> </p></div>', ["n/a without a reason: n/a"]),
        ('<div class="unknown"><b>n/a</b><p>no meter</p></div>', []),
    ],
)
async def test_the_walk_finds_what_it_is_for(
    context: NewContext, html: str, expected: list[str]
) -> None:
    page: Any = await (await context(signed_in=False)).new_page()
    table = f"<table><tr>{html}</tr></table>" if html.startswith("<td") else html
    await page.set_content(f"<main>{table}</main>")
    assert await wrong_figures(page) == expected
