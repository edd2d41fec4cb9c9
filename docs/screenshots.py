"""Pictures of the dashboard for the documentation, of the data that `make demo` made.

    make demo
    make screenshots

A server is started on the demo's data, and Chromium opens its pages as an administrator.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from playwright.sync_api import Browser, ViewportSize, sync_playwright

from app import embedded_postgres
from app.demo import ROOT, demo_environment, demo_token, output_of, running_service
from pricetag.cli.console import say
from pricetag.client import Client

CHROMIUM = "/usr/bin/chromium"
IMAGES = ROOT / "docs" / "images"
SETTLED_MS = 8000.0
"""Charts are drawn and live lines have points by then."""
SIZE: ViewportSize = {"width": 1280, "height": 800}

PICTURES: Mapping[str, tuple[str, str]] = {
    "run": ("/runs/{run}", "light"),
    "compressions": ("/insights/compressions", "dark"),
}
"""Path and theme of each picture, by its name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Takes the pictures; ends with an error if there are no data yet."""
    parser = argparse.ArgumentParser(prog="docs.screenshots", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".pricetag" / "demo", help="the demo's folder"
    )
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder for the pictures")
    options = parser.parse_args(arguments)
    folder = options.folder.absolute()
    if not (folder / "data").exists():
        sys.exit(f"screenshots: {folder} has no data; run `make demo` first")
    options.out.mkdir(parents=True, exist_ok=True)
    environment = demo_environment(folder)
    try:
        with running_service(folder, environment) as url:
            with Client(url, demo_token(environment)) as client:
                run = str(client.list_runs(limit=1)["items"][0]["id"])
            link = output_of(environment, "pricetag", "sign-in").strip()
            with sync_playwright() as playwright:
                chromium = playwright.chromium.launch(
                    executable_path=CHROMIUM, args=["--headless", "--no-sandbox"]
                )
                _take(chromium, url, link, run, options.out)
                chromium.close()
    finally:
        embedded_postgres.stop(folder / "data")
    return 0


def _take(chromium: Browser, url: str, link: str, run: str, folder: Path) -> None:
    window = chromium.new_context(base_url=url, viewport=SIZE)
    page = window.new_page()
    page.goto(link)
    for name, (path, theme) in PICTURES.items():
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        page.goto(path.format(run=run), wait_until="load")
        page.wait_for_timeout(SETTLED_MS)
        page.screenshot(path=folder / f"{name}.png")
        say(str(folder / f"{name}.png"))


if __name__ == "__main__":
    sys.exit(main())
