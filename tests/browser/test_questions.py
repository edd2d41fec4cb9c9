"""What cannot be undone is asked first: in a dialog, or on a page without script."""

from __future__ import annotations

from uuid import UUID

import pytest
from playwright.async_api import expect

from app.db import Session
from tests.browser.conftest import NewContext, visit
from tests.browser.test_every_page import LISTEN, wrong_for_axe
from tests.support.api import running_run
from tests.support.site import NAMES, Site, on_database


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_dialog_asks_before_a_run_is_canceled(
    context: NewContext, site: Site, theme: str
) -> None:
    async def start(session: Session) -> UUID:
        return await running_run(session, 3, name=NAMES[1])

    run_id = await on_database(site.database_url, start)
    window = await context(viewport={"width": 320, "height": 700}, color_scheme=theme)
    await window.add_init_script(LISTEN)
    page = await window.new_page()
    await visit(page, f"/runs/{run_id}")
    button = page.get_by_role("button", name="Cancel", exact=True)
    dialog = page.get_by_role("dialog", name="Cancel this run?")
    await button.press("Enter")
    await expect(dialog).to_contain_text(NAMES[1])
    assert await wrong_for_axe(page) == []
    await expect(dialog.get_by_role("link", name="Keep the run")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(button).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("link", name="Keep the run")).to_be_focused()
    await page.keyboard.press("Enter")  # a hasty second one keeps the run
    await expect(dialog).to_have_count(0)
    await expect(button).to_be_focused()
    await page.keyboard.press("Enter")
    await dialog.get_by_role("button", name="Cancel the run").press("Enter")
    await expect(page.locator("#progress")).to_contain_text("asked to stop")
    assert await page.evaluate("window.violations") == []


async def test_a_question_that_cannot_be_asked_says_why(context: NewContext, site: Site) -> None:
    page = await (await context()).new_page()
    await visit(page, f"/runs/{site.run}?version=1")
    await page.get_by_label("Factors known on").fill("yesterday")
    await page.get_by_role("button", name="Re-price").press("Enter")
    await expect(page.locator("main")).to_contain_text("as_of: ")
    await page.go_back()
    await page.get_by_label("Factors known on").fill("2026-03-05T00:00Z")
    await page.get_by_role("button", name="Re-price").press("Enter")
    dialog = page.get_by_role("dialog", name="Re-price this run?")
    await expect(dialog).to_contain_text("the factors known on 2026-03-05T00:00Z")
