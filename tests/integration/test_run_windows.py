"""Energy of a part of an attempt: the stage's own figure, additive, and clear errors."""

from __future__ import annotations

import itertools
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import pytest

from app.services.attempts import execution
from app.services.runs import windows
from tests.support.api import Api, finished_run, problem, running_run
from tests.support.executions import JournalMaker, claimed, make_run


async def run_of(api: Api) -> UUID:
    async with api.database.session_scope() as session:
        return await finished_run(session)


async def energy(api: Api, run_id: UUID, from_s: float, to_s: float, **query: Any) -> Any:
    response = await api.viewer.get(
        f"/v1/runs/{run_id}/energy", params={"from_s": from_s, "to_s": to_s, **query}
    )
    assert response.status_code == 200, response.text
    return without_none(response.json())


def without_none(value: Any) -> Any:
    """JSON without fields that are null, which the price tag omits."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return [without_none(item) for item in value] if isinstance(value, list) else value


async def test_the_window_of_a_stage_has_the_energy_of_the_stage(api: Api) -> None:
    run_id = await run_of(api)
    tag = without_none((await api.viewer.get(f"/v1/runs/{run_id}/price-tag")).json())
    for stage, (from_s, to_s) in zip(tag["stages"], ((0, 10), (10, 15)), strict=True):
        window = await energy(api, run_id, from_s, to_s)
        assert window["it_energy_kwh"] == stage["it_energy_kwh"]
        assert window["power_w"] == stage["power_w"]
        assert window["coverage_ratio"] == stage["coverage_ratio"]
        by_id = {part["id"]: part["it_energy_kwh"] for part in stage["components"]}
        assert {part["id"]: part["it_energy_kwh"] for part in window["components"]} == by_id
    whole = await energy(api, run_id, 0, 16)
    assert whole["it_energy_kwh"] == tag["it_energy_kwh"]
    assert whole["price_tag_version"] == 1


async def test_windows_that_adjoin_add_up_and_lie_in_their_intervals(api: Api) -> None:
    run_id = await run_of(api)
    edges = [0.0, 3.3, 7.25, 12.0, 16.0]
    parts = [await energy(api, run_id, *pair) for pair in itertools.pairwise(edges)]
    whole = await energy(api, run_id, 0, 16)
    values = [part["it_energy_kwh"]["value"] for part in parts]
    assert sum(values) == pytest.approx(whole["it_energy_kwh"]["value"], rel=1e-9)
    for part in parts:
        quantity = part["it_energy_kwh"]
        assert quantity["low"] < quantity["value"] < quantity["high"]
        assert quantity["source"] == "modelled"  # as the processor


async def test_a_window_beyond_the_end_ends_there_as_coverage_says(api: Api) -> None:
    run_id = await run_of(api)
    window = await energy(api, run_id, 10, 100)
    assert window["it_energy_kwh"]["value"] == pytest.approx(6 * 150 / 3.6e6)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"from_s": 5, "to_s": 5}, 422, "invalid-window"),
        ({"from_s": 16, "to_s": 20}, 422, "invalid-window"),
        ({"from_s": 1, "to_s": 2, "attempt": 2}, 404, "attempt-not-found"),
        ({"from_s": -1, "to_s": 2}, 422, "invalid-request"),
        ({"from_s": "nan", "to_s": 2}, 422, "invalid-request"),
        ({"to_s": 2}, 422, "invalid-request"),
    ],
)
async def test_a_window_that_does_not_exist_is_rejected(
    api: Api, query: dict[str, Any], status: int, code: str
) -> None:
    run_id = await run_of(api)
    response = await api.viewer.get(f"/v1/runs/{run_id}/energy", params=query)
    problem(response, status, code)


async def test_an_attempt_that_continues_has_no_window_yet(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await running_run(session, 5)
    response = await api.viewer.get(f"/v1/runs/{run_id}/energy?from_s=1&to_s=2")
    assert "has not ended" in problem(response, 409, "attempt-open")["detail"]


async def _with_lines(api: Api, lines: list[str]) -> UUID:
    async with api.database.session_scope() as session:
        run = await make_run(session)
        for half in (lines[: len(lines) // 2], lines[len(lines) // 2 :]):
            claim = await claimed(session, run.id)
            journal = JournalMaker(claim.attempt_id)
            journal.start()
            for text in half:
                journal.add("log", 1.0, stream="stdout", text=text)
            journal.add("end", 2.0, status="interrupted", reason=None)
            await execution.ingest(session, claim.attempt_id, journal.records)
    return run.id


async def test_the_newest_lines_and_those_with_a_text_are_found(api: Api) -> None:
    run_id = await _with_lines(api, ["epoch 1", "Loss 50%", "epoch 2", "loss 40_", "done"])

    async def texts(**query: Any) -> list[str]:
        response = await api.viewer.get(f"/v1/runs/{run_id}/logs", params=query)
        assert response.status_code == 200, response.text
        return [f"{line['attempt']} {line['text']}" for line in response.json()["items"]]

    assert await texts(newest="true", limit=4) == [
        "1 Loss 50%",
        "2 epoch 2",
        "2 loss 40_",
        "2 done",
    ]
    assert await texts(q="LOSS") == ["1 Loss 50%", "2 loss 40_"]
    assert await texts(q="%") == ["1 Loss 50%"]
    assert await texts(q="_", newest="true") == ["2 loss 40_"]
    assert await texts(q="epoch", newest="true", limit=1) == ["2 epoch 2"]
    first = await api.viewer.get(f"/v1/runs/{run_id}/logs?q=epoch&limit=1")
    after = first.json()["next_after"]
    assert await texts(q="epoch", after=after) == ["2 epoch 2"]
    both = await api.viewer.get(f"/v1/runs/{run_id}/logs?newest=true&after={after}")
    problem(both, 422, "after-the-newest")


async def test_few_windows_are_computed_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = await run_of(api)
    monkeypatch.setattr(windows, "AT_ONCE", 0)
    monkeypatch.setattr(windows, "WAIT_S", 0.01)
    monkeypatch.setattr(windows, "_PLACES", WeakKeyDictionary())
    query = {"from_s": 1, "to_s": 2}
    busy = await api.viewer.get(f"/v1/runs/{run_id}/energy", params=query)
    problem(busy, 503, "windows-busy")
    assert busy.headers["retry-after"]
    page = await api.viewer.get(f"/runs/{run_id}", params=query, headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "Too many windows are being computed" in page.text
    monkeypatch.setattr(windows, "AT_ONCE", 1)
    monkeypatch.setattr(windows, "WAIT_S", 60.0)
    monkeypatch.setattr(windows, "_PLACES", WeakKeyDictionary())
    for _ in range(2):  # an error gives its place back too
        with monkeypatch.context() as patch:
            patch.setattr(windows, "_price", None)
            failed = await api.viewer.get(f"/v1/runs/{run_id}/energy", params=query)
            assert failed.status_code == 500
    await energy(api, run_id, 1, 2)
