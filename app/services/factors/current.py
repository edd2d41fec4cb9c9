"""Factors in force, cached until others are entered."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from app.db import Session
from app.repositories.factors import factors as factor_rows
from app.settings import Settings, get_settings
from pricetag.accounting.bill.inputs import Factors

MOST_KNOWN = 500
"""Maximum number of cached factors, after which the cache is cleared."""


Key = TypeVar("Key", bound=Hashable)


class CurrentFactors(Generic[Key]):
    """Factors resolved from the current entries, by the arguments of the resolution.

    One statement checks for new entries, instead of several for each site and kind of hardware.
    """

    def __init__(self) -> None:
        self._version: tuple[str, Settings] | None = None
        self._known: dict[Key, Factors] = {}

    async def known(self, session: Session) -> dict[Key, Factors]:
        """The factors already resolved from the current entries; the caller adds others.

        Args:
            session: Database session, only read.
        """
        version = await factor_rows.version(session), get_settings()
        if version != self._version or len(self._known) > MOST_KNOWN:
            # A resolution that is under way keeps the former dict.
            self._version, self._known = version, {}
        return self._known
