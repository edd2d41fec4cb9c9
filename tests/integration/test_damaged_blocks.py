"""Blocks of packed readings that are damaged, incomplete or doubled, and who reports them."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import commands
from app.db import Database, Session
from app.housekeeping import check_blocks
from app.repositories.readings import readings
from app.services.alarms import Alarms
from app.settings import get_settings
from models.packed.steps import WIDEST_STEPS
from tests.support.api import Api, finished_run, problem
from tests.support.packed import GPU, ZONE, pack_all, row_count, trace
from tests.support.packed_attempts import blocks, ended, wrong

DAMAGES = {
    "content": ("content = set_byte(content, 40, 255 - get_byte(content, 40))", "are damaged"),
    "hash": ("sha256 = set_byte(sha256, 0, 255 - get_byte(sha256, 0))", "packed with SHA-256"),
    "level": ("level_64 = set_byte(level_64, 9, 255 - get_byte(level_64, 9))", "level_64 does not"),
    "steps": ("steps = steps + 1", "steps does not follow"),
    "time": ("last_t_s = last_t_s + 1", "last_t_s does not follow"),
    "number": ("first_seq = first_seq + 30", "its first reading is missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_the_check_reports_damaged_blocks(db: Database, damage: str) -> None:
    await ended(db, 1, 200)
    await pack_all(db)
    assert await wrong(db) == []
    change, message = DAMAGES[damage]
    async with db.session_scope() as session:
        await session.execute(text(f"UPDATE reading_blocks SET {change} WHERE component = '{GPU}'"))
    (line,) = await wrong(db)
    assert GPU in line
    assert message in line


async def test_the_check_finds_missing_and_doubled_readings(db: Database) -> None:
    attempt_id = await ended(db, 1, 3 * WIDEST_STEPS)
    await pack_all(db)
    async with db.session_scope() as session:
        second = [block for block in await blocks(session) if block.component == GPU][1]
        await session.delete(second)
        row = {**trace(1, 1)[0], "component": ZONE, "seq": 3}
        await readings.add_readings(session, attempt_id, [row])
    lines = await wrong(db)
    assert any(f"readings of {GPU} are missing between" in line for line in lines)
    assert any(ZONE in line and "are also rows" in line for line in lines)


async def test_the_check_finds_a_missing_beginning(db: Database) -> None:
    await ended(db, 1, 2 * WIDEST_STEPS)
    await pack_all(db)
    async with db.session_scope() as session:
        first = next(block for block in await blocks(session) if block.component == GPU)
        await session.delete(first)
    (line,) = await wrong(db)
    assert GPU in line
    assert "readings before it are missing" in line


async def test_the_server_reports_a_damaged_block(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ended(db, 1, 20)
    await pack_all(db)
    alarms = Alarms()
    monkeypatch.setattr("app.housekeeping.uuid.uuid4", lambda: UUID(int=0))
    await check_blocks(db, alarms)
    assert alarms.messages == []
    async with db.session_scope() as session:
        await session.execute(text(f"UPDATE reading_blocks SET {DAMAGES['hash'][0]}"))
    await check_blocks(db, alarms)
    assert "packed with SHA-256" in alarms.messages[0]


async def test_one_damaged_block_does_not_keep_others_from_being_packed(db: Database) -> None:
    damaged, sound = await ended(db, 1, 20), await ended(db, 2, 20)
    await pack_all(db)
    async with db.session_scope() as session:
        await session.execute(text(f"UPDATE reading_blocks SET {DAMAGES['hash'][0]}"))
        await unpack_quietly(session, sound)
        late = [{**row, "component": GPU, "seq": 1000} for row in trace(1, 1)]
        await readings.add_readings(session, damaged, late)
    assert await pack_all(db) == 20
    async with db.session_scope() as session:
        assert await row_count(session) == 1


async def unpack_quietly(session: Session, attempt_id: UUID) -> None:
    await session.execute(
        text("DELETE FROM reading_blocks WHERE attempt_id = :id"), {"id": attempt_id}
    )
    rows = [{**row, "component": GPU} for row in trace(2, 20)]
    await readings.add_readings(session, attempt_id, rows)


async def test_verification_says_which_readings_are_damaged(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
        change = DAMAGES["content"][0]
        await session.execute(text(f"UPDATE reading_blocks SET {change} WHERE component = 'cpu'"))
        (block,) = [block for block in await blocks(session) if block.component == "cpu"]
    url = f"/v1/runs/{run_id}/price-tag/verification"
    verification: dict[str, Any] = (await api.viewer.get(url)).json()
    step = verification["steps"][1]
    assert (verification["outcome"], step["status"]) == ("differs", "differs")
    numbers = f"{block.first_seq} to {block.last_seq}"
    assert f"attempt 1: readings {numbers} of cpu are damaged" in step["detail"]
    response = await api.viewer.get(f"/v1/runs/{run_id}/power")
    assert f"readings {numbers} of cpu" in problem(response, 500, "readings-damaged")["detail"]


def run_command(*words: str) -> Any:
    return CliRunner().invoke(commands, ["readings", *words])


async def test_the_commands_pack_and_check(
    committed_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICETAG_DATABASE_URL", committed_db.url)
    monkeypatch.setattr("app.cli.upkeep.SHOWN_EVERY_S", -1.0)
    get_settings.cache_clear()
    await ended(committed_db, 1, 20)
    packed = await asyncio.to_thread(run_command, "pack")
    assert packed.exit_code == 0, packed.output
    assert packed.output.endswith("%  40 readings packed\n40 readings packed.\n")
    packed = await asyncio.to_thread(run_command, "pack", "--json")
    assert json.loads(packed.output) == {"packed": 0, "busy": 0}
    checked = await asyncio.to_thread(run_command, "check")
    assert (checked.exit_code, checked.output) == (
        0,
        "2 blocks checked, 0 wrong\nAll 2 blocks are correct.\n",
    )
    async with committed_db.session_scope() as session:
        await session.execute(text(f"UPDATE reading_blocks SET {DAMAGES['hash'][0]}"))
    checked = await asyncio.to_thread(run_command, "check")
    assert checked.exit_code == 1
    assert "packed with SHA-256" in checked.output
    assert checked.output.endswith("2 of 2 blocks are damaged.\n")
    checked = await asyncio.to_thread(run_command, "check", "--json")
    assert (checked.exit_code, len(json.loads(checked.output)["wrong"])) == (1, 2)
