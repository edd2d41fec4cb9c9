"""The server's address: taken by another program, and published for this machine's commands."""

from __future__ import annotations

import gc
import json
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from app import serving
from app.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def first_url() -> Iterator[str]:
    """The address of a server that listens while the test runs."""
    with serving.bind("127.0.0.1", 0) as listener:
        yield serving.url_of(listener, "127.0.0.1")


def published(settings: Settings) -> object:
    return json.loads(serving.address_file(settings).read_text())


def test_a_second_server_leaves_the_first_one_s_address(
    settings: Settings, first_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = {"url": first_url, "pid": os.getppid()}
    serving.address_file(settings).write_text(json.dumps(first))
    with caplog.at_level(logging.WARNING), serving.address_left(settings, "http://127.0.0.1:9"):
        assert published(settings) == first
    assert published(settings) == first
    assert first_url in caplog.text
    assert "--url http://127.0.0.1:9" in caplog.text


@pytest.mark.parametrize("stale", ["not JSON", "{}", '{"url": 1, "pid": "x"}', "living", "gone"])
def test_the_address_of_a_server_that_is_gone_is_replaced(
    settings: Settings, first_url: str, stale: str
) -> None:
    # Its process ID went to another process, or its port did.
    records = {
        "living": {"url": "http://127.0.0.1:1", "pid": os.getppid()},
        "gone": {"url": first_url, "pid": 2**22 + 1},
    }
    text = json.dumps(records[stale]) if stale in records else stale
    serving.address_file(settings).write_text(text)
    with serving.address_left(settings, "http://127.0.0.1:9"):
        assert published(settings) == {"url": "http://127.0.0.1:9", "pid": os.getpid()}
    assert not serving.address_file(settings).exists()


def test_an_address_in_use_is_named_with_what_to_do(first_url: str) -> None:
    port = int(first_url.rpartition(":")[2])
    with pytest.raises(OSError, match=rf"^127\.0\.0\.1:{port} is already in use: .*--port 0"):
        serving.bind("127.0.0.1", port)


def test_an_address_that_is_not_this_machine_s_is_named() -> None:
    with pytest.raises(OSError, match=r"^192\.0\.2\.1:80 cannot be listened on: Cannot assign"):
        serving.bind("192.0.2.1", 80)


def test_objects_loaded_before_serving_are_not_collected_again() -> None:
    scanned: list[int] = []

    class Server:
        def run(self, sockets: list[socket.socket]) -> None:
            scanned.append(len(gc.get_objects()))

    gc.unfreeze()
    loaded = len(gc.get_objects())
    with socket.socket() as listener:
        serving.run_server(cast(Any, Server()), listener)
    assert scanned[0] < loaded / 100
