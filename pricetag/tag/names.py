"""Names that scripts chose, as tables show them."""

from __future__ import annotations

from typing import Protocol

from pricetag.one_line import one_line

MAX_SHOWN = 60
"""Characters of a stage's name in a table."""


class Named(Protocol):
    """A stage of a price tag."""

    @property
    def name(self) -> str:
        """What the script calls it."""
        ...

    @property
    def kind(self) -> str:
        """What sort of work it is."""
        ...


def shown_name(stage: Named) -> str:
    """A stage's name, else its kind, in one short line: a script may call a stage anything."""
    return one_line(stage.name or stage.kind, MAX_SHOWN)
