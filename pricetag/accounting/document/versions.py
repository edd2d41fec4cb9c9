"""Versions of the accounting: the current one, and those that can be recomputed."""

from __future__ import annotations

ACCOUNTING_VERSION = "4"
"""Version of new price tags."""

REBUILT_VERSIONS = ("3", "4")
"""Versions whose price tags can be recomputed digit for digit, by the rules of the version."""

_WITHOUT_ERRORS = ("1", "2", "3")


def keeps_errors(version: str) -> bool:
    """Whether price tags of a version contain the error terms of each component."""
    return version not in _WITHOUT_ERRORS


def compares_without_opinion(version: str) -> bool:
    """Whether Pricetag's figures are stated even if no attempt has a second opinion."""
    return version not in _WITHOUT_ERRORS


def version_to_reissue(version: str) -> str:
    """The version whose rules apply to a re-pricing: the price tag's own version, if possible."""
    return version if version in REBUILT_VERSIONS else ACCOUNTING_VERSION
