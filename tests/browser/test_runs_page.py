"""The table of runs in a real browser: parts exchanged in place, keys, and without script."""

from __future__ import annotations

import re

from playwright.async_api import expect

from tests.browser.conftest import NewContext, until
from tests.support.site import Site


async def test_filters_change_the_page_in_place_and_the_address_holds_them(
    context: NewContext, site: Site
) -> None:
    page = await (await context()).new_page()
    await page.goto("/runs")
    count = page.locator("#runs-count")
    all_runs = await count.inner_text()
    await page.evaluate("window.stays = true")
    search = page.get_by_label("Name or tag", exact=True)
    await search.fill("bert-base")
    await search.press("Enter")
    await expect(count).not_to_have_text(all_runs)
    count_text = await count.inner_text()
    assert await page.evaluate("window.stays") is True
    await expect(page).to_have_url(re.compile("q=bert-base"))
    await expect(search).to_be_focused()
    await expect(page.locator("#announcements")).to_have_text(count_text)
    named = page.locator("#results").get_by_role("link", name="bert-base, baseline")
    await expect(named.first).to_be_visible()
    await page.goto(page.url)  # as a colleague opens it
    await expect(count).to_have_text(count_text)
    await page.get_by_label("Submitted after").evaluate(
        "field => field.closest('details').open = true"
    )
    await page.get_by_label("Submitted after").fill("yesterday")
    await page.get_by_label("Submitted after").press("Enter")
    await expect(page.locator("#error-created_after")).to_be_visible()
    await expect(search).to_have_value("bert-base")


async def test_rows_are_selected_by_key_and_stay_selected_when_figures_are_renewed(
    context: NewContext, site: Site
) -> None:
    page = await (await context()).new_page()
    await page.goto("/runs")
    await page.keyboard.press("j")
    await page.keyboard.press("x")
    box = page.locator("#results tbody tr").first.get_by_role("checkbox")
    await expect(box).to_be_checked()
    focus = "document.activeElement.closest('tr').id"
    row = await page.evaluate(focus)
    await page.evaluate(
        """() => {
          document.addEventListener("htmx:after:swap", () => (window.isRenewed = true));
          document.getElementById("refresh").dispatchEvent(new Event("refresh"));
        }"""
    )
    await until(page, "window.isRenewed")
    await expect(box).to_be_checked()
    await until(page, f"document.activeElement.closest('tr')?.id === '{row}'")


async def test_columns_are_chosen_and_runs_exported_without_script(
    context: NewContext, site: Site
) -> None:
    page = await (await context(java_script_enabled=False)).new_page()
    await page.goto("/runs")
    await page.locator("#columns summary").click()
    await page.get_by_role("checkbox", name="Tags").check()
    await page.get_by_role("button", name="Show these columns").click()
    await expect(page.get_by_role("columnheader", name="Tags")).to_be_visible()
    await page.get_by_role("button", name="Move Tags to the left").click()
    await expect(page).to_have_url(re.compile("tags%2Chardware.*#columns$"))
    async with page.expect_download() as download:
        await page.get_by_role("link", name="CSV of all").click()
    path = await (await download.value).path()
    assert path.read_text(encoding="utf-8").startswith("id,name,project,")
    await page.locator("#results tbody tr").nth(1).get_by_role("checkbox").check()
    await page.get_by_role("button", name="Markdown").click()
    await expect(page.locator("body")).to_contain_text("| Run |")
    await page.goto("/runs")
    row = page.locator("#results tbody tr", has_text="succeeded").first
    await row.get_by_role("checkbox").check()
    await page.get_by_role("button", name="Report").click()
    await expect(page.locator("h1")).to_contain_text("What 1 run cost")
