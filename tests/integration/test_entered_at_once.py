"""The same entry several times at once: one succeeds, and the others get an error."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.api import Api, problem
from tests.support.entries import hours_csv, series

SERIES = series("DE", hours_csv(("2026-03-02T11:00Z", 200), ("2026-03-02T12:00Z", 210)))


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/sites", {"name": "berlin", "grid_zone": "DE"}, "site-exists"),
        ("/v1/carbon/import", SERIES, "series-exists"),
    ],
)
async def test_one_of_many_simultaneous_creations_succeeds(
    committed_api: Api, path: str, body: dict[str, Any], code: str
) -> None:
    posted = (committed_api.admin.post(path, json=body) for _ in range(6))
    answers = sorted(await asyncio.gather(*posted), key=lambda response: response.status_code)
    assert [response.status_code for response in answers] == [201, 409, 409, 409, 409, 409]
    for response in answers[1:]:
        problem(response, 409, code)
