"""Worker, server and database are killed while a page is open: it says so, and comes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from app import embedded_postgres
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.support.service import Service, wait_until

pytestmark = pytest.mark.slow

PATIENCE_MS = 240_000.0
POWER = "[data-power=total] data"
STATE = "[data-stream]"
TEXT = "[data-live-text]"


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page()
        opened.set_default_timeout(PATIENCE_MS)
        yield opened
        browser.close()


def is_live(page: Page) -> None:
    """The page follows the lab, and shows its power."""
    expect(page.locator(STATE)).to_have_attribute("data-live", "open", timeout=PATIENCE_MS)
    expect(page.locator(POWER).first).to_be_visible(timeout=PATIENCE_MS)


def restart_server(lab: Service) -> None:
    """Starts the server at the address that it had."""
    port = urlsplit(str(lab.http.base_url)).port
    lab.server = lab.spawn("serve", "--port", str(port), log="server")
    wait_until(lab._ready, "the server's readiness")


def test_an_open_page_says_what_it_lost_and_comes_back(lab: Service, page: Page) -> None:
    worker = lab.start_worker()
    page.goto(f"{lab.http.base_url}/login")
    page.get_by_label("Token").fill(lab.http.headers["Authorization"].removeprefix("Bearer "))
    page.locator("form").filter(has=page.get_by_label("Token")).get_by_role("button").click()
    is_live(page)

    os.kill(worker.pid, signal.SIGKILL)
    expect(page.locator(POWER)).to_have_count(0, timeout=PATIENCE_MS)
    expect(page.locator(STATE)).to_have_attribute("data-live", "open")  # the server is there
    lab.start_worker(log="worker-2")
    is_live(page)

    lab.server.kill()
    lab.server.wait()
    expect(page.locator(TEXT)).to_contain_text("Connection lost", timeout=PATIENCE_MS)
    expect(page.locator(TEXT)).to_contain_text("last seen")
    expect(page.locator(STATE)).to_have_attribute("data-live", "lost")
    restart_server(lab)
    is_live(page)

    postmaster = embedded_postgres.server_pid(lab.data_dir)
    assert postmaster is not None
    page.evaluate(
        """() => {
          window.lost = [];
          const line = document.querySelector("[data-live-text]");
          const note = () => window.lost.push(line.textContent);
          new MutationObserver(note).observe(line, { childList: true, subtree: true });
        }"""
    )
    os.kill(postmaster, signal.SIGKILL)
    said = "window.lost.some((text) => text.includes('last seen'))"
    wait_until(lambda: bool(page.evaluate(said)), "the page's word about the database")
    is_live(page)
