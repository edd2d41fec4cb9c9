"""Makes runs of what clients of CodeCarbon have sent, and ends those that are silent.

Records become cumulative readings with the evidence ``estimated``, which go through the ingestion
of all other journals. A client does not say that it has ended: its run ends after a silence, and a
record that comes later is added to it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.db import Database, Session
from app.repositories.attempts import codecarbon as rows
from app.repositories.people import users
from app.schemas.intake import ExternalRun
from app.services.attempts.ingestion import PoisonedRecordsError, ingest
from app.services.errors import PricetagError
from app.services.intake import door
from app.services.intake.door import Opened
from app.services.principals import Principal
from models import CodecarbonRecord, CodecarbonRun
from pricetag.imports import codecarbon_client
from pricetag.imports.codecarbon_client import Kind, Tally
from pricetag.imports.imported import gpus, remark

TOOL = "codecarbon"
ENDED = "codecarbon-silent"
"""Code of the reason of a run whose client has ended."""

AT_ONCE = 500
"""Maximum number of records that are applied in one transaction."""

CLIENTS = 1000
"""Maximum number of clients in one round."""

UNFIT = (PricetagError, PoisonedRecordsError, ValueError, TypeError, ArithmeticError)
"""Errors of the records of one client, which the next round would meet again."""

LATE_REST = timedelta(minutes=1)
"""Late records of an ended run are added once none has come for this time."""

LATE_MOST = timedelta(minutes=10)
"""Longest time that a late record waits for others."""

WITHOUT_RUN = timedelta(days=30)
"""How long records are kept that make no run, after the last one."""


async def forget_without_run(session: Session) -> int:
    """Deletes old records that have made no run; returns the number of their clients."""
    return await rows.forget_without_run(session, datetime.now(UTC) - WITHOUT_RUN)


async def one_round(database: Database) -> list[str]:
    """Applies what has arrived and ends silent runs; returns a line for each problem."""
    async with database.session_scope() as session:
        due = await rows.due(session, CLIENTS)
    problems = []
    for run_id in due:
        try:
            applied = AT_ONCE
            while applied == AT_ONCE:
                async with database.session_scope() as session:
                    applied = await work_on(session, run_id, datetime.now(UTC))
        except UNFIT as error:  # the project became private, say: kept, not tried again
            problems.append(f"CodeCarbon client {run_id}: {error}")
            async with database.session_scope() as session:
                client = await rows.lock(session, run_id)
                if client is not None:
                    client.problem = str(error)
    return problems


async def work_on(session: Session, run_id: UUID, now: datetime) -> int:
    """Applies the next records of a client and ends its run if it is silent.

    Args:
        session: Committed by the caller.
        run_id: The client.
        now: Present time, UTC.

    Returns:
        Number of applied records.

    Raises:
        PricetagError: If its run cannot be created.
    """
    client = await rows.lock(session, run_id)
    if client is None:
        return 0
    records = await rows.unapplied(session, run_id, AT_ONCE)
    if client.ended_at is not None and not _is_time(records, now):
        return 0
    if client.began_at is None:
        if not any(record.kind != "closing" for record in records):
            return 0
        client.began_at = _beginning(records)
    tally = Tally(**(client.tally or {}))
    opened = await door.open_run(session, await _sender(session, client), _external(client))
    made = list(_readings(client, tally, records))
    silent_since = await rows.last_received(session, run_id)
    is_silent = (
        client.ended_at is None
        and silent_since is not None
        and now - silent_since > timedelta(seconds=tally.silence_s)
    )
    if client.ended_at is not None:
        made += tally.close()
    if is_silent:
        made += _end(tally)
        client.ended_at = now
    if made:
        await _apply(session, client, tally, opened, made)
    client.tally = tally.as_stored()
    await rows.note_applied(session, [record.id for record in records], now)
    return len(records)


def _is_time(records: Sequence[CodecarbonRecord], now: datetime) -> bool:
    """Whether late records are added now, each batch with a new price tag."""
    if not records:
        return False
    first, last = records[0].received_at, records[-1].received_at
    return now - last > LATE_REST or now - first > LATE_MOST


def _beginning(records: Iterable[CodecarbonRecord]) -> datetime:
    """When the run began: the first record covers the time before it."""
    first = next(record for record in records if record.kind != "closing")
    return first.received_at - timedelta(seconds=float(first.body["duration"]))


async def _sender(session: Session, client: CodecarbonRun) -> Principal:
    user = await users.get(session, client.user_id)
    name = "" if user is None else user.name
    return Principal(client.user_id, client.token_id, name, "ingest")


def _external(client: CodecarbonRun) -> ExternalRun:
    about = client.about
    version = about.get("codecarbon_version")
    name = about.get("project_name")
    assert client.began_at is not None
    return ExternalRun(
        run_id=client.id,
        attempt_id=uuid.uuid5(client.id, "attempt"),
        origin="codecarbon",
        measured_by=f"codecarbon {version}" if version else "codecarbon",
        name=f"{name if isinstance(name, str) and name.strip() else TOOL} {str(client.id)[:8]}",
        project=client.project,
        experiment=client.experiment,
        started_at=client.began_at,
        node_name=TOOL,
        devices=gpus(_text(about, "gpu_model"), _number(about, "gpu_count")),
    )


def _text(about: Mapping[str, Any], name: str) -> str | None:
    value = about.get(name)
    return value if isinstance(value, str) else None


def _number(about: Mapping[str, Any], name: str) -> float | None:
    value = about.get(name)
    return float(value) if isinstance(value, int | float) else None


def _readings(
    client: CodecarbonRun, tally: Tally, records: Iterable[CodecarbonRecord]
) -> Iterator[dict[str, Any]]:
    assert client.began_at is not None
    for record in records:
        kind: Kind = record.kind  # type: ignore[assignment]  # a check of the table
        sent = codecarbon_client.read(record.body, kind)
        received_s = (record.received_at - client.began_at).total_seconds()
        yield from tally.take(sent, kind, received_s)


def _end(tally: Tally) -> Iterator[dict[str, Any]]:
    yield from tally.close()
    yield from tally.reported()
    for text in tally.remarks():
        yield remark(text, tally.last_s)
    minutes = tally.silence_s / 60
    message = (
        f"CodeCarbon reports no end: nothing has arrived for {minutes:.0f} minutes; whether the "
        "program succeeded is unknown"
    )
    reason = {"code": ENDED, "message": message}
    yield {"type": "end", "t_s": tally.last_s, "status": "succeeded", "reason": reason}


async def _apply(
    session: Session,
    client: CodecarbonRun,
    tally: Tally,
    opened: Opened,
    made: Sequence[Mapping[str, Any]],
) -> None:
    attempt, run, began = opened.attempt, opened.run, client.began_at
    assert began is not None
    if opened.is_new:
        start = {"type": "start", "t_s": 0.0, "attempt_id": str(attempt.id), "components": []}
        made = [start | {"devices": attempt.devices}, *made]
    _declare(client, tally, opened)
    stamped = [
        {**record, "seq": seq, "at": (began + timedelta(seconds=record["t_s"])).isoformat()}
        for seq, record in enumerate(made, attempt.ingested_seq + 1)
    ]
    if opened.is_new:
        stamped[0]["components"] = attempt.components
    await ingest(session, attempt.id, stamped, locked=(attempt, run))
    if attempt.ended_at is not None:
        ended_at = began + timedelta(seconds=tally.last_s)
        attempt.ended_at = run.finished_at = max(attempt.ended_at, ended_at)


def _declare(client: CodecarbonRun, tally: Tally, opened: Opened) -> None:
    """Declares the components of the readings, which are known once a client has reported them."""
    stored = {component["id"]: component for component in opened.attempt.components}
    for kind in {*tally.energy_j, *(tally.closing_j or ())}:
        if kind not in stored:
            made = codecarbon_client.component(kind, client.about)
            stored[kind] = made.as_dict()
    opened.attempt.components = [stored[kind] for kind in sorted(stored)]
