"""The installed version of Pricetag."""

from __future__ import annotations


def installed_version() -> str:
    """The version; ``0+unknown`` of a checkout that was never installed."""
    # Imported here: a program that `pricetag run` starts does not wait for it.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pricetag")
    except PackageNotFoundError:
        return "0+unknown"
