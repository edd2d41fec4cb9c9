"""Versions of the accounting: which one issues, and which ones can be worked out again."""

from __future__ import annotations

ACCOUNTING_VERSION = "4"
"""Version of new price tags."""

REBUILT_VERSIONS = ("3", "4")
"""Price tags of these are worked out again digit for digit, under the rules of their version."""

_WITHOUT_ERRORS = ("1", "2", "3")


def keeps_errors(version: str) -> bool:
    """Whether price tags of a version hold what the error of each component is made of."""
    return version not in _WITHOUT_ERRORS


def compares_without_opinion(version: str) -> bool:
    """Whether Pricetag's figures are given beside a second opinion that no attempt has."""
    return version not in _WITHOUT_ERRORS


def version_to_reissue(version: str) -> str:
    """The version whose rules apply where a price tag is priced again: its own, if possible."""
    return version if version in REBUILT_VERSIONS else ACCOUNTING_VERSION
