"""Readers of event streams, over HTTP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit


async def follow(url: str, token: str, runs: Sequence[str], streams: int) -> None:
    """Follows runs until the input ends; prints a line once all are open, then the events."""
    address = urlsplit(url)
    counts = [0] * streams
    opened = 0

    async def one(number: int) -> None:
        nonlocal opened
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        path = f"/v1/runs/{runs[number % len(runs)]}/events"
        head = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(head.encode())
        try:
            status = await reader.readline()
            assert b" 200 " in status, status
            opened += 1
            while chunk := await reader.read(65536):
                counts[number] += chunk.count(b"data:")
        finally:
            writer.close()

    tasks = [asyncio.create_task(one(number)) for number in range(streams)]
    while opened < streams:
        await asyncio.sleep(0.1)
        for task in tasks:
            if task.done():
                task.result()
    print("open", flush=True)
    # Each line of input asks for the events so far; its end ends the streams.
    while await asyncio.to_thread(sys.stdin.readline):
        print(sum(counts), flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
