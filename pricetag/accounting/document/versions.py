"""Versions of the accounting: the current one, and those that can be recomputed."""

from __future__ import annotations

ACCOUNTING_VERSION = "5"
"""Version of new price tags."""

REBUILT_VERSIONS = ("3", "4", "5")
"""Versions whose price tags can be recomputed digit for digit, by the rules of the version."""

_WITHOUT_ERRORS = ("1", "2", "3")
_WITHOUT_LEAST_PUE = (*_WITHOUT_ERRORS, "4")


def keeps_errors(version: str) -> bool:
    """Whether price tags of a version contain the error terms of each component."""
    return version not in _WITHOUT_ERRORS


def compares_without_opinion(version: str) -> bool:
    """Whether Pricetag's figures are stated even if no attempt has a second opinion."""
    return version not in _WITHOUT_ERRORS


def bounds_pue(version: str) -> bool:
    """Whether the error of the PUE is one of its overhead, so that the PUE is never below 1."""
    return version not in _WITHOUT_LEAST_PUE


def has_plain_texts(version: str) -> bool:
    """Whether the texts of price tags are in the plain words of :mod:`.plain_texts`."""
    return version not in _WITHOUT_LEAST_PUE


def version_to_reissue(version: str) -> str:
    """The version whose rules apply to a re-pricing: the price tag's own version, if possible."""
    return version if version in REBUILT_VERSIONS else ACCOUNTING_VERSION
