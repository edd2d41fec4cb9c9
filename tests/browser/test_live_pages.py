"""Live pages: one connection for all tabs, pause, losses that are stated, and a way back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import BrowserContext, Page, expect

from app.db import Session
from app.services.live import live_power
from tests.browser.conftest import NewContext, visit
from tests.support.site import NAMES, Site, on_database, power_batch

PATIENCE_MS = 60_000.0
"""Longest time until a page shows what it was sent, on a busy machine."""

LIVE_TEXT = "[data-live-text]"
TOTAL = "[data-power=total] data >> nth=0"


@asynccontextmanager
async def feeding(site: Site, watts: int = 300) -> AsyncIterator[None]:
    """Sends a second of samples every second."""

    async def send(session: Session) -> None:
        await live_power.send(session, power_batch(int(time.time()) - 1, watts))

    async def feed() -> None:
        while True:
            await on_database(site.database_url, send)
            await asyncio.sleep(1.05 - time.time() % 1.0)

    task = asyncio.create_task(feed())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def streams(window: BrowserContext) -> list[str]:
    """The addresses of all streams that are followed, as they are opened."""
    opened: list[str] = []

    def note(url: str) -> None:
        if "/v1/stream" in url and "follow=false" not in url:
            opened.append(url)

    window.on("request", lambda request: note(request.url))
    return opened


async def is_live(page: Page) -> None:
    await expect(page.locator("[data-stream]")).to_have_attribute(
        "data-live", "open", timeout=PATIENCE_MS
    )


async def shows_power(page: Page) -> None:
    await expect(page.locator("[data-power=total] data").first).to_be_visible(timeout=PATIENCE_MS)


async def test_ten_tabs_share_one_connection_and_the_next_takes_over(
    context: NewContext, site: Site
) -> None:
    window = await context()
    opened = streams(window)
    async with feeding(site):
        tabs = []
        for number in range(10):
            tabs.append(await window.new_page())
            await visit(tabs[-1], ("/", "/power", "/queue")[number % 3])
        for tab in tabs:
            await is_live(tab)
        assert len(opened) == 1
        await tabs[0].close()
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while len(opened) < 2:
                await asyncio.sleep(0.1)
        for tab in tabs[1:]:
            await is_live(tab)
        await shows_power(tabs[1])
        assert len(opened) == 2


async def test_pause_by_key_stays_on_every_page(context: NewContext, site: Site) -> None:
    window = await context()
    page = await window.new_page()
    await visit(page, "/power")
    await page.keyboard.press("p")
    button = page.get_by_role("button", name="Pause")
    await expect(button).to_have_attribute("aria-pressed", "true")
    await expect(page.locator(LIVE_TEXT)).to_contain_text("Paused")
    await visit(page, "/")
    await expect(button).to_have_attribute("aria-pressed", "true")
    async with feeding(site, 555):
        shown = await page.locator("[data-power=total]").first.inner_text()
        await asyncio.sleep(3)  # later samples are not drawn
        assert await page.locator("[data-power=total]").first.inner_text() == shown
        await page.keyboard.press("g")
        await page.keyboard.press("p")  # after g the page of papers, which is not live
        await page.wait_for_url("**/papers")
        await visit(page, "/")
        await button.click()
        await expect(button).to_have_attribute("aria-pressed", "false")
        await expect(page.locator("[data-power=total] data").first).to_contain_text(
            "66", timeout=PATIENCE_MS
        )


async def test_a_device_that_stops_is_marked_and_its_last_value_is_not_repeated(
    context: NewContext, site: Site
) -> None:
    page = await (await context()).new_page()
    await visit(page, "/power")
    tile = page.locator("[data-component='gpu:GPU-idle']")
    async with feeding(site):
        await expect(tile.locator("[data-power] data")).to_be_visible(timeout=PATIENCE_MS)
    await expect(tile).to_contain_text("n/a", timeout=PATIENCE_MS)
    await expect(tile.locator("[data-power] data")).to_have_count(0)
    await expect(page.locator("[data-power=total]")).to_contain_text("n/a", timeout=PATIENCE_MS)


async def test_less_motion_gives_figures_without_a_moving_line(
    context: NewContext, site: Site
) -> None:
    page = await (await context(reduced_motion="reduce")).new_page()
    async with feeding(site):
        await visit(page, "/")
        await expect(page.locator(LIVE_TEXT)).to_contain_text("twice a minute", timeout=PATIENCE_MS)
        await shows_power(page)


async def test_a_form_of_the_queue_cancels_a_run(context: NewContext, site: Site) -> None:
    page = await (await context(java_script_enabled=False)).new_page()
    await page.goto("/queue")
    button = page.get_by_role("button", name=f"Cancel {NAMES[3]}")
    await button.click()
    await expect(page.locator("h1")).to_have_text("Cancel this run?")
    await page.get_by_role("link", name="Keep the run").click()
    await expect(button).to_have_count(1)
    await button.click()
    await page.get_by_role("button", name="Cancel the run").click()
    await expect(page.locator("h1")).to_have_text("Queue")
    await expect(button).to_have_count(0)
    await expect(page.get_by_role("button", name=f"Cancel {NAMES[1]}")).to_have_count(1)


@pytest.mark.parametrize("devices", [64])
async def test_the_wall_draws_64_lines_of_600_samples(
    context: NewContext, site: Site, devices: int
) -> None:
    page = await (await context()).new_page()
    await visit(page, "/help/keys")
    drawn = await page.evaluate(
        """async (devices) => {
          const base = new URL([...document.scripts].find((s) => s.src.endsWith("page.js")).src);
          const { Sparkline } = await import(new URL("sparkline.js", base));
          const at = Date.now(), samples = [];
          for (let second = 59; second >= 0; second -= 1) {
            const w = Array.from({ length: 10 }, (_, n) => (second === 30 ? null : 200 + 20 * n));
            samples.push({ t0: at - 1000 * (second + 1), dt: 100, w });
          }
          const canvases = Array.from({ length: devices }, () => {
            const canvas = document.createElement("canvas");
            canvas.dataset.limit = "700";
            document.body.append(canvas);
            return canvas;
          });
          const lines = canvases.map((canvas) => new Sparkline(canvas));
          for (const line of lines) line.draw(samples, at);
          const [canvas] = canvases;
          const pen = canvas.getContext("2d");
          const filled = (x) => pen.getImageData(x, 0, 1, canvas.height).data.some((v) => v > 0);
          const middle = Math.round(canvas.width * 29.5 / 60);
          const left = filled(Math.round(canvas.width / 4));
          return { gap: filled(middle), left, count: lines.length };
        }""",
        devices,
    )
    assert drawn == {"gap": False, "left": True, "count": devices}


async def test_no_figure_is_left_beside_the_live_one(context: NewContext, site: Site) -> None:
    """A figure that was unknown when the page was loaded is replaced, wherever it is."""
    page = await (await context(java_script_enabled=False)).new_page()
    for path in ("/", "/power"):
        await visit(page, path)
        for place in await page.locator("[data-power]").all():
            figure = place.locator(":scope > .figure")
            await expect(figure).to_have_count(1)


CELLS = "rows => rows.map(row => [...row.querySelectorAll('td')].map(cell => cell.innerText))"


async def test_power_from_before_the_page_is_not_split_by_present_use(
    context: NewContext, site: Site
) -> None:
    nothing = "no value"
    async with feeding(site):
        await asyncio.sleep(3)  # the server has some seconds before anyone looks
        page = await (await context()).new_page()
        await visit(page, "/")
        await shows_power(page)
        summary = page.locator("figure[data-power-trace] summary")
        rows = page.locator("figure[data-power-trace] table tbody tr")
        cells: list[list[str]] = []
        until_s = time.monotonic() + PATIENCE_MS / 1000
        while time.monotonic() < until_s:
            await summary.click()
            await page.wait_for_timeout(1000)
            # At once: the table is drawn again with each sample.
            cells = await rows.evaluate_all(CELLS)
            if any(charged != nothing for charged, *_ in cells):
                break
            await summary.click()
    assert any(charged != nothing for charged, *_ in cells)
    assert any(earlier != nothing for *_, earlier in cells)
    for charged, rest, earlier in cells:
        assert (charged == nothing) == (rest == nothing)
        assert nothing in (charged, earlier)
