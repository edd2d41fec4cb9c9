"""Idle powers of nodes: stored once, the newest of each state is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.db import Database
from app.services.attempts import execution
from app.services.energy import baselines
from app.services.energy.baselines import IdlePower
from tests.support.api import Api

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
IDLE = IdlePower("gpu:GPU-1", "driver 560, P8", 61.5, 0.4, 60.0, "counter", NOW)


async def test_sending_the_newest_baseline_of_each_state_again_has_no_effect(db: Database) -> None:
    older = replace(IDLE, power_w=59.0, measured_at=NOW - timedelta(hours=2))
    other_state = replace(IDLE, state="driver 560, P0", power_w=80.0)
    async with db.session_scope() as session:
        await baselines.record(session, "a", [older, IDLE])
        await baselines.record(session, "a", [IDLE, other_state])
        await baselines.record(session, "b", [older])
        await baselines.record(session, "b", [])
        newest = await baselines.newest(session)
    assert newest == {"a": [other_state, IDLE], "b": [older]}


@pytest.mark.parametrize("power_w", [-1.0, float("nan")])
def test_an_impossible_power_is_rejected(power_w: float) -> None:
    with pytest.raises(ValueError, match="power_w must be 0 or more"):
        replace(IDLE, power_w=power_w)


async def test_nodes_show_their_idle_power(api: Api) -> None:
    async with api.database.session_scope() as session:
        await execution.register_node(session, "a", "default", [], {})
        await baselines.record(session, "a", [IDLE])
    [node] = (await api.viewer.get("/v1/nodes")).json()["items"]
    [baseline] = node["baselines"]
    assert baseline["component"] == "gpu:GPU-1"
    assert (baseline["power_w"], baseline["power_std_w"], baseline["source"]) == (
        61.5,
        0.4,
        "counter",
    )
    assert datetime.fromisoformat(baseline["measured_at"]) == NOW
