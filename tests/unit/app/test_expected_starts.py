"""Expected starts of waiting runs are computed beside other requests."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from app.services.queueing import starts


async def test_the_queue_is_played_forward_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def played(places: Any, held: Any, jobs: Any) -> list[None]:
        threads.append(threading.get_ident())
        return []

    monkeypatch.setattr(starts, "expected_starts", played)
    assert await starts.expected([], [], [], {}, datetime.now(UTC)) == {}
    [thread] = threads
    assert thread != threading.get_ident()
