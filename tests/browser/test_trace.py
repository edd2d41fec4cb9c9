"""The trace over time: keys, zoom, announcements, themes, gaps, table, live samples."""

from __future__ import annotations

import re

import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import NewContext, until
from tests.browser.test_every_page import LISTEN, wrong_for_axe
from tests.support.site import Site

START = """
async () => {
  const base = document.querySelector("link[rel=stylesheet]").href.replace("pricetag.css", "");
  const made = (name, attributes) => new Promise((done) => {
    const element = Object.assign(document.createElement(name), attributes, {onload: done});
    document.head.append(element);
  });
  await made("link", {rel: "stylesheet", href: `${base}vendor/uplot.css`});
  await made("script", {src: `${base}vendor/uplot.js`});
  const { Trace, link } = await import(`${base}js/trace.js`);
  const x = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120];
  const gpu = x.map((time) => (time >= 50 && time < 70 ? null : 100 + time));
  const lines = [
    {label: "GPU 0", color: "--series-1", x, y: gpu, low: gpu.map((w) => w && w - 20),
      high: gpu.map((w) => w && w + 20)},
    {label: "CPU", color: "--series-2", dash: [6, 3], x: x.map((time) => time + 1),
      y: x.map(() => 60)},
  ];
  const details = Object.assign(document.createElement("details"), {id: "table"});
  details.append(Object.assign(document.createElement("summary"), {textContent: "Data as table"}));
  const [root, other] = ["trace", "other"].map(
    (id) => Object.assign(document.createElement("div"), {id}));
  document.getElementById("content").append(root, details, other);
  const bands = [{from: 0, to: 60, label: "train"}, {from: 60, to: 120, label: "measure"},
    {from: 60, to: 60, label: "attempt 2", isBreak: true}];
  window.zooms = [];
  window.trace = new Trace(root, lines, {name: "Power", unit: "W", bands, table: details,
    onZoom: (...zoom) => zooms.push(zoom)});
  const accuracy = x.map((time) => time / 200);
  window.second = new Trace(other, [{label: "accuracy", color: "--series-3", x, y: accuracy}],
    {name: "Accuracy", unit: ""});
  link(trace, second);
}
"""
PIXELS = """
([time, value]) => {
  const u = trace.u;
  const x = Math.round(u.valToPos(time, "x", true));
  const y = Math.round(u.valToPos(value, "left", true));
  const data = u.ctx.getImageData(x - 1, y - 4, 3, 9).data;
  const colors = [];
  for (let at = 0; at < data.length; at += 4) colors.push([...data.slice(at, at + 3)]);
  return colors;
}
"""


@pytest_asyncio.fixture
async def page(context: NewContext, site: Site) -> Page:
    window = await context(color_scheme="light")
    await window.add_init_script(LISTEN)
    opened = await window.new_page()
    await opened.goto("/help/keys")
    await opened.evaluate(START)
    return opened


async def is_blue(page: Page, time: float, value: float) -> bool:
    """Whether there is something of the first line's color."""
    await page.evaluate("new Promise(requestAnimationFrame)")
    colors: list[list[int]] = await page.evaluate(PIXELS, [time, value])
    return any(blue - red > 8 for red, _, blue in colors)


async def shows(page: Page, low: float, high: float, within: float = 0.5) -> None:
    """Waits until the chart shows this part of the time."""
    ends = f"Math.abs(trace.u.scales.x.min - {low}), Math.abs(trace.u.scales.x.max - {high})"
    await until(page, f"Math.max({ends}) <= {within}")


async def test_keys_move_the_cursor_and_the_values_are_read_out(page: Page) -> None:
    chart = page.get_by_role("application", name="Power")
    readout = page.locator("#trace .trace-readout")
    await chart.focus()
    await page.keyboard.press("Home")
    await expect(readout).to_have_text("0:00:00, train: GPU 0 100 W, CPU no value")
    await page.keyboard.press("ArrowRight")
    await expect(readout).to_have_text("0:00:10, train: GPU 0 110 W, CPU 60 W")
    await page.keyboard.press("Shift+ArrowRight")
    await expect(readout).to_have_text("0:01:50, measure: GPU 0 210 W, CPU 60 W")
    await page.keyboard.press("End")
    await page.keyboard.press("ArrowRight")  # stays
    await expect(readout).to_have_text("0:02:00, measure: GPU 0 220 W, CPU 60 W")
    other = page.locator("#other .trace-readout")
    await expect(other).to_have_text("0:02:00: accuracy 0.6")
    announced = page.locator("#announcements")
    # One of the first: after five seconds, which a busy machine may take, the next is announced.
    await expect(announced).to_have_text(re.compile(r"^0:0[0-2]:[0-5]0, (train|measure): GPU 0 "))
    # The values of now follow when five seconds have passed, and not before.
    await expect(announced).to_have_text("0:02:00, measure: GPU 0 220 W, CPU 60 W", timeout=30_000)


async def test_a_chart_without_the_focus_says_nothing(page: Page) -> None:
    await page.evaluate("trace.moveTo(20)")
    await page.evaluate("new Promise((done) => setTimeout(done, 50))")
    await expect(page.locator("#announcements")).to_be_empty()


async def test_keys_and_pointer_zoom_both_charts(page: Page) -> None:
    await page.get_by_role("application", name="Power").focus()
    for key in ("Home", *["ArrowRight"] * 4, "+"):
        await page.keyboard.press(key)
    await shows(page, 10, 70)
    await until(page, "Math.round(second.u.scales.x.max) === 70")
    assert (await page.evaluate("zooms.at(-1)"))[2] is False
    await page.keyboard.press("0")
    await shows(page, 0, 121)
    assert (await page.evaluate("zooms.at(-1)"))[2] is True
    box = await page.locator("#trace .u-over").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    await page.mouse.move(box["x"] + box["width"] / 4, middle)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] / 2, middle, steps=4)
    await page.mouse.up()
    await shows(page, 30.25, 60.5, within=2)


async def test_a_gap_stays_a_gap(page: Page) -> None:
    assert await is_blue(page, 35, 135)  # the line
    assert await is_blue(page, 35, 150)  # its band
    assert not await is_blue(page, 55, 155)
    for time, value in ((45, 145), (62, 162), (66, 180)):  # at samples of the other line too
        assert not await is_blue(page, time, value)
    await page.evaluate("trace.moveTo(55)")
    await expect(page.locator("#trace .trace-readout")).to_contain_text("GPU 0 no value")


async def test_colors_follow_the_theme(page: Page) -> None:
    before = await page.evaluate("trace.colors.lines")
    await page.evaluate("document.documentElement.dataset.theme = 'dark'")
    await until(page, "trace.colors.lines[0] === 'rgb(86, 180, 233)'")
    assert before[0] == "rgb(0, 114, 178)"
    await page.evaluate("delete document.documentElement.dataset.theme")
    await until(page, "trace.colors.lines[0] === 'rgb(0, 114, 178)'")
    await page.emulate_media(color_scheme="dark")
    await until(page, "trace.colors.lines[0] === 'rgb(86, 180, 233)'")


async def test_the_data_are_a_table_too(page: Page) -> None:
    await page.get_by_text("Data as table").click()
    table = page.get_by_role("table", name="Power, 0:00:00 to 0:02:01")
    await expect(table.locator("tbody tr")).to_have_count(13)
    rows = await table.locator("tbody tr").all_inner_texts()
    assert rows[1].split("\t") == ["0:00:10", "110", "60"]
    assert rows[5].split("\t") == ["0:00:50", "no value", "60"]
    await page.evaluate("trace.zoom(20, 40)")
    await expect(page.locator("#table tbody tr")).to_have_count(3)


async def test_live_samples_are_added_and_old_ones_dropped(page: Page) -> None:
    await page.evaluate(
        """() => {
          const x = [1000, 1001];
          trace.options.keepS = 3;
          trace.zoom(null, null);
          const line = (label) => ({label, color: "--series-1", x, y: [1, 2]});
          trace.set(["GPU 0", "GPU 1"].map(line));
          for (const t of [1002, 1003, 1004, 1005]) trace.append([t], [[t - 1000], [null]]);
        }"""
    )
    await until(page, "trace.u.data[0].length === 4")
    assert await page.evaluate("trace.u.data.map((row) => [...row])") == [
        [1002, 1003, 1004, 1005],
        [2, 3, 4, 5],
        [None, None, None, None],
    ]


async def test_lines_can_lie_on_one_another(page: Page) -> None:
    await page.evaluate(
        """() => {
          const x = [0, 1, 2];
          trace.options.stacked = true;
          trace.set([[1, 2, 3], [10, null, 30]].map(
            (y, index) => ({label: `GPU ${index}`, color: "--series-1", x, y})));
        }"""
    )
    assert await page.evaluate("trace.u.data.map((row) => [...row])") == [
        [0, 1, 2],
        [1, 2, 3],
        [11, None, 33],
    ]


async def test_a_calm_reader_gets_numbers_twice_a_minute(context: NewContext, site: Site) -> None:
    window = await context(reduced_motion="reduce")
    page = await window.new_page()
    await page.goto("/help/keys")
    await page.evaluate(START)
    waits = await page.evaluate(
        """() => {
          const waits = [], later = window.setTimeout;
          window.setTimeout = (what, wait) => waits.push(wait);
          trace.drawn = Date.now();
          trace.append([200], [[1], [1]]);
          window.setTimeout = later;
          return waits;
        }"""
    )
    assert 20_000 < waits[0] <= 30_000


async def test_nothing_breaks_the_policy_or_axe(page: Page) -> None:
    await page.get_by_text("Data as table").click()
    await page.set_viewport_size({"width": 320, "height": 800})
    await until(page, "trace.u.width < 320")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    assert await page.evaluate("window.violations") == []
    assert not await wrong_for_axe(page)
