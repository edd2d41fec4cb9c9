"""Names of browsers on the pages that list them."""

from __future__ import annotations

import pytest

from app.web.views.browsers import browser_name

KIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0", "Firefox 133"),
        (f"Mozilla/5.0 (X11; Linux x86_64) {KIT} Chrome/131.0.0.0 Safari/537.36", "Chrome 131"),
        (f"Mozilla/5.0 (X11; Linux) {KIT} HeadlessChrome/131.0 Safari/537.36", "Chrome 131"),
    ],
)
def test_a_browser_on_linux_is_named_with_its_version(agent: str, name: str) -> None:
    assert browser_name(agent) == f"{name} on Linux"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64) {KIT} Chrome/131.0.0.0 Safari/537.36 Edg/131.0",
            "Edge 131 on Windows",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like "
            "Gecko) Version/17.5 Safari/605.1.15",
            "Safari 17 on macOS",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
            "like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "Safari 17 on iPhone",
        ),
        (
            f"Mozilla/5.0 (Linux; Android 14; SM-S901B) {KIT} SamsungBrowser/25.0 Chrome/121.0"
            " Mobile Safari/537.36",
            "Samsung Internet 25 on Android",
        ),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", "not stated"),
        (None, "not stated"),
    ],
)
def test_a_browser_is_not_taken_for_one_that_it_imitates(agent: str | None, name: str) -> None:
    assert browser_name(agent) == name
