"""Data and model files of a run: from the journal to its price tag, report and comparison."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app.db import Session
from app.services.attempts import execution
from models import RejectedRecord
from tests.support.api import Api
from tests.support.executions import JournalMaker, claimed, make_run

TRAIN: dict[str, Any] = {
    "role": "data.train",
    "path": "sst2/train.tsv",
    "size_bytes": 3_806_081,
    "sha256": "a" * 64,
    "reason": None,
}
HUB: dict[str, Any] = {
    "role": "model",
    "path": "org/base",
    "size_bytes": None,
    "sha256": None,
    "reason": "of the Hugging Face hub, not a local file",
}


async def run_with(session: Session, *files: dict[str, Any]) -> str:
    """A finished run whose job reported these files after its software."""
    run = await make_run(session)
    claim = await claimed(session, run.id)
    journal = JournalMaker(claim.attempt_id)
    journal.start()
    journal.add("environment", 0.0, inputs=list(files))
    journal.whole()
    await execution.ingest(session, claim.attempt_id, journal.records)
    return str(run.id)


async def read(api: Api, path: str, **query: str) -> dict[str, Any]:
    response = await api.viewer.get(path, params=query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_files_are_in_the_price_tag_which_verifies(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await run_with(session, TRAIN, HUB)
    provenance = (await read(api, f"/v1/runs/{run_id}/price-tag"))["provenance"]
    assert provenance["inputs"] == [TRAIN, HUB]
    assert provenance["packages"] == {"torch": "2.13.0"}
    verification = await read(api, f"/v1/runs/{run_id}/price-tag/verification")
    assert verification["outcome"] == "verified"


async def test_a_file_with_another_content_is_announced_by_a_comparison(api: Api) -> None:
    async with api.database.session_scope() as session:
        first, same = [await run_with(session, TRAIN, HUB) for _ in range(2)]
        edited = await run_with(session, TRAIN | {"sha256": "b" * 64}, HUB)
    for b, expected in (
        (same, []),
        (edited, [f"data.train: sha256 {'a' * 12} (a), sha256 {'b' * 12} (b)"]),
    ):
        assert (await read(api, "/v1/comparisons", a=first, b=b))["differences"] == expected


@pytest.mark.parametrize("report_format", ["json", "md", "html"])
async def test_files_are_in_the_report(api: Api, report_format: str) -> None:
    async with api.database.session_scope() as session:
        run_id = await run_with(session, TRAIN, HUB)
    made = await api.member.post("/v1/reports", json={"title": "Costs", "runs": [run_id]})
    assert made.status_code == 201, made.text
    place = f"/v1/reports/{made.json()['id']}.{report_format}"
    shown = await api.viewer.get(place)
    assert shown.status_code == 200, shown.text
    assert "a" * 64 in shown.text
    assert HUB["reason"] in shown.text


@pytest.mark.parametrize(
    "wrong", [{"sha256": "A" * 64}, {"size_bytes": -1}, {"role": None}, {"path": "p" * 1001}]
)
async def test_a_malformed_file_does_not_take_the_figures_away(
    api: Api, session: Session, wrong: dict[str, Any]
) -> None:
    run_id = await run_with(session, TRAIN | wrong)
    await session.commit()
    rejected = (await session.scalars(select(RejectedRecord))).one()
    assert "inputs" in str(rejected.reason)
    tag = await read(api, f"/v1/runs/{run_id}/price-tag")
    assert "inputs" not in tag["provenance"]
    assert tag["it_energy_kwh"]["value"] > 0
