"""Names chosen by scripts, as tables show them."""

from __future__ import annotations

from typing import Protocol

from pricetag.one_line import one_line

MAX_SHOWN = 60
"""Maximum length of a stage's name in a table, in characters."""


class Named(Protocol):
    """A stage of a price tag."""

    @property
    def name(self) -> str:
        """The name chosen by the script."""
        ...

    @property
    def kind(self) -> str:
        """The kind of work."""
        ...


def shown_name(stage: Named) -> str:
    """A stage's name, or its kind, in one short line: a script may choose any name."""
    return one_line(stage.name or stage.kind, MAX_SHOWN)
