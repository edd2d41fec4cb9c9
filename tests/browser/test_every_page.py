"""What holds on every page: access by all, nothing from elsewhere, no violation of the policy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Error, Page, Request

from tests.browser.conftest import PATIENCE_MS, visit
from tests.support.site import OPEN_PAGES, PAGES, Site

AXE = (Path(__file__).parent / "vendor/axe.js").read_text(encoding="utf-8")
Theme = Literal["light", "dark"]
HEIGHT = 900
COLOR_RULES = ("color-contrast", "link-in-text-block")
"""Rules of axe that look at colors, which are all that the themes differ in."""
LOOKS: tuple[tuple[int, Theme, tuple[str, ...]], ...] = (
    (320, "light", ()),
    (768, "dark", COLOR_RULES),
    (1440, "light", ()),
)
"""Width of the window, theme, and rules of axe (none: all of them)."""

LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}`));
"""
FOREIGN = "#reference"
"""What Swagger UI draws, which is not ours; it also brings a second landmark `main`."""

every_page = pytest.mark.parametrize("path", [*PAGES, *OPEN_PAGES])


async def wrong_for_axe(page: Page, rules: tuple[str, ...] = ()) -> list[str]:
    """What axe finds, a line for each element; with all rules by default."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE)
    violations = await page.evaluate(
        "async ([foreign, only]) => (await axe.run({exclude: [[foreign]]},"
        " {resultTypes: ['violations'], preload: false, ...(only.length ? {runOnly: only} : {}),"
        " rules: {'landmark-no-duplicate-main': {enabled: !document.querySelector(foreign)}}}))"
        ".violations",
        [FOREIGN, rules],
    )
    return [
        f"{violation['id']}: {node['html'][:150]} ({node['failureSummary']})"
        for violation in violations
        for node in violation["nodes"]
    ]


@dataclass(frozen=True)
class Seen:
    """What one visit of a page shows.

    Attributes:
        requests: Addresses of all requests.
        errors: Errors of scripts.
        violations: What the policy blocked.
        policy: The policy.
        width_px: Its width where the window has 320 pixels.
        wrong: What axe finds, in all themes and widths.
    """

    requests: list[str]
    errors: list[str]
    violations: list[str]
    policy: str
    width_px: int
    wrong: list[str]


class Visitor:
    """Visits each page once, in tabs that stay open, and keeps what there was to see."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self._browser = browser
        self._site = site
        self._tabs: dict[tuple[bool, bool], Page] = {}
        self._seen: dict[str, Seen] = {}

    async def seen(self, path: str) -> Seen:
        """What the page shows to the first test that asks, and to all others."""
        if path not in self._seen:
            self._seen[path] = await self._look(path)
        return self._seen[path]

    async def tab(self, path: str, *, script: bool) -> Page:
        """A tab for this page, of an administrator except for the pages that are open to all."""
        key = (path not in OPEN_PAGES, script)
        if key not in self._tabs:
            window = await self._browser.new_context(
                base_url=self._site.url, java_script_enabled=script
            )
            window.set_default_timeout(PATIENCE_MS)
            if path not in OPEN_PAGES:
                await window.add_cookies([self._site.cookie])  # type: ignore[list-item]
            await window.add_init_script(LISTEN)
            self._tabs[key] = await window.new_page()
        return self._tabs[key]

    async def close(self) -> None:
        for tab in self._tabs.values():
            await tab.context.close()

    async def _look(self, path: str) -> Seen:
        page = await self.tab(path, script=True)
        requests: list[str] = []
        errors: list[str] = []

        def note_request(request: Request) -> None:
            requests.append(request.url)

        def note_error(error: Error) -> None:
            errors.append(str(error))

        page.on("request", note_request)
        page.on("pageerror", note_error)
        await page.emulate_media(color_scheme="light")
        await page.set_viewport_size({"width": LOOKS[0][0], "height": HEIGHT})
        response = await visit(page, self._site.filled(path))
        width_px = await page.evaluate("document.documentElement.scrollWidth")
        wrong = await self._axe(page, path)
        violations = await page.evaluate("window.violations")
        page.remove_listener("request", note_request)
        page.remove_listener("pageerror", note_error)
        policy = response.headers["content-security-policy"]
        return Seen(requests, errors, violations, policy, width_px, wrong)

    async def _axe(self, page: Page, path: str) -> list[str]:
        """What axe finds in each theme and at each width."""
        wrong = []
        for width, theme, rules in LOOKS if path != "/docs" else LOOKS[1:]:
            await page.set_viewport_size({"width": width, "height": HEIGHT})
            await page.emulate_media(color_scheme=theme)
            wrong += [f"{theme} {width}: {line}" for line in await wrong_for_axe(page, rules)]
        return wrong


@pytest_asyncio.fixture(scope="module")
async def visitor(browser: Browser, site: Site) -> AsyncIterator[Visitor]:
    opened = Visitor(browser, site)
    yield opened
    await opened.close()


@every_page
async def test_axe_finds_nothing_in_any_theme_and_width(visitor: Visitor, path: str) -> None:
    wrong = (await visitor.seen(path)).wrong
    assert not wrong, "\n".join(wrong)


@every_page
async def test_nothing_comes_from_elsewhere_or_breaks_the_policy(
    visitor: Visitor, site: Site, path: str
) -> None:
    seen = await visitor.seen(path)
    own = (site.url, "data:", "blob:")
    assert not [url for url in seen.requests if not url.startswith(own)]
    assert len(seen.requests) > 1
    assert not seen.violations
    assert not seen.errors
    assert "unsafe" not in seen.policy
    assert seen.policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")


@every_page
async def test_no_page_scrolls_sideways_at_320_pixels(visitor: Visitor, path: str) -> None:
    if path != "/docs":  # Swagger UI's page
        assert (await visitor.seen(path)).width_px <= LOOKS[0][0]


@every_page
async def test_every_page_is_readable_without_script(
    visitor: Visitor, site: Site, path: str
) -> None:
    page = await visitor.tab(path, script=False)
    await page.goto(site.filled(path), wait_until="load")
    assert await page.locator("h1").count() == 1
    assert (await page.locator("main").inner_text()).strip()
