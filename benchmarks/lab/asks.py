"""A row of the measurement: what is asked, and how long it may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LIST_MS = 100.0
POST_MS = 50.0
VERIFY_MS = 500.0
PDF_MS = 2000.0

Query = Mapping[str, Any]


@dataclass(frozen=True)
class Ask:
    """One row of the measurement.

    Attributes:
        operation: The operation's id in the OpenAPI document.
        title: What is asked, for people.
        goal_ms: The 95th percentile must not be longer.
        queries: Parameters, taken in turn.
        body: Of a POST.
        in_table: Whether it is a row of the table of goals.
        callers: Who asks; all by default.
        is_missing: Whether an error is the right answer, as nothing has that name.
    """

    operation: str
    title: str
    path: str
    goal_ms: float = LIST_MS
    queries: Sequence[Query] = field(default_factory=lambda: [{}])
    body: Mapping[str, Any] | None = None
    in_table: bool = False
    callers: frozenset[str] = frozenset({"admin", "member", "outsider"})
    is_missing: bool = False
