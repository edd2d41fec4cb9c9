"""Logs as JSON: one object per line, with the IDs of what the line is about."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from app.edge import request_ids
from pricetag.log_lines import about, formatter

RUN_ID = "0b5f1d3e-6a60-4a39-9f1c-5a3e8a4c7d10"


@pytest.fixture
def log() -> Any:
    """A logger, and the stream that its lines are in."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter("json", ""))
    logger = logging.getLogger("pricetag.test")
    logger.addHandler(handler)
    logger.setLevel("INFO")
    yield logger, stream
    logger.removeHandler(handler)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_lines_have_the_ids_of_their_block_in_tasks_too(log: Any) -> None:
    logger, stream = log

    async def ship() -> None:
        logger.warning("shipping\nin two lines")

    async def attempt(number: int) -> None:
        with about(run_id=RUN_ID, attempt_id=number):
            task = asyncio.create_task(ship())
            with about(attempt_id=number + 10):
                logger.info("inner %d", number)
            await task

    await asyncio.gather(attempt(1), attempt(2))
    try:
        raise ValueError("é")
    except ValueError:
        logger.exception("failed")
    *inside, outside = lines(stream)
    assert sorted((line["message"], line["attempt_id"]) for line in inside) == [
        ("inner 1", "11"),
        ("inner 2", "12"),
        ("shipping\nin two lines", "1"),
        ("shipping\nin two lines", "2"),
    ]
    assert {line["run_id"] for line in inside} == {RUN_ID}
    assert (outside["level"], outside["logger"]) == ("error", "pricetag.test")
    assert "run_id" not in outside
    assert outside["exception"].endswith("ValueError: é")
    assert outside["at"].endswith("+00:00")


async def test_requests_have_an_id_in_the_response_and_the_log(log: Any) -> None:
    logger, stream = log
    app = FastAPI()
    request_ids.install(app)

    @app.get("/v1/runs/{run_id}/price-tag")
    async def show(run_id: str) -> None:
        logger.info("shown")

    path = f"/v1/runs/{RUN_ID}/price-tag"
    async with AsyncClient(transport=ASGITransport(app), base_url="http://pricetag.test") as client:
        own = await client.get(path, headers={"X-Request-Id": "proxy-7f3a"})
        made = await client.get(path)
        forged = await client.get(path, headers={"X-Request-Id": 'x","level":"error'})
        missing = await client.get("/nothing")
    answers = [each.headers["x-request-id"] for each in (own, made, forged)]
    assert answers[0] == "proxy-7f3a"
    assert [(line["request_id"], line["run_id"]) for line in lines(stream)] == [
        (each, RUN_ID) for each in answers
    ]
    assert len(set(answers)) == 3
    assert len(answers[1]) == len(answers[2]) == 16
    assert missing.status_code == 404
    assert missing.headers["x-request-id"]


def test_text_stays_as_it_was() -> None:
    record = logging.LogRecord("pricetag.server", logging.INFO, "", 1, "started %s", ("x",), None)
    assert formatter("text", "%(name)s: %(message)s").format(record) == "pricetag.server: started x"
