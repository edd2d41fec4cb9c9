"""Takes the journal of a run that no queue started, part by part, each in one transaction.

A part is applied as a whole, together with how far the journal has arrived, or not at all. Its
records are those of a worker's journal and are applied by the same ingestion, which settles the
attempt at its end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from app.db import Session
from app.repositories.attempts import executions, journals
from app.repositories.readings import readings
from app.schemas.common import FieldProblem
from app.schemas.intake import ExternalRun, JournalPartRead, JournalRead, JournalStart
from app.services.attempts import abandoned, journal_records
from app.services.attempts.ingestion import PoisonedRecordsError, ingest
from app.services.attempts.intake import rejected
from app.services.attempts.journal_records import Damaged, Rejected, Start
from app.services.attempts.poisoned import apply_apart
from app.services.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    InvalidFieldsError,
    NotFoundError,
    PricetagError,
)
from app.services.factors import sites
from app.services.intake import door, physics
from app.services.intake.door import MAX_AHEAD, Opened
from app.services.intake.physics import Physics
from app.services.principals import Principal
from models import Attempt, JournalChunk, Run, SentJournal
from pricetag.line_chain import NO_LINES, extended

FORMAT = 1
"""Newest version of journals that this server reads."""

JUMP = timedelta(minutes=1)
"""Difference of two clocks above which one was set."""

DEFAULT_SITE = "default"


class JournalNotFoundError(NotFoundError):
    """Nothing of the journal has arrived, or somebody else sent it."""

    code = "journal-not-found"


class JournalGapError(ConflictError):
    """The part does not begin where the journal ends."""

    code = "journal-gap"


class JournalConflictError(ConflictError):
    """Another part has arrived at this place of the journal."""

    code = "journal-conflict"


class JournalEndedError(ConflictError):
    """The run was ended before its journal had arrived to its end."""

    code = "journal-ended"


class InvalidJournalError(InvalidFieldsError):
    """The journal does not begin with the start of a run, or a part has no whole lines."""

    code = "invalid-journal"


class JournalTooNewError(InvalidError):
    """A later version of Pricetag has written the journal."""

    code = "journal-too-new"


class JournalTooLargeError(PricetagError):
    """The journal is larger than this server takes."""

    code = "journal-too-large"
    status = 413


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a journal.

    Attributes:
        attempt_id: The journal's attempt.
        begin_byte: Where it begins in the journal.
        content: Whole lines.
    """

    attempt_id: UUID
    begin_byte: int
    content: bytes

    @property
    def end_byte(self) -> int:
        """Where it ends."""
        return self.begin_byte + len(self.content)

    @property
    def sha256(self) -> str:
        """Hash of its content."""
        return hashlib.sha256(self.content).hexdigest()


async def take(
    session: Session,
    principal: Principal,
    part: Part,
    *,
    project: str | None = None,
    max_bytes: int,
) -> JournalRead:
    """Takes the next part of a journal; one that has arrived before changes nothing.

    The first part begins with the ``start`` record, whose IDs make the run.

    Args:
        session: Committed by the caller: the whole part, or nothing.
        principal: Who sends it.
        part: The part.
        project: Project of a new run, in place of that of its journal.
        max_bytes: Maximum size of a journal.

    Raises:
        InvalidJournalError: If the part has no whole lines, the journal does not begin with a valid
            ``start``, or a record that the energy depends on cannot be stored.
        JournalTooNewError: If a later version of Pricetag has written it.
        JournalTooLargeError: If it is too large.
        JournalNotFoundError: If the journal is new, and this is not its beginning.
        JournalGapError: If the part begins after the bytes that have arrived.
        JournalConflictError: If other bytes have arrived at its place.
        JournalEndedError: If the run was ended without the rest of its journal.
        RoleRequiredError, NotAMemberError, NotYourRunError, IntakeConflictError, ClockError: As
            ``door.open_run``.
    """
    lines = _lines(part.content)
    if part.end_byte > max_bytes:
        raise JournalTooLargeError(
            f"The journal has more than the {max_bytes} bytes that this server takes "
            "(PRICETAG_MAX_JOURNAL_BYTES)."
        )
    warnings: list[str] = []
    if part.begin_byte == 0:
        principal.require_to_send()
        start, external = _started(lines[0], part.attempt_id, project)
        opened = await door.open_run(session, principal, external)
        warnings += await _warnings(session, start)
    else:
        opened = await _continued(session, principal, part)
    journal = await _journal(session, opened)
    if await _is_repeated(session, part, journal):
        return await _read(session, opened, journal, warnings)
    if abandoned.is_abandoned(opened.attempt):
        assert opened.attempt.reason is not None
        raise JournalEndedError(
            f"The run has ended, so that no more of its journal is taken: "
            f"{opened.attempt.reason['message']}."
        )
    warnings += await _apply(session, opened, journal.records, lines)
    journal.chain_sha256 = extended(journal.chain_sha256, lines)
    journal.size_bytes = part.end_byte
    journal.records += len(lines)
    journal.updated_at = datetime.now(UTC)
    chunk = JournalChunk(
        attempt_id=part.attempt_id,
        begin_byte=part.begin_byte,
        size_bytes=len(part.content),
        sha256=part.sha256,
    )
    await journals.add_chunk(session, chunk)
    return await _read(session, opened, journal, warnings)


async def state(
    session: Session, principal: Principal, attempt_id: UUID, *, lists_parts: bool = False
) -> JournalRead:
    """How far a journal has arrived; waits for a part that is being applied.

    Args:
        session: Only read.
        principal: Who asks.
        attempt_id: The journal's attempt.
        lists_parts: Whether to list the parts in which it arrived.

    Raises:
        RoleRequiredError: If the token may only read.
        JournalNotFoundError: If nothing of it has arrived, or somebody else sent it.
    """
    principal.require_to_send()
    not_found = JournalNotFoundError(
        f"No journal of attempt {attempt_id} has arrived from you.", field="attempt_id"
    )
    try:
        opened = await door.find(session, principal, attempt_id)
    except (ForbiddenError, door.IntakeConflictError) as error:
        raise not_found from error
    journal = None if opened is None else await journals.get(session, attempt_id)
    if opened is None or journal is None:
        raise not_found
    read = await _read(session, opened, journal, [])
    if lists_parts:
        read.parts = [
            JournalPartRead.model_validate(part, from_attributes=True)
            for part in await journals.parts(session, attempt_id)
        ]
    return read


async def _continued(session: Session, principal: Principal, part: Part) -> Opened:
    opened = await door.find(session, principal, part.attempt_id)
    if opened is None:
        raise JournalNotFoundError(
            f"Nothing of the journal of attempt {part.attempt_id} has arrived: begin with byte 0.",
            field="attempt_id",
        )
    return opened


def _lines(content: bytes) -> list[bytes]:
    if not content.endswith(b"\n"):
        what = "is empty" if not content else "does not end with the end of a line"
        raise _invalid(f"The part {what}: send whole lines.")
    return content[:-1].split(b"\n")


def _invalid(message: str, field: str | None = None) -> InvalidJournalError:
    return InvalidJournalError([FieldProblem(field=field, message=message)])


def _started(
    line: bytes, attempt_id: UUID, project: str | None
) -> tuple[JournalStart, ExternalRun]:
    """The run of a journal, from its first line.

    Raises:
        InvalidJournalError: If the line is not a valid ``start`` of the attempt.
        JournalTooNewError: If its format is a later one.
    """
    raw = _record(line, 0)
    if isinstance(raw, Damaged):
        raise _invalid(f"The first line is not a record: {raw.why}.")
    if raw.get("type") != "start":
        raise _invalid(f"The first record is {raw.get('type')!r:.60}, not 'start'.")
    written = raw.get("format", FORMAT)
    if isinstance(written, int) and written > FORMAT:
        raise JournalTooNewError(
            f"The journal has format {written}, and this server reads formats up to {FORMAT}: "
            "update the server, then send it again. Nothing is stored.",
            field="format",
        )
    record = journal_records.parse(raw, seq_if_missing=0)
    if isinstance(record, Rejected):
        raise _invalid(f"The first record is invalid: {record.why}.")
    assert isinstance(record, Start)
    if (why := physics.start_fault(raw)) is not None:
        raise _invalid(f"The first record is impossible: {why}.", "components")
    ids = [component.id for component in record.components]
    if len(ids) != len(set(ids)):
        raise _invalid(f"A component is named twice in {ids}.", "components")
    try:
        start = JournalStart.model_validate(raw)
        if start.attempt_id != attempt_id:
            message = f"is {start.attempt_id}, but the request is for {attempt_id}"
            raise InvalidJournalError([FieldProblem(field="attempt_id", message=message)])
        site = start.factors.get("site")
        about = start.run.model_dump() | ({} if project is None else {"project": project})
        external = ExternalRun(
            **about,
            run_id=start.run_id,
            attempt_id=start.attempt_id,
            started_at=record.at - timedelta(seconds=record.t_s),
            node_name=start.node_name,
            site=site if isinstance(site, str) else None,
            devices=record.devices,
        )
    except ValidationError as error:
        problems = [
            FieldProblem(field=".".join(map(str, fault["loc"])), message=fault["msg"])
            for fault in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise InvalidJournalError(problems) from error
    return start, external


def _record(line: bytes, number: int) -> dict[str, Any] | Damaged:
    """The record of a line, or why it is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Damaged(f"it is not JSON ({error})", line.decode("utf-8", "backslashreplace"))
    text = line.decode("utf-8", "backslashreplace")
    if not isinstance(record, dict):
        return Damaged("it is not an object", text)
    if record.get("seq") != number or isinstance(record["seq"], bool):
        return Damaged(f"its number is {record.get('seq')!r:.60}, not {number}", text)
    if record.get("type") == "start" and number > 0:
        return Damaged("a second start", text)
    return record


async def _warnings(session: Session, start: JournalStart) -> list[str]:
    """What of the run's own factors is not used here."""
    site = str(start.factors.get("site") or DEFAULT_SITE)
    names = ("pue", "grid_zone", "grid_g_per_kwh", "electricity_per_kwh")
    own = {name: start.factors[name] for name in names if start.factors.get(name) is not None}
    exists = site == DEFAULT_SITE or await sites.exists(session, site)
    used = f"those of the site {site}" if exists and site != DEFAULT_SITE else "those of the lab"
    warnings = []
    if not exists:
        warnings.append(
            f"the site {site} does not exist here, so the lab's factors apply: create it with "
            f"`pricetag site create {site}`, then re-price the run"
        )
    if own:
        stated = ", ".join(f"{name} {value}" for name, value in own.items())
        warnings.append(f"the factors on the run's machine ({stated}) are not used: {used} apply")
    return warnings


async def _journal(session: Session, opened: Opened) -> SentJournal:
    """The journal of an attempt; that of a new one is empty.

    Raises:
        IntakeConflictError: If the records of the attempt did not arrive as a journal.
    """
    attempt_id = opened.attempt.id
    if opened.is_new:
        journal = SentJournal(attempt_id=attempt_id, size_bytes=0, records=0, chain_sha256=NO_LINES)
        await journals.add(session, journal)
        return journal
    existing = await journals.get(session, attempt_id)
    if existing is None:
        raise door.IntakeConflictError(
            f"The records of attempt {attempt_id} did not arrive as a journal "
            f"(the run's origin is {opened.run.origin})."
        )
    return existing


async def _is_repeated(session: Session, part: Part, journal: SentJournal) -> bool:
    """Whether a part has arrived before; False if it is the next one.

    Raises:
        JournalGapError: If it begins after the bytes that have arrived.
        JournalConflictError: If other bytes have arrived at its place.
    """
    if part.begin_byte == journal.size_bytes:
        return False
    if part.begin_byte > journal.size_bytes:
        raise JournalGapError(
            f"The part begins at byte {part.begin_byte}, but {journal.size_bytes} bytes have "
            f"arrived: continue with byte {journal.size_bytes}.",
            field="begin_byte",
        )
    stored = await journals.chunk_at(session, part.attempt_id, part.begin_byte)
    assert stored is not None  # the parts cover the journal from its beginning
    sent = (part.begin_byte, len(part.content), part.sha256)
    if (stored.begin_byte, stored.size_bytes, stored.sha256) == sent:
        return True
    end_byte = stored.begin_byte + stored.size_bytes
    raise JournalConflictError(
        f"Bytes {stored.begin_byte} to {end_byte} have arrived with the SHA-256 {stored.sha256}; "
        f"the part of the request has bytes {part.begin_byte} to {part.end_byte} with the SHA-256 "
        f"{part.sha256}. Nothing was changed; the journal continues with byte "
        f"{journal.size_bytes}.",
        field="begin_byte",
    )


async def _apply(session: Session, opened: Opened, first: int, lines: Sequence[bytes]) -> list[str]:
    """Applies the records of the next lines; returns remarks on them.

    Args:
        session: Committed by the caller.
        opened: The run.
        first: Number of the first of the lines.
        lines: The lines.
    """
    raws = await _possible(
        session,
        opened.attempt,
        [_record(line, number) for number, line in enumerate(lines, first)],
    )
    locked: tuple[Attempt, Run] | None = (opened.attempt, opened.run)

    async def apply(some: list[Any]) -> None:
        nonlocal locked
        known, locked = locked, None  # after a failure, they are read again
        async with session.begin_nested():
            await ingest(session, opened.attempt.id, some, locked=known, is_live=False)

    try:
        await apply_apart(apply, raws)
    except PoisonedRecordsError as error:
        raise _invalid(f"A record that the price tag depends on cannot be stored: {error}") from (
            error
        )
    opened_at = opened.attempt.meter_opened_at
    return [] if opened_at is None else list(_jumps(raws, opened_at))


async def _possible(
    session: Session, attempt: Attempt, raws: Sequence[dict[str, Any] | Damaged]
) -> list[dict[str, Any] | Damaged]:
    """The records of a part, without those that no machine can have measured."""
    opened_at = attempt.meter_opened_at or attempt.started_at
    latest_s = (datetime.now(UTC) + MAX_AHEAD - opened_at).total_seconds()
    components = [component["id"] for component in attempt.components]
    moves = await readings.last_moves(session, attempt.id, components) if components else {}
    rules = Physics(latest_s, moves)
    possible: list[dict[str, Any] | Damaged] = []
    for raw in raws:
        why = None if isinstance(raw, Damaged) else rules.fault(raw)
        possible.append(raw if why is None else Damaged(why, json.dumps(raw, ensure_ascii=False)))
    return possible


def _jumps(raws: Sequence[Mapping[str, Any] | Damaged], opened_at: datetime) -> Iterator[str]:
    """A remark if the machine's time of day was set while the program ran."""
    for raw in raws:
        if isinstance(raw, Damaged) or raw.get("type") != "end":
            continue
        end = journal_records.parse(raw, seq_if_missing=0)
        if isinstance(end, Rejected):
            continue
        jump = end.at - (opened_at + timedelta(seconds=end.t_s))
        if abs(jump) > JUMP:
            yield (
                f"the time of day on the run's machine was changed by {jump.total_seconds():+,.0f} "
                "s during the run: its end is the start plus the time by the meter's clock"
            )


async def _read(
    session: Session, opened: Opened, journal: SentJournal, warnings: list[str]
) -> JournalRead:
    run, attempt = opened.run, opened.attempt
    tag = None if run.status == "running" else await journals.newest_tag(session, run.id)
    project, _ = await executions.names_of(session, run)
    return JournalRead(
        run_id=run.id,
        attempt_id=attempt.id,
        project=project,
        status=run.status,
        size_bytes=journal.size_bytes,
        records=journal.records,
        chain_sha256=journal.chain_sha256,
        rejected=rejected(attempt.intake),
        price_tag_version=None if tag is None else tag[0],
        it_energy_kwh=None if tag is None else tag[1],
        warnings=warnings,
    )
