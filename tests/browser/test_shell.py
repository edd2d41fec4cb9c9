"""The shell by keyboard and without script: sign-in, navigation, themes, sign-out."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.browser.conftest import NewContext, has_loaded
from tests.browser.test_every_page import AXE
from tests.support.site import Site


async def focused(page: Page) -> str:
    return str(await page.evaluate("document.activeElement.innerText.trim()"))


async def test_a_link_signs_in_and_out_again_without_script(
    context: NewContext, site: Site
) -> None:
    window = await context(signed_in=False, java_script_enabled=False)
    page = await window.new_page()
    await page.goto("/runs")
    await has_loaded(page, "Sign in")
    await page.goto(await site.link("a member"))  # as if typed: signed in at once
    await has_loaded(page, "Overview")
    await page.get_by_role("link", name="a member").click()
    await page.get_by_role("button", name="Sign out").click()
    await has_loaded(page, "Sign in")
    await page.goto("/")
    await has_loaded(page, "Sign in")


async def test_the_keyboard_alone_reaches_pages_search_and_help(
    context: NewContext, site: Site
) -> None:
    page = await (await context()).new_page()
    await page.goto("/")
    await page.keyboard.press("Tab")
    assert await focused(page) == "Skip to content"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "content"
    await page.keyboard.press("g")
    await page.keyboard.press("r")
    await has_loaded(page, "Runs")
    focus = "document.activeElement.innerText"
    await page.keyboard.press("j")
    first = await page.evaluate(focus)
    await page.keyboard.press("j")
    assert await page.evaluate(focus) != first
    await page.keyboard.press("k")
    assert await page.evaluate(focus) == first
    await page.keyboard.press("/")
    assert await page.evaluate("document.activeElement.id") == "search"
    await page.keyboard.type("?")  # typed, and no key
    await expect(page.locator("#search")).to_have_value("?")
    await page.keyboard.press("Escape")
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("?")
    await has_loaded(page, "Keys")


async def test_single_keys_can_be_turned_off(context: NewContext, site: Site) -> None:
    page = await (await context()).new_page()
    await page.goto("/help/keys")
    await page.get_by_label("Keyboard shortcuts are on").uncheck()
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("g")
    await page.keyboard.press("r")
    await page.keyboard.press("/")
    await has_loaded(page, "Keys")
    assert await page.evaluate("document.activeElement.id") != "search"


async def test_the_chosen_theme_stays(context: NewContext, site: Site) -> None:
    page = await (await context(color_scheme="light")).new_page()
    await page.goto("/")
    light = await page.evaluate("getComputedStyle(document.body).color")
    async with page.expect_response("**/theme"):
        await page.get_by_role("button", name="Dark theme").press("Enter")
    assert await page.evaluate("getComputedStyle(document.body).color") != light
    await page.goto("/runs")
    assert await page.locator("html").get_attribute("data-theme") == "dark"
    await expect(page.get_by_role("button", name="Dark theme")).to_have_attribute(
        "aria-pressed", "true"
    )


async def test_the_menu_of_narrow_screens_opens_by_key(context: NewContext, site: Site) -> None:
    page = await (await context(viewport={"width": 320, "height": 800})).new_page()
    await page.goto("/")
    runs = page.get_by_role("navigation", name="Pages").get_by_role("link", name="Runs")
    await expect(runs).to_be_hidden()
    await page.get_by_role("button", name="Menu").press("Enter")
    await expect(runs).to_be_visible()
    await runs.press("Enter")
    await has_loaded(page, "Runs")


async def test_the_reference_can_be_read_in_both_themes(context: NewContext, site: Site) -> None:
    page = await (
        await context(signed_in=False, viewport={"width": 1280, "height": 900})
    ).new_page()
    await page.goto("/docs")
    await page.locator("#operations-health-getReadiness .opblock-summary-control").click()
    await expect(page.locator("#operations-health-getReadiness .responses-table")).to_be_visible()
    await page.evaluate(AXE)
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme)
        violations = await page.evaluate(
            "async () => (await axe.run('#reference', {runOnly: ['color-contrast']})).violations"
            ".flatMap((one) => one.nodes.map((node) => node.html + node.failureSummary))"
        )
        assert not violations, (theme, violations[:5])
    dark = "getComputedStyle(document.querySelector('.scheme-container')).backgroundColor"
    assert await page.evaluate(dark) == "rgb(24, 29, 27)"
