"""Names of browsers, from what they call themselves."""

from __future__ import annotations

import re

# In this order: most browsers also name those that they are similar to.
BROWSERS = (
    ("Edge", r"Edg(?:e|A|iOS)?/(\d+)"),
    ("Opera", r"OPR/(\d+)"),
    ("Samsung Internet", r"SamsungBrowser/(\d+)"),
    ("Firefox", r"(?:Firefox|FxiOS)/(\d+)"),
    ("Chromium", r"Chromium/(\d+)"),
    ("Chrome", r"(?:Headless)?(?:Chrome|CriOS)/(\d+)"),
    ("Safari", r"Version/(\d+)\S* (?:Mobile/\S+ )?Safari/"),
)
SYSTEMS = (
    ("Android", r"Android"),
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("ChromeOS", r"CrOS"),
    ("Windows", r"Windows"),
    ("macOS", r"Mac OS X|Macintosh"),
    ("Linux", r"Linux|X11"),
)
NOT_STATED = "not stated"


def browser_name(agent: str | None) -> str:
    """A browser's name for people, such as ``Firefox 133 on Linux``.

    Args:
        agent: What the browser calls itself (``User-Agent``); None if it sent nothing.

    Returns:
        The name, or the text as it is where it names no browser that is known here.
    """
    if not agent:
        return NOT_STATED
    system = next((name for name, pattern in SYSTEMS if re.search(pattern, agent)), None)
    for name, pattern in BROWSERS:
        if (match := re.search(pattern, agent)) is not None:
            version = f"{name} {match[1]}"
            return f"{version} on {system}" if system else version
    return agent
