"""Checks and journals the events of a job; takes a reading at each stage edge."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from pricetag.attempt import event_schema as schema
from pricetag.attempt.event_flow import EventFlow
from pricetag.attempt.event_schema import EventError
from pricetag.attempt.event_server import Connection
from pricetag.attempt.log import AttemptLog
from pricetag.attempt.outcome import Observed, Reason
from pricetag.attempt.progress import ProgressBoard
from pricetag.attempt.stages import MAX_STAGES, StageBook
from pricetag.events import Message, stopped_status

UNPRICED = "~"
"""Suffix of the key of a stage without its own price; the rest is the key of its parent."""

ENDED_BY_ORDER = "ended_by_order"
"""A stage that was ended without its key while others of its connection were open."""

KEPT_TEXT = 500
"""Number of characters of a rejected event that are kept."""

UNKEPT = "rejected after those that are kept"

Figure = schema.Metric | schema.Flops | schema.Artifact


class EventDesk:
    """Handles the events of one attempt.

    Args:
        log: The attempt's log, to which events are written.
        stages: The attempt's stages.
        board: Progress of each stage.
        observed: Observations that decide how the attempt ended.
        edge: Reads the meters, and returns the time of the reading.
        now_s: Seconds since the meter opened.

    Attributes:
        last_sign_s: Time of the job's last event, in s since the meter opened.
    """

    def __init__(
        self,
        log: AttemptLog,
        stages: StageBook,
        board: ProgressBoard,
        observed: Observed,
        *,
        edge: Callable[[], Awaitable[float]],
        now_s: Callable[[], float],
    ) -> None:
        self._log = log
        self._stages = stages
        self._board = board
        self._observed = observed
        self._edge = edge
        self._now_s = now_s
        self._flow = EventFlow(time.monotonic, lambda text: log.text(text, "pricetag"))
        self._noted_unpriced = False
        self.last_sign_s = 0.0

    async def take(self, connection: Connection, message: Message) -> Message:
        """Handles one event; returns the fields of its acknowledgement.

        Raises:
            EventError: If it is invalid.
        """
        self.last_sign_s = self._now_s()
        event = schema.parse(message)
        match event:
            case schema.StageStart():
                return await self._on_stage_start(connection, event)
            case schema.StageEnd():
                return await self._on_stage_end(connection, event)
            case schema.Hello():
                connection.is_job = True
                if self._observed.stop_reason is not None:
                    connection.send({"stop": self._observed.stop_reason})
            case schema.Finished():
                self._observed.finished = event.status
            case schema.Error():
                # The first error of several processes causes those of the others.
                self._observed.error = self._observed.error or _reason(event)
            case schema.Progress():
                self._board.update(self._key_of(connection, event), event.fields())
            case schema.Log():
                self._log.text(event.text, event.stream)
            case schema.Metric() | schema.Flops() | schema.Artifact():
                self._on_figure(connection, event, message)
            case schema.Environment():
                if self._flow.takes("figures", _size(message)):
                    self._log.append(event.type, **event.fields())
            case schema.Heartbeat():
                pass
        return {}

    async def leave(self, connection: Connection) -> None:
        """Ends the stages that a process left open when it ended before the others."""
        t_s = await self._edge()
        stop = self._observed.stop_reason
        status = "failed" if stop is None else stopped_status(stop)
        while connection.open_keys:
            key = connection.open_keys.pop()
            self._stages.close(key)
            self._log.append("stage_end", t_s=t_s, key=key, status=status, flags=[])

    def reject(self, text: str, why: str) -> None:
        """Keeps the first invalid events, with the reason; counts the others.

        Args:
            text: The event as received.
            why: The reason.
        """
        if self._flow.keeps_rejected():
            self._log.offer("rejected", reason=why[:KEPT_TEXT], event=text[:KEPT_TEXT])

    def finish(self) -> None:
        """Writes the numbers of dropped and rejected events; called after the last event."""
        for line in self._flow.summary():
            self._log.text(line, "pricetag")
        if further := self._flow.rejected_unkept:
            self._log.offer("rejected", reason=UNKEPT, event="", further=further)

    def _on_figure(self, connection: Connection, event: Figure, message: Message) -> None:
        key = self._key_of(connection, event)
        if key is None and isinstance(event, schema.Flops):
            raise EventError("flops: must be reported inside a stage")
        is_quality = isinstance(event, schema.Metric) and event.quality
        if self._flow.takes("quality figures" if is_quality else "figures", _size(message)):
            self._log.append(event.type, key=key, **event.fields())

    def _key_of(self, connection: Connection, event: Figure | schema.Progress) -> str | None:
        """The stage named by an event, else the stage of its connection."""
        if event.key is not None:
            key = event.key.rstrip(UNPRICED)
            return key if self._stages.has_begun(key) else connection.stage_key
        return connection.parent_key if "key" in event.model_fields_set else connection.stage_key

    async def _on_stage_start(self, connection: Connection, event: schema.StageStart) -> Message:
        """Reads the meters, then opens the stage at the instant of the reading."""
        parent_key = self._parent_of(connection, event)
        if not self._stages.has_room(parent_key):
            return self._leave_unpriced(connection, parent_key)
        t_s = await self._edge()
        stage = self._stages.open(
            parent_key=self._stages.nearest_open(parent_key),
            recipe_index=event.recipe_index,
            kind=event.kind,
            name=event.name,
            t_s=t_s,
        )
        connection.open_keys.append(stage.key)
        self._log.append("stage_start", t_s=t_s, **stage.as_record())
        return {"key": stage.key}

    def _parent_of(self, connection: Connection, event: schema.StageStart) -> str | None:
        """The open parent of a new stage: the named one, else that of its connection."""
        if event.parent is not None:
            key = event.parent.rstrip(UNPRICED)
            if self._stages.has_begun(key):
                return self._stages.nearest_open(key)
        named_none = event.parent is None and "parent" in event.model_fields_set
        key_around = connection.parent_key if named_none else connection.stage_key
        return self._stages.nearest_open(key_around)

    def _leave_unpriced(self, connection: Connection, parent_key: str | None) -> Message:
        if not self._noted_unpriced:
            self._noted_unpriced = True
            text = f"more than {MAX_STAGES} stages: the others are charged to their parent stage"
            self._log.text(text, "pricetag")
        connection.unpriced_depth += 1
        return {"key": f"{parent_key or ''}{UNPRICED}"}

    async def _on_stage_end(self, connection: Connection, event: schema.StageEnd) -> Message:
        if event.key is None and connection.unpriced_depth:
            connection.unpriced_depth -= 1
            return {"key": connection.stage_key}
        if event.key is not None and event.key.endswith(UNPRICED):
            connection.unpriced_depth = max(connection.unpriced_depth - 1, 0)
            return {"key": event.key}
        flags = [ENDED_BY_ORDER] if event.key is None and len(connection.open_keys) > 1 else []
        if not connection.open_keys:
            raise EventError("stage_end: no stage is open")
        key = connection.open_keys[-1] if event.key is None else event.key
        if key not in connection.open_keys:
            raise EventError(f"this connection has no open stage {key!r}")
        t_s = await self._edge()
        if key not in connection.open_keys:
            raise EventError(f"stage {key!r} was ended twice")
        connection.open_keys.remove(key)
        self._stages.close(key)
        self._log.append("stage_end", t_s=t_s, key=key, status=event.status, flags=flags)
        return {"key": key}


def _size(message: Message) -> int:
    """Approximate size of an event in the journal, in bytes."""
    return 100 + sum(len(str(value)) for value in message.values())


def _reason(event: schema.Error) -> Reason:
    reason: Reason = {"code": event.code, "message": event.message}
    return reason | ({"field": event.field} if event.field else {})
