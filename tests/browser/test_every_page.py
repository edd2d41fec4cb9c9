"""What holds on every page: access by all, nothing from elsewhere, no violation of the policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import NewContext, visit
from tests.support.site import OPEN_PAGES, PAGES, Site

AXE = (Path(__file__).parent / "vendor/axe.js").read_text(encoding="utf-8")
WIDTHS = (320, 768, 1440)
THEMES = ("light", "dark")
LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}`));
"""
FOREIGN = "#reference"
"""What Swagger UI draws, which is not ours; it also brings a second landmark `main`."""

every_page = pytest.mark.parametrize("path", [*PAGES, *OPEN_PAGES])


async def opened(context: NewContext, site: Site, path: str, **options: Any) -> Page:
    """A page that listens for violations from its start."""
    window = await context(signed_in=path not in OPEN_PAGES, **options)
    await window.add_init_script(LISTEN)
    page = await window.new_page()
    await visit(page, site.filled(path))
    return page


async def wrong_for_axe(page: Page) -> list[str]:
    """What axe finds, a line for each element."""
    await page.evaluate(AXE)
    found = await page.evaluate(
        "async (foreign) => (await axe.run({exclude: [[foreign]]}, {resultTypes: ['violations'],"
        " rules: {'landmark-no-duplicate-main': {enabled: !document.querySelector(foreign)}}}))"
        ".violations",
        FOREIGN,
    )
    return [
        f"{violation['id']}: {node['html'][:150]} ({node['failureSummary']})"
        for violation in found
        for node in violation["nodes"]
    ]


@every_page
async def test_axe_finds_nothing_in_any_theme_and_width(
    context: NewContext, site: Site, path: str
) -> None:
    page = await opened(context, site, path)
    wrong = []
    for theme in THEMES:
        await page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        for width in WIDTHS if path != "/docs" else WIDTHS[-1:]:
            await page.set_viewport_size({"width": width, "height": 900})
            wrong += [f"{theme} {width}: {line}" for line in await wrong_for_axe(page)]
    assert not wrong, "\n".join(wrong)


@every_page
async def test_nothing_comes_from_elsewhere_or_breaks_the_policy(
    context: NewContext, site: Site, path: str
) -> None:
    window = await context(signed_in=path not in OPEN_PAGES)
    await window.add_init_script(LISTEN)
    page = await window.new_page()
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    response = await visit(page, site.filled(path))
    elsewhere = [url for url in requests if not url.startswith((site.url, "data:", "blob:"))]
    assert not elsewhere
    assert len(requests) > 1
    assert await page.evaluate("window.violations") == []
    assert not errors
    policy = response.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")


@every_page
async def test_no_page_scrolls_sideways_at_320_pixels(
    context: NewContext, site: Site, path: str
) -> None:
    page = await opened(context, site, path, viewport={"width": 320, "height": 800})
    if path == "/docs":
        return  # Swagger UI's page
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320


@every_page
async def test_every_page_is_readable_without_script(
    context: NewContext, site: Site, path: str
) -> None:
    page = await opened(context, site, path, java_script_enabled=False)
    assert await page.locator("h1").count() == 1
    assert (await page.locator("main").inner_text()).strip()
