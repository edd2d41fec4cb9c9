"""On a narrow screen a table begins with its name and its key figure; the rest scrolls inside."""

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
