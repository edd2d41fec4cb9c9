"""On a narrow screen a table begins with its name and its key figure; a wide one has no breaks."""

from __future__ import annotations

import pytest

from tests.browser.conftest import NewContext, visit
from tests.support.site import Site

ENDS = """
([caption, heading]) => {
  const tables = [...document.querySelectorAll("main .scroller table")];
  const table = tables.find((one) => one.caption?.textContent.startsWith(caption));
  const cells = [...table.tHead.rows[0].cells];
  const key = cells.findIndex((cell) => cell.textContent.trim().startsWith(heading));
  const box = table.tBodies[0].rows[0].cells[key].getBoundingClientRect();
  return [box.left, box.right, table.parentElement.getBoundingClientRect().right];
}
"""

BROKEN = """
() => [...document.querySelectorAll("table.bill tbody th")]
  .filter((cell) => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    return range.getClientRects().length > 1;
  })
  .map((cell) => cell.textContent)
"""


@pytest.mark.parametrize(
    ("path", "caption", "heading"),
    [
        ("/runs/{run}", "From IT energy to money", "Value"),
        ("/runs/{run}", "Energy by component, over", "IT energy"),
        ("/runs/{run}", "Energy by stage of", "IT energy"),
        ("/runs", "Runs", "IT energy"),
        ("/queue", "Waiting runs", "Expected start"),
    ],
)
async def test_the_key_figure_of_a_table_is_on_a_narrow_screen(
    context: NewContext, site: Site, path: str, caption: str, heading: str
) -> None:
    page = await (await context(viewport={"width": 390, "height": 844})).new_page()
    await visit(page, site.filled(path))
    left, right, edge = await page.evaluate(ENDS, [caption, heading])
    assert 0 <= left < right <= edge <= 390


@pytest.mark.parametrize("width", [1000, 1440])
async def test_a_line_of_the_bill_is_one_line_where_there_is_room(
    context: NewContext, site: Site, width: int
) -> None:
    page = await (await context(viewport={"width": width, "height": 900})).new_page()
    await visit(page, site.filled("/runs/{run}"))
    assert await page.locator("table.bill tbody th").count() > 8
    assert await page.evaluate(BROKEN) == []
