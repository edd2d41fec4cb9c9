"""Times of the web pages on a filled database, and what a browser makes of them.

    python -m benchmarks.lab fill --data FOLDER --runs 100000
    python -m benchmarks.pages --data FOLDER --browser --markdown pages.md

Each page is requested on one kept-alive connection, as an administrator. With `--browser`,
Chromium opens each page with an empty cache: largest contentful paint, layout shift, and the
bytes of scripts and styles, compressed.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg

from benchmarks.lab import tables
from benchmarks.lab.facts import Facts, read_facts
from benchmarks.lab.measure import SETTLED_S, TIMEOUT_S, Limits, Measurer, Timed, server, write_json
from benchmarks.lab.requests import LIST_MS, Ask
from tests.support.site import PAGES

CHROMIUM = "/usr/bin/chromium"
FIRST_BYTE_P50_MS = 40.0
PAINT_MS = 800.0
SCRIPT_KB = 45.0
STYLE_KB = 6.0
KB = 1000.0

PAINT = """() => new Promise((resolve) => {
  let paint = 0, shift = 0;
  new PerformanceObserver((list) => { for (const e of list.getEntries()) paint = e.startTime; })
    .observe({type: "largest-contentful-paint", buffered: true});
  new PerformanceObserver((list) => {
    for (const e of list.getEntries()) if (!e.hadRecentInput) shift += e.value;
  }).observe({type: "layout-shift", buffered: true});
  setTimeout(() => resolve([paint, shift]), 700);
})"""


@dataclass(frozen=True)
class Opened:
    """A page in the browser, with an empty cache.

    Attributes:
        paint_ms: Largest contentful paint since the request began.
        shift: Cumulative layout shift.
        script_kb: Its scripts, compressed.
        style_kb: Its styles, compressed.
    """

    path: str
    paint_ms: float
    shift: float
    script_kb: float
    style_kb: float

    @property
    def verdict(self) -> str:
        is_fine = self.paint_ms <= PAINT_MS and self.shift == 0
        sizes_fine = self.script_kb <= SCRIPT_KB and self.style_kb <= STYLE_KB
        return "ok" if is_fine and sizes_fine else "over"


def paths(facts: Facts) -> Iterator[str]:
    """Every page that the tests visit, with what this database holds, and more runs and lists."""
    names = {"run": facts["run"], "node": facts["node"], "budget": facts["budget"]}
    names |= {"project": facts.active, "user": "user 07"}
    for path in PAGES:
        filled = path.format_map(_Known(names))
        if "no-such" not in path and "{" not in filled:
            yield filled
    for name in ("old_run", "repriced", "resumed", "running", "traced", "chained"):
        if facts[name] and "/runs/{run}" in PAGES:
            yield f"/runs/{facts[name]}"
    since = (facts.until - timedelta(days=365)).date().isoformat()
    yield "/runs?sort=name"
    yield "/runs?sort=-finished_at&limit=200"
    yield f"/runs?project={facts.active}&status=failed"
    yield f"/runs?created_after={since}T00:00Z&q=bert"


class _Known(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return f"{{{key}}}"


def asks(facts: Facts) -> list[Ask]:
    """A row for each page."""
    seen: dict[str, Ask] = {}
    for path in paths(facts):
        address, _, query = path.partition("?")
        seen[path] = Ask("page", path, address, LIST_MS, [dict(httpx.QueryParams(query).items())])
    return list(seen.values())


@contextmanager
def signed_in(base_url: str, token: str) -> Iterator[httpx.Client]:
    """A client with the cookie of an administrator's session."""
    with httpx.Client(base_url=base_url, timeout=TIMEOUT_S) as client:
        own = {"Origin": base_url}
        response = client.post("/login", data={"token": token, "next": "/"}, headers=own)
        if response.status_code != httpx.codes.SEE_OTHER:
            raise RuntimeError(f"signing in answered {response.status_code}")
        yield client


def in_browser(base_url: str, cookies: Mapping[str, str], addresses: Sequence[str]) -> list[Opened]:
    """Opens each page in Chromium, each time with an empty cache."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        made = [_open(chromium, base_url, cookies, path) for path in addresses]
        chromium.close()
    return made


def _open(chromium: Any, base_url: str, cookies: Mapping[str, str], path: str) -> Opened:
    window = chromium.new_context(base_url=base_url)
    window.add_cookies([{"name": n, "value": v, "url": base_url} for n, v in cookies.items()])
    page = window.new_page()
    kilobytes = {"script": 0.0, "stylesheet": 0.0}

    def note(response: Any) -> None:
        kind = response.request.resource_type
        if kind in kilobytes:
            kilobytes[kind] += len(gzip.compress(response.body())) / KB

    page.on("response", note)
    page.goto(path, wait_until="load")
    paint_ms, shift = page.evaluate(PAINT)
    window.close()
    return Opened(path, paint_ms, shift, kilobytes["script"], kilobytes["stylesheet"])


def opened_table(rows: Sequence[Opened]) -> str:
    """What the browser measured, in Markdown."""
    lines = [
        "| page | largest paint ms | layout shift | script kB | style kB | |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in rows:
        lines.append(
            f"| `{row.path}` | {row.paint_ms:.0f} | {row.shift:.3f} | {row.script_kb:.1f} |"
            f" {row.style_kb:.1f} | {row.verdict} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; exits with 1 if a page is over its goal."""
    parser = argparse.ArgumentParser(prog="benchmarks.pages", description=__doc__)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--data", type=Path, help="data folder with a filled embedded PostgreSQL")
    place.add_argument("--database-url", help="PostgreSQL database of a superuser")
    parser.add_argument("--repeats", type=int, default=20, help="requests of a page")
    parser.add_argument("--only", default="", help="part of the paths to measure")
    parser.add_argument("--browser", action="store_true", help="open each page in Chromium, too")
    parser.add_argument("--json", type=Path, help="file for the times")
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    options = parser.parse_args(arguments)
    rows: list[Timed] = []
    opened: list[Opened] = []
    with server(options.data, options.database_url) as (lab, url):
        with psycopg.connect(url) as connection:
            facts = read_facts(connection)
        time.sleep(SETTLED_S)
        base_url = str(lab.http.base_url).rstrip("/")
        token = str(lab.http.headers["Authorization"]).removeprefix("Bearer ")
        wanted = [ask for ask in asks(facts) if options.only in ask.title]
        with signed_in(base_url, token) as client:
            measurer = Measurer({"admin": client}, Limits(options.repeats, 10.0))
            for ask in wanted:
                rows.append(measurer.measure(ask, "admin"))
                print(tables.line(rows[-1]), flush=True)
            if options.browser:
                opened = in_browser(base_url, dict(client.cookies), [ask.title for ask in wanted])
    text = f"{tables.markdown(rows)}\n{opened_table(opened) if opened else ''}\n"
    print(text)
    if options.json is not None:
        write_json(options.json, rows)
    if options.markdown is not None:
        options.markdown.write_text(text)
    slow = [row for row in rows if row.verdict != "ok" or row.p50_ms > FIRST_BYTE_P50_MS]
    return 1 if slow or any(row.verdict != "ok" for row in opened) else 0


if __name__ == "__main__":
    sys.exit(main())
