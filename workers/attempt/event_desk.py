"""What a job tells over its pipe: written to its journal; at stage edges after a reading."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pricetag.events import Message
from workers.attempt.event_server import Connection
from workers.attempt.log import AttemptLog
from workers.attempt.outcome import Observed, Reason
from workers.attempt.progress import ProgressBoard
from workers.attempt.stages import MAX_STAGES, StageBook


class EventDesk:
    """Takes the events of one attempt.

    Args:
        log: Where they are written.
        stages: The attempt's stages.
        board: How far each stage is.
        seen: What decides how the attempt ended.
        edge: Reads the meters, and tells the time of the reading.
        now_s: Seconds since the meter opened.

    Attributes:
        last_sign_s: When the job last gave a sign of life.
    """

    def __init__(
        self,
        log: AttemptLog,
        stages: StageBook,
        board: ProgressBoard,
        seen: Observed,
        *,
        edge: Callable[[], Awaitable[float]],
        now_s: Callable[[], float],
    ) -> None:
        self._log = log
        self._stages = stages
        self._board = board
        self._seen = seen
        self._edge = edge
        self._now_s = now_s
        self._told_unpriced = False
        self.last_sign_s = 0.0

    async def take(self, connection: Connection, message: Message) -> Message:
        """Takes one event; what is returned goes into its acknowledgement.

        Raises:
            JournalError: If it could not be written.
            ValueError: If it makes no sense.
        """
        self.last_sign_s = self._now_s()
        type_ = str(message["type"])
        fields = {name: value for name, value in message.items() if name not in ("type", "n")}
        if type_ == "stage_start":
            return await self._on_stage_start(connection, fields)
        if type_ == "stage_end":
            return await self._on_stage_end(connection, fields)
        if type_ == "hello":
            connection.is_job = True
            if self._seen.stop_reason is not None:
                connection.send({"stop": self._seen.stop_reason})
        elif type_ == "finished":
            self._seen.finished = str(fields["status"])
        elif type_ == "error":
            # Of several processes the first one's error is the cause, the others' follow from it.
            self._seen.error = self._seen.error or _reason(fields)
        elif type_ == "progress":
            self._board.update(connection.stage_key, fields)
        elif type_ == "log":
            self._log.text(str(fields["text"]), str(fields.get("stream", "pricetag")))
        elif type_ in ("metric", "flops", "artifact"):
            self._log.append(type_, **{"key": connection.stage_key, **fields})
        elif type_ == "environment":
            self._log.append(type_, **fields)
        elif type_ != "heartbeat":
            raise ValueError(f"unknown event type {type_!r}")
        return {}

    async def _on_stage_start(self, connection: Connection, fields: Message) -> Message:
        """Reads the meters, then opens the stage at the instant of the reading."""
        if self._stages.is_full:
            return self._leave_unpriced(connection)
        t_s = await self._edge()
        stage = self._stages.open(
            parent_key=connection.stage_key,
            recipe_index=fields.get("recipe_index"),
            kind=str(fields["kind"]),
            name=str(fields["name"]),
            t_s=t_s,
        )
        connection.open_keys.append(stage.key)
        self._log.append("stage_start", t_s=t_s, **stage.as_record())
        return {"key": stage.key}

    def _leave_unpriced(self, connection: Connection) -> Message:
        if not self._told_unpriced:
            self._told_unpriced = True
            text = f"more than {MAX_STAGES} stages: the others belong to the stage around them"
            self._log.text(text, "pricetag")
        connection.unpriced_depth += 1
        return {"key": connection.stage_key}

    async def _on_stage_end(self, connection: Connection, fields: Message) -> Message:
        if connection.unpriced_depth:
            connection.unpriced_depth -= 1
            return {"key": connection.stage_key}
        if not connection.open_keys:
            raise ValueError("a stage ends that was not begun")
        t_s = await self._edge()
        key = connection.open_keys.pop()
        self._stages.close(key)
        self._log.append("stage_end", t_s=t_s, key=key, status=str(fields["status"]))
        return {"key": key}


def _reason(fields: Message) -> Reason:
    reason = {"code": str(fields["code"]), "message": str(fields["message"])}
    return reason | ({"field": str(fields["field"])} if fields.get("field") else {})
