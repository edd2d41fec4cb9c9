"""Alarms and notices for administrators, shown by the health checks."""

from __future__ import annotations

from collections.abc import Sequence


class Alarms:
    """The alarms (or notices) of one server process, each under the name of what was checked."""

    def __init__(self) -> None:
        self._messages: dict[str, str] = {}

    def put(self, name: str, message: str | None) -> bool:
        """Sets the alarm of a check, or clears it (None); returns whether that changes anything."""
        before = self._messages.get(name)
        if message is None:
            self._messages.pop(name, None)
        else:
            self._messages[name] = message
        return before != message

    @property
    def messages(self) -> Sequence[str]:
        """The alarms, in the order in which they were raised."""
        return list(self._messages.values())
