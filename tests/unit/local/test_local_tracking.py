from __future__ import annotations

import os
import threading
from contextlib import nullcontext, suppress

import pytest

from pricetag import script
from pricetag.events import ENV_VAR
from pricetag.local.tracking import Track, track


def test_of_two_blocks_that_begin_at_once_one_is_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_VAR, "")
    both = threading.Barrier(2)
    started: list[Track] = []

    def start(block: Track) -> None:
        with suppress(threading.BrokenBarrierError):  # the other thread waits for this start
            both.wait(timeout=0.5)
        started.append(block)
        os.environ[ENV_VAR] = "/nowhere"

    monkeypatch.setattr(Track, "_start", start)
    monkeypatch.setattr(script, "stage", lambda *_, **__: nullcontext())
    blocks = [track(name, quiet=True) for name in ("one", "two")]
    threads = [threading.Thread(target=block.__enter__) for block in blocks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(started) == 1
