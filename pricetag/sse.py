"""Reading server-sent events.

Source: WHATWG HTML Living Standard, section 9.2.6, "Interpreting an event stream".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """One event: its kind, its data, and the id to resume after."""

    event: str
    data: str
    id: str | None

    def json(self) -> Any:
        """The data, decoded."""
        return json.loads(self.data)


def read_messages(lines: Iterable[str]) -> Iterator[Message]:
    """Messages of a stream of lines; comments are dropped, and so is what was cut off.

    Args:
        lines: Decoded lines without their ends.
    """
    event, data, last_id = "", list[str](), None
    for line in lines:
        if not line:
            if data:
                yield Message(event or "message", "\n".join(data), last_id)
            event, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            event = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            last_id = value
