"""The installed version of Pricetag."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """The version; ``0+unknown`` of a checkout that was never installed."""
    try:
        return version("pricetag")
    except PackageNotFoundError:
        return "0+unknown"
