"""Charts in a browser: the picture for theme and width, no shift, and "Explore"."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import NewContext
from tests.browser.test_every_page import LISTEN, wrong_for_axe
from tests.support.site import Site

PATH = "/insights/frontier?project=sweep&by=tag:method"
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => window.shifts.push(...list.getEntries()
  .filter((entry) => entry.sources.some((source) => source.node?.closest?.("figure")))
  .map((entry) => entry.value)))
  .observe({type: "layout-shift", buffered: true});
"""


async def shown(page: Page) -> str:
    """Address of the picture that the browser chose, once it is there."""
    image = page.locator("figure.chart img").first
    await expect(image).to_have_js_property("complete", True)
    await expect(image).not_to_have_js_property("naturalWidth", 0)
    return str(await image.evaluate("image => image.currentSrc"))


@pytest.mark.parametrize(
    ("width", "scheme", "look"),
    [(1440, "light", "theme=light&size=full"), (320, "dark", "theme=dark&size=narrow")],
)
async def test_the_picture_fits_theme_and_width_and_does_not_shift(
    context: NewContext, site: Site, width: int, scheme: str, look: str
) -> None:
    window = await context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    await window.add_init_script(SHIFTS)
    page = await window.new_page()
    await page.goto(PATH, wait_until="networkidle")
    light = await shown(page)
    assert light.endswith(look)
    assert await page.evaluate("window.shifts") == []
    if width > 1000:  # the chosen theme changes the picture at once
        await page.get_by_role("button", name="Dark theme").click()
        dark = light.replace("theme=light", "theme=dark")
        await expect(page.locator("figure.chart img").first).to_have_js_property("currentSrc", dark)


async def test_explore_draws_the_same_document_within_the_policy(
    context: NewContext, site: Site
) -> None:
    window = await context()
    await window.add_init_script(LISTEN)
    page = await window.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    await page.goto(PATH, wait_until="networkidle")
    assert not [url for url in requests if "vega" in url]
    figure = page.locator("figure.chart").first
    button = figure.get_by_role("button", name="Explore")
    await button.focus()
    await page.keyboard.press("Enter")
    drawing = figure.locator(".explored svg")
    await expect(drawing).to_be_visible()
    await expect(figure.locator("picture")).to_be_hidden()
    await expect(button).to_have_attribute("aria-pressed", "true")
    assert len([url for url in requests if url.endswith("/vendor/vega.js")]) == 1
    await drawing.locator("path[aria-label*='cheap']").first.hover(force=True)
    await expect(page.locator("#vg-tooltip-element")).to_contain_text("cheap")
    assert await page.evaluate("window.violations") == []
    assert not await wrong_for_axe(page)
    await button.press("Enter")
    await expect(figure.locator("picture")).to_be_visible()
    await expect(drawing).to_have_count(0)


async def test_without_script_there_is_the_picture_and_the_table(
    context: NewContext, site: Site
) -> None:
    page = await (await context(java_script_enabled=False)).new_page()
    await page.goto(PATH, wait_until="networkidle")
    figure = page.locator("figure.chart").first
    await expect(figure.get_by_role("button", name="Explore")).to_be_hidden()
    await figure.get_by_text("Data as table").click()
    await expect(figure.get_by_role("row").filter(has_text="cheap")).to_be_visible()
