"""A run with everything a worker would have left, for tests of the API."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.db import Session
from app.schemas.common import Role
from app.schemas.tokens import TokenCreate
from app.services import execution, tokens
from tests.support.executions import JournalMaker, claimed, make_run

COMMAND: dict[str, Any] = {"stages": [{"kind": "command", "argv": ["echo", "hi"]}]}


def run_body(**changes: Any) -> dict[str, Any]:
    """The body of a small valid run."""
    return {"project": "text", "experiment": "sst2", "name": "a run", "recipe": COMMAND} | changes


async def make_token(session: Session, role: Role) -> str:
    """The secret of a new token."""
    return (await tokens.create(session, TokenCreate(name=f"a {role}", role=role))).secret


async def finished_run(session: Session, **values: Any) -> UUID:
    """A run that succeeded: 2400 J in 16 s on a GPU and a CPU, with a price tag."""
    run = await make_run(session, **values)
    claim = await claimed(session, run.id)
    journal = JournalMaker(claim.attempt_id)
    journal.whole()
    await execution.ingest(session, claim.attempt_id, journal.records)
    return run.id


async def running_run(session: Session, seconds: int, **values: Any) -> UUID:
    """A run that is under way since some seconds."""
    run = await make_run(session, **values)
    claim = await claimed(session, run.id)
    journal = JournalMaker(claim.attempt_id)
    journal.start()
    for second in range(seconds + 1):
        journal.read(float(second), gpu_w=100.0 + second)
    await execution.ingest(session, claim.attempt_id, journal.records)
    return run.id
