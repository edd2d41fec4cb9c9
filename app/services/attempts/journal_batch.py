"""Turns a batch of journal records into rows, without any I/O."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from functools import singledispatchmethod
from typing import Any

from app.repositories.attempts.executions import Event
from app.services.attempts.intake import Intake, Kind
from app.services.attempts.journal_records import (
    ArtifactRecord,
    End,
    EnvironmentRecord,
    Flops,
    Log,
    MetricRecord,
    Progress,
    ReadingRecord,
    Record,
    Rejected,
    RejectedEvent,
    SecondOpinionRecord,
    StageEnd,
    StageStart,
    Start,
    shown,
)
from app.services.attempts.marks import marked
from models import Attempt, Stage

logger = logging.getLogger(__name__)

STAMP = {"seq", "type", "t_s", "at"}


class Batch:
    """Collects the changes of a batch.

    Args:
        attempt: The attempt, locked; its columns are set immediately.
        stages: Its stages so far, by key.
        late: Whether the attempt was closed before the batch arrived.
        intake: Limits what is kept of the job's reports.
        before: The run's progress before the batch.
        is_live: Whether the attempt runs now, so that its power is news.
    """

    def __init__(
        self,
        attempt: Attempt,
        stages: dict[str, Stage],
        *,
        late: bool,
        intake: Intake,
        before: dict[str, Any] | None = None,
        is_live: bool = True,
    ) -> None:
        self.attempt = attempt
        self.late = late
        self.intake = intake
        self.size = 0
        self.new_stages: list[Stage] = []
        self.readings: list[dict[str, Any]] = []
        self.metrics: list[dict[str, Any]] = []
        self.log_lines: list[dict[str, Any]] = []
        self.artifacts: list[dict[str, Any]] = []
        self.rejected: list[dict[str, Any]] = []
        self.progress: dict[str, Any] | None = None
        self._before = before
        self._is_live = is_live
        self.end: End | None = None
        self.last_at = datetime.now(UTC)
        self._stages = stages
        self._events: list[Event] = []
        self._power: dict[str, ReadingRecord] = {}

    def apply(self, record: Record | Rejected) -> None:
        """Adds one record to the batch."""
        self.size += 1
        if isinstance(record, Rejected):
            self._reject(record.seq, record.why, record.raw)
            return
        self.last_at = record.at
        self._apply(record)

    def all_events(self) -> list[Event]:
        """Events of the batch, including one with the latest power of every component."""
        if not self._power or self.late or not self._is_live:
            return self._events
        newest = max(self._power.values(), key=lambda reading: reading.t_s)
        powers = {name: reading.power_w for name, reading in self._power.items()}
        measured = [power for power in powers.values() if power is not None]
        payload = {
            "attempt": self.attempt.number,
            "t_s": newest.t_s,
            "power_w": sum(measured) if measured else None,
            "components": powers,
            "unknown": {
                name: ", ".join(reading.flags) or "not read"
                for name, reading in self._power.items()
                if reading.power_w is None
            },
        }
        return [*self._events, Event("power", newest.at, payload)]

    def _reject_record(self, record: Record, why: str) -> None:
        """Rejects a record that contradicts earlier ones."""
        self._reject(record.seq, why, shown(record.model_dump(mode="json")))

    def _reject(self, seq: int, why: str, raw: str) -> None:
        """Stores a record separately, with the reason, and adds a line to the log."""
        logger.warning("attempt %s: journal record %d: %s", self.attempt.id, seq, why)
        self._log(seq, self.last_at, "pricetag", f"journal record {seq} was skipped: {why}")
        self._keep_rejected(seq, self.last_at, why, raw)

    def _keep_rejected(self, seq: int, at: datetime, why: str, raw: str) -> None:
        if self.intake.takes_rejected():
            row = {"seq": seq, "at": at, "reason": why, "record": raw}
            self.rejected.append({"attempt_id": self.attempt.id, **row})

    def _log(self, seq: int, at: datetime, stream: str, text: str) -> None:
        self.log_lines.append(
            {"attempt_id": self.attempt.id, "seq": seq, "at": at, "stream": stream, "text": text}
        )

    def _drop(self, record: MetricRecord | ArtifactRecord, kind: Kind) -> None:
        text = self.intake.first_dropped(kind)
        if text is not None:
            logger.warning("attempt %s: %s", self.attempt.id, text)
            self._log(record.seq, record.at, "pricetag", text)

    def _event(self, event: str, at: datetime, /, **payload: Any) -> None:
        self._events.append(Event(event, at, {"attempt": self.attempt.number, **payload}))

    @singledispatchmethod
    def _apply(self, record: Record) -> None:
        raise TypeError(f"no rule for {type(record).__name__}")

    @_apply.register
    def _(self, record: Start) -> None:
        if record.attempt_id != self.attempt.id:
            self._reject_record(record, f"start: belongs to attempt {record.attempt_id}")
            return
        ids = [component.id for component in record.components]
        if len(ids) != len(set(ids)):
            self._reject_record(record, f"start: a component is named twice in {ids}")
            return
        self.attempt.components = [component.model_dump() for component in record.components]
        self.attempt.devices = record.devices or self.attempt.devices
        self.attempt.shares_overlaps = record.shares_overlaps
        self.attempt.meter_opened_at = record.at - timedelta(seconds=record.t_s)

    @_apply.register
    def _(self, record: ReadingRecord) -> None:
        row = record.model_dump(exclude={"type", "at"})
        self.readings.append({"attempt_id": self.attempt.id, **row})
        self._power[record.component] = record

    @_apply.register
    def _(self, record: StageStart) -> None:
        if record.key in self._stages:
            self._reject_record(record, f"stage_start: stage {record.key} has begun before")
            return
        stage = Stage(
            attempt_id=self.attempt.id,
            status="running",
            start_s=record.t_s,
            flags=[],
            **record.model_dump(exclude=STAMP),
        )
        self._stages[record.key] = stage
        self.new_stages.append(stage)
        self._stage_event(stage, record.t_s, record.at)

    @_apply.register
    def _(self, record: StageEnd) -> None:
        stage = self._stages.get(record.key)
        if stage is None or stage.end_s is not None:
            self._reject_record(record, f"stage_end: stage {record.key} is not open")
            return
        stage.end_s = max(record.t_s, stage.start_s)
        stage.status = record.status
        stage.flags = record.flags
        self._stage_event(stage, record.t_s, record.at)

    def _stage_event(self, stage: Stage, t_s: float, at: datetime) -> None:
        self._event(
            "stage",
            at,
            key=stage.key,
            parent_key=stage.parent_key,
            kind=stage.kind,
            name=stage.name,
            status=stage.status,
            t_s=t_s,
        )

    @_apply.register
    def _(self, record: Progress) -> None:
        reported = record.model_dump(exclude=STAMP)
        newest = {
            "attempt": self.attempt.number,
            "t_s": record.t_s,
            "at": record.at.isoformat(),
            "stage": record.key,
            **reported,
        }
        self.progress = self._before = marked(self._before, newest)
        self._event("progress", record.at, t_s=record.t_s, **reported)

    @_apply.register
    def _(self, record: MetricRecord) -> None:
        kind: Kind = "quality_metrics" if record.quality else "metrics"
        if not self.intake.takes(kind):
            self._drop(record, kind)
            return
        row = record.model_dump(exclude={"type", "t_s", "key"})
        self.metrics.append({"attempt_id": self.attempt.id, "stage_key": record.key, **row})

    @_apply.register
    def _(self, record: Flops) -> None:
        stage = self._stages.get(record.key)
        if stage is None:
            self._reject_record(record, f"flops: unknown stage {record.key}")
            return
        stage.flops = record.model_dump(exclude=STAMP | {"key"})

    @_apply.register
    def _(self, record: Log) -> None:
        self._log(record.seq, record.at, record.stream, record.text)

    @_apply.register
    def _(self, record: ArtifactRecord) -> None:
        if not self.intake.takes_artifact(record.path):
            self._drop(record, "artifacts")
            return
        row = record.model_dump(include={"name", "path", "size_bytes", "sha256", "card"})
        where = {"attempt_id": self.attempt.id, "stage_key": record.key}
        self.artifacts.append({**where, **row, "created_at": record.at})

    @_apply.register
    def _(self, record: EnvironmentRecord) -> None:
        # The supervisor reports on the node, the job on itself.
        merged = dict(self.attempt.environment or {})
        for name, value in record.model_dump(exclude=STAMP, exclude_none=True).items():
            earlier = merged.get(name)
            if isinstance(earlier, dict) and isinstance(value, dict):
                value = {**earlier, **value}
            merged[name] = value
        self.attempt.environment = merged

    @_apply.register
    def _(self, record: SecondOpinionRecord) -> None:
        self.attempt.second_opinion = record.model_dump(exclude=STAMP)

    @_apply.register
    def _(self, record: RejectedEvent) -> None:
        if record.further:
            self.intake.count_rejected(record.further)
            return
        text = f"an event of the job was rejected: {record.reason}"
        self._log(record.seq, record.at, "pricetag", text)
        self._keep_rejected(record.seq, record.at, record.reason, record.event)

    @_apply.register
    def _(self, record: End) -> None:
        if self.end is not None:
            self._reject_record(record, "end: the attempt has ended before")
            return
        self.attempt.unread_j = record.unread_j
        self.end = record
