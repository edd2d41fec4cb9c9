"""Balances are checked by housekeeping, never corrected by it, and rebuilt by command."""

from __future__ import annotations

import asyncio
import copy
import json
import logging

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import commands
from app.db import Database
from app.repositories.budgets import spend
from app.repositories.budgets import upkeep as balance_upkeep
from app.services.alarms import Alarms
from app.services.budgets import upkeep
from app.services.budgets.upkeep import CHECK_EVERY_S, BalanceUpkeep
from app.settings import get_settings
from tests.integration.test_balances import differences
from tests.support.api import Api
from tests.support.budgets import make_budget
from tests.support.spending import History

runner = CliRunner()


async def begun(database: Database, seed: int, count: int = 60) -> History:
    history = History(seed)
    async with database.session_scope() as session:
        await history.begin(session, count)
    return history


async def execute(database: Database, statement: str) -> None:
    async with database.session_scope() as session:
        await session.execute(text(statement))


async def wrong_sums(database: Database) -> int:
    async with database.session_scope() as session:
        return sum([await upkeep.wrong_sums(session, p) for p in await upkeep.parts(session)])


async def look_at_all(keeper: BalanceUpkeep, database: Database, clock: list[float]) -> None:
    for _ in range(20):
        clock[0] += CHECK_EVERY_S
        await keeper.one_round(database)


WRONG = {
    "spent": "UPDATE spend_balances SET co2e_kg = co2e_kg + 1 WHERE scope = 'lab'",
    "work": "UPDATE work_balances SET it_energy_kwh = it_energy_kwh + 1 WHERE grain = 'day'",
    "repeats": "UPDATE spend_repeats SET pairs = pairs + 1 WHERE scope = 'lab'",
    "reserves": "UPDATE reserves SET co2e_kg = co2e_kg + 1",
    "counts": "UPDATE run_counts SET runs = runs + 1 WHERE scope = 'experiment'",
    "reserved": "UPDATE reserve_balances SET co2e_kg = co2e_kg + 1 WHERE scope = 'lab'",
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
async def test_a_difference_is_reported_until_it_is_corrected(
    committed_api: Api, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    database = committed_api.database
    await begun(database, 5)
    await make_budget(committed_api, name="carbon of all", metric="co2e_kg")
    clock, alarms = [0.0], Alarms()
    committed_api.app.state.resources.alarms = alarms
    keeper = BalanceUpkeep(alarms, lambda: clock[0])
    await look_at_all(keeper, database, clock)
    assert alarms.messages == []
    assert (await committed_api.nobody.get("/readyz")).json()["alarms"] == []

    await execute(database, change)
    with caplog.at_level(logging.ERROR, "pricetag.server"):
        await look_at_all(keeper, database, clock)
    ready = await committed_api.nobody.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["alarms"] == list(alarms.messages) != []
    assert "carbon of all" not in ready.text  # whoever asks has no token
    assert "run `pricetag balances rebuild`" in caplog.text
    assert len(caplog.records) == len(alarms.messages)  # each once, not in every round
    assert await wrong_sums(database) > 0

    async with database.session_scope() as session:
        parts = await upkeep.parts(session)
    for part in parts:
        await upkeep.mend(database, part)
    assert await wrong_sums(database) == 0
    await look_at_all(keeper, database, clock)
    assert alarms.messages == []


async def test_a_wrong_budget_is_named_only_in_the_log(
    committed_api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    database = committed_api.database
    await begun(database, 6)
    budget = await make_budget(committed_api, name="carbon of all", metric="co2e_kg")
    await execute(database, WRONG["spent"])
    clock, alarms = [0.0], Alarms()
    with caplog.at_level(logging.ERROR, "pricetag.server"):
        await look_at_all(BalanceUpkeep(alarms, lambda: clock[0]), database, clock)
    assert any(f"the amounts of budget {budget['id']} are wrong" in m for m in alarms.messages)
    assert "('carbon of all': spent is " in caplog.text


async def test_one_part_is_checked_a_minute(committed_db: Database) -> None:
    await begun(committed_db, 7)
    await execute(committed_db, "UPDATE spend_balances SET attempts = attempts + 1")
    clock, alarms = [0.0], Alarms()
    keeper = BalanceUpkeep(alarms, lambda: clock[0])
    counts = []
    for _ in range(4):
        for _ in range(3):
            await keeper.one_round(committed_db)
            clock[0] += CHECK_EVERY_S / 3
        counts.append(len(alarms.messages))
    assert counts == [0, 1, 2, 3]  # the reserves are right, then one month after another


async def test_a_rebuild_during_writes_leaves_correct_balances(committed_db: Database) -> None:
    """Attempts end, runs are re-priced and closed while the balances are made again."""
    histories = [await begun(committed_db, seed, 40) for seed in (11, 12, 13)]
    await execute(committed_db, "DELETE FROM spend_balances WHERE grain = 'day'")
    await execute(committed_db, "UPDATE spend_repeats SET pairs = 7")
    await execute(committed_db, "DELETE FROM reserve_balances")
    await execute(committed_db, "DELETE FROM reserves")
    clock = [0.0]
    keeper = BalanceUpkeep(Alarms(), lambda: clock[0])

    async def write(history: History) -> None:
        for _ in range(40):
            async with committed_db.session_scope() as session:
                await history.go_on(session)

    async def rebuild() -> None:
        async with committed_db.session_scope() as session:
            parts = await upkeep.parts(session)
        for part in parts:
            await upkeep.mend(committed_db, part)
            await keeper.one_round(committed_db)

    await asyncio.gather(rebuild(), *(write(history) for history in histories))
    assert await wrong_sums(committed_db) == 0


async def test_at_every_moment_beside_writers_the_balances_are_the_full_sums(
    committed_db: Database,
) -> None:
    """Each look sees one moment, in which changes and folding are whole or not there."""
    histories = [await begun(committed_db, seed, 40) for seed in (15, 16, 17)]
    done = asyncio.Event()

    async def write(history: History) -> None:
        for _ in range(40):
            before = copy.deepcopy(history.runs)
            async with committed_db.sessions() as session:
                await history.go_on(session)
                await asyncio.sleep(history.random.choice((0, 0, 0.01)))
                if history.random.random() < 0.15:
                    await session.rollback()
                    history.runs = before
                else:
                    await session.commit()

    async def fold() -> None:
        while not done.is_set():
            async with committed_db.session_scope() as session:
                await balance_upkeep.fold(session)
            await asyncio.sleep(0.02)

    async def look() -> int:
        looks = 0
        while not done.is_set():
            async with committed_db.snapshot_scope() as session:
                assert await differences(session) == []
            looks += 1
        return looks

    others = asyncio.gather(fold(), look())
    try:
        await asyncio.gather(*(write(history) for history in histories))
    finally:
        done.set()
        _, looks = await others
    assert looks > 3
    assert await wrong_sums(committed_db) == 0


async def test_writers_of_one_scope_do_not_wait_for_one_another(committed_db: Database) -> None:
    """What ends in the same lab at the same time is booked side by side, in any order."""
    history = await begun(committed_db, 14)
    first, second = [run for run in history.runs if run.attempts][:2]
    async with committed_db.session_scope() as one, committed_db.session_scope() as other:
        await spend.replace(one, first.run_id, history.spend_rows(first))
        async with asyncio.timeout(60):
            await spend.replace(other, second.run_id, history.spend_rows(second))
    assert await wrong_sums(committed_db) == 0


def test_commands_check_and_rebuild(
    committed_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICETAG_DATABASE_URL", committed_db.url)
    get_settings.cache_clear()
    asyncio.run(_on_own_engine(committed_db.url, None))
    checked = runner.invoke(commands, ["balances", "check"])
    assert checked.exit_code == 0, checked.output
    assert checked.output.endswith("All balances equal the sums of their rows.\n")

    asyncio.run(_on_own_engine(committed_db.url, WRONG["spent"]))
    checked = runner.invoke(commands, ["balances", "check", "--json"])
    assert checked.exit_code == 1
    wrong = json.loads(checked.stdout)["wrong"]
    assert wrong["reserves"] == 0
    assert sum(wrong.values()) > 0

    rebuilt = runner.invoke(commands, ["balances", "rebuild"])
    assert rebuilt.exit_code == 0, rebuilt.output
    lines = rebuilt.output.splitlines()
    assert lines[0] == f"1/{len(wrong)}  reserves: correct"
    assert lines[-1] == f"{sum(wrong.values())} sums are repaired."
    assert runner.invoke(commands, ["balances", "check"]).exit_code == 0


async def _on_own_engine(url: str, change: str | None) -> None:
    """A history, or a change: the commands run in event loops of their own."""
    database = Database(url, pool_size=1)
    if change is None:
        await begun(database, 15)
    else:
        await execute(database, change)
    await database.dispose()
