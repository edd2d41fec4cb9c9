"""The main tasks with the keyboard alone, with focus that can be seen all the way."""

from __future__ import annotations

import re

from playwright.async_api import Page, expect

from tests.browser.conftest import NewContext, has_loaded
from tests.support.api import make_token
from tests.support.site import Site, on_database

FOCUS = """
() => {
  const element = document.activeElement, style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  const top = document.querySelector(".top").getBoundingClientRect();
  return {
    text: (element.labels?.[0]?.innerText ?? element.innerText ?? "").trim(),
    id: element.id,
    seen: style.outlineStyle !== "none" || element.id === "content",
    covered: !element.closest(".top, .skip") && box.height > 0 && box.bottom <= top.bottom,
  };
}
"""
MOST_TABS = 120


async def tab_to(page: Page, text: str) -> None:
    """Presses Tab until something with this text or label has the focus, which is always seen."""
    for _ in range(MOST_TABS):
        await page.keyboard.press("Tab")
        focus = await page.evaluate(FOCUS)
        assert focus["seen"], focus
        assert not focus["covered"], focus
        if focus["text"] == text:
            return
    raise AssertionError(f"Tab does not reach {text!r}")


async def go(page: Page, key: str, heading: str) -> None:
    """Goes to a page of the navigation by its keys."""
    await page.keyboard.press("g")
    await page.keyboard.press(key)
    await has_loaded(page, heading)


async def test_the_main_tasks_need_no_mouse(context: NewContext, site: Site) -> None:
    secret = await on_database(site.database_url, lambda session: make_token(session, "admin"))
    page = await (
        await context(signed_in=False, viewport={"width": 1280, "height": 700})
    ).new_page()
    # Signs in with a token that a password manager or the clipboard has.
    await page.goto("/runs")
    await tab_to(page, "Token")
    await page.keyboard.insert_text("pt_wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("revoked or expired")
    await page.wait_for_load_state("load")
    await tab_to(page, "Correct the token")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")  # from the field that the link leads to
    assert (await page.evaluate(FOCUS))["text"] in ("Sign in", "Token")
    if (await page.evaluate(FOCUS))["text"] == "Sign in":
        await page.keyboard.press("Shift+Tab")
    await page.keyboard.insert_text(secret)
    await page.keyboard.press("Enter")
    await has_loaded(page, "Runs")  # where the visit began
    # Finds runs.
    await page.keyboard.press("/")
    await page.keyboard.type("seed")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("q=seed"))
    await page.wait_for_load_state("load")
    await page.keyboard.press("j")
    assert await page.evaluate("document.activeElement.closest('tbody') !== null")
    # Creates a user; the error leads to its field.
    await go(page, "a", "Administration")
    await tab_to(page, "Users")
    await page.keyboard.press("Enter")
    await has_loaded(page, "Users")
    await tab_to(page, "New user")
    await page.keyboard.press("Enter")
    await has_loaded(page, "New user")
    await tab_to(page, "Name")
    await page.keyboard.type("Grace")
    await tab_to(page, "E-mail")
    await page.keyboard.type("nonsense")
    await page.keyboard.press("Enter")
    await expect(page).to_have_title("Error: New user · Admin · Pricetag")
    await page.wait_for_load_state("load")
    await tab_to(page, "Email: must be an e-mail address (such as ada@example.org).")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Shift+Tab")
    assert (await page.evaluate(FOCUS))["id"] == "field-email"
    await page.keyboard.press("Control+a")
    await page.keyboard.type("grace@example.org")
    await page.keyboard.press("Enter")
    await has_loaded(page, "User created")
    await expect(page.locator("main")).to_contain_text("Grace")
    # Reads what the keys are, and signs out.
    await page.keyboard.press("?")
    await has_loaded(page, "Keys")
    await tab_to(page, "a admin")
    await page.keyboard.press("Enter")
    await has_loaded(page, "Account")
    await tab_to(page, "Sign out")
    await page.keyboard.press("Enter")
    await has_loaded(page, "Sign in")


async def test_every_key_that_the_pages_have_is_on_the_page_of_keys(
    context: NewContext, site: Site
) -> None:
    page = await (await context()).new_page()
    await page.goto("/help/keys")
    listed = await page.locator("main kbd").all_inner_texts()
    letters = await page.locator("nav a[data-key]").evaluate_all(
        "links => links.map((link) => link.dataset.key)"
    )
    assert {"/", "?", "j", "k", "g", *letters} <= set(listed)
