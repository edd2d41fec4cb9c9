"""The page of a run in a browser: traces, windows, the log that continues, actions, print."""

from __future__ import annotations

import re
from uuid import UUID

from playwright.async_api import Page, expect

from app.db import Session
from app.services.attempts import execution
from tests.browser.conftest import NewContext, until
from tests.browser.test_every_page import LISTEN
from tests.support.api import running_run
from tests.support.executions import JournalMaker, claimed, make_run
from tests.support.site import Site, on_database

SAME_AXIS = """(() => {
  const [power, quality] = ["power", "quality"].map((name) =>
    document.querySelector(`#${name}-trace .u-over`).getBoundingClientRect());
  return Math.abs(power.x - quality.x) < 1 && Math.abs(power.width - quality.width) < 1;
})()"""


async def opened(context: NewContext, path: str) -> Page:
    window = await context()
    await window.add_init_script(LISTEN)
    page = await window.new_page()
    await page.goto(path, wait_until="networkidle")
    return page


async def test_the_trace_is_read_by_key_and_a_window_has_its_energy(
    context: NewContext, site: Site
) -> None:
    page = await opened(context, f"/runs/{site.run}")
    chart = page.get_by_role("application", name="Power by component")
    await chart.focus()
    await page.keyboard.press("Home")
    readout = page.locator("#power-trace .trace-readout")
    await expect(readout).to_have_text(re.compile("0:00:00, train: .*GPU 1 100 W"))
    for key in (*["ArrowRight"] * 4, "+"):
        await page.keyboard.press(key)
    await expect(page.get_by_label("From, s after its start")).to_have_value("0.00")
    await expect(page.get_by_label("To, s after its start")).to_have_value("8.00")
    await expect(page).to_have_url(re.compile("from_s=0[.]00&to_s=8[.]00"))
    await page.get_by_role("button", name="Energy of this window").press("Enter")
    await expect(page.locator(".window [role=status]")).to_contain_text("333 mWh")
    await expect(page.locator(".window [role=status]")).to_contain_text("modelled")
    await page.reload(wait_until="networkidle")  # the address holds the zoom
    await expect(page.get_by_label("To, s after its start")).to_have_value("8.00")
    await page.get_by_role("application", name="Power by component").focus()
    await page.keyboard.press("0")
    await expect(page).not_to_have_url(re.compile("from_s"))
    assert await page.evaluate("window.violations") == []


async def test_loss_and_quality_are_on_the_same_time_axis(context: NewContext, site: Site) -> None:
    page = await opened(context, f"/runs/{site.run}")
    await expect(page.get_by_role("application", name="Loss and quality")).to_be_visible()
    await until(page, SAME_AXIS)
    await page.locator("#power-table summary").click()
    # the rows are made when the browser announces the opened table, after the click
    await expect(page.locator("#power-table tbody tr").nth(10)).to_be_visible()


async def _writing(session: Session) -> tuple[UUID, UUID]:
    run = await make_run(session, name="writes lines")
    claim = await claimed(session, run.id)
    journal = JournalMaker(claim.attempt_id)
    journal.start()
    journal.add("log", 1.0, stream="stdout", text="the first line")
    await execution.ingest(session, claim.attempt_id, journal.records)
    return run.id, claim.attempt_id


async def test_the_log_of_a_running_run_is_followed_until_it_ends(
    context: NewContext, site: Site
) -> None:
    run_id, attempt_id = await on_database(site.database_url, _writing)
    page = await opened(context, f"/runs/{run_id}")
    log = page.get_by_role("log", name="Newest lines")
    await expect(log).to_contain_text("the first line")
    journal = JournalMaker(attempt_id)
    journal.records = [{"seq": -1}] * 2

    async def goes_on(session: Session) -> None:
        journal.add("log", 2.0, stream="stderr", text="<b>a second line</b>")
        await execution.ingest(session, attempt_id, journal.records[-1:])

    async def ends(session: Session) -> None:
        journal.add("end", 3.0, status="failed", reason={"code": "x", "message": "it broke"})
        await execution.ingest(session, attempt_id, journal.records[-1:])

    await on_database(site.database_url, goes_on)
    await expect(log).to_contain_text("<b>a second line</b>")
    href = await log.get_by_role("link").last.get_attribute("href")
    assert href is not None
    assert href.endswith("?attempt=1&line=2#L1-2")
    await on_database(site.database_url, ends)
    await expect(page.locator(".notice-bad")).to_contain_text("it broke")


async def test_a_run_is_canceled_by_key_without_script(context: NewContext, site: Site) -> None:
    async def start(session: Session) -> UUID:
        return await running_run(session, 3, name="to be cancelled")

    run_id = await on_database(site.database_url, start)
    window = await context(java_script_enabled=False)
    page = await window.new_page()
    await page.goto(f"/runs/{run_id}")
    await page.get_by_role("button", name="Cancel").press("Enter")
    await expect(page.locator("main")).to_contain_text("to be cancelled")
    await page.get_by_role("button", name="Cancel the run").press("Enter")
    await expect(page.locator("#progress")).to_contain_text("asked to stop")
    await expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


async def test_the_name_of_a_run_leads_to_it_and_on_to_its_parts(
    context: NewContext, site: Site
) -> None:
    page = await opened(context, "/runs?sort=name&status=succeeded")
    await page.get_by_role("link", name="bert-base, baseline").click()
    await expect(page.locator("h1")).to_have_text("bert-base, baseline")
    await page.get_by_role("link", name="Causes of error").click()
    await expect(page.locator("#errors")).to_be_in_viewport()
    await page.get_by_role("button", name="Verify").click()
    await expect(page.locator("main [role=status]")).to_contain_text("Verified")
    await page.get_by_role("navigation", name="Breadcrumbs").get_by_role("link").last.click()
    await expect(page.locator("h1")).to_have_text("bert-base, baseline")


async def test_a_printed_page_has_all_figures_on_white(context: NewContext, site: Site) -> None:
    page = await opened(context, f"/runs/{site.run}")
    await page.emulate_media(media="print", color_scheme="dark")
    for hidden in (".top", ".side", ".jumps", ".run-actions", ".window"):
        await expect(page.locator(hidden).first).to_be_hidden()
    await expect(page.locator("#bill table.bill")).to_be_visible()
    colors = await page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle("
        "document.querySelector('table.bill td')).color]"
    )
    assert colors == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
    picture = page.locator("img.printed")
    await picture.scroll_into_view_if_needed()
    await expect(picture).to_have_js_property("naturalWidth", 760)
    await expect(page.locator("#power-trace")).to_be_hidden()


async def test_what_scripts_draw_is_printed_in_light_colors(
    context: NewContext, site: Site
) -> None:
    page = await opened(context, f"/runs/{site.run}")
    root = "document.documentElement.dataset.theme"
    await page.evaluate(f"{root} = 'dark'")
    assert await page.evaluate(f"(dispatchEvent(new Event('beforeprint')), {root})") == "light"
    assert await page.evaluate(f"(dispatchEvent(new Event('afterprint')), {root})") == "dark"
