"""The event pipe between a job and its supervisor: JSON lines over a Unix socket.

A job writes events; the supervisor acknowledges stage edges after it has read the
meters, so that every stage has its own energy. Each event has a number ``n``, counted
per connection. The supervisor may ask the job to stop at any time.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

ENV_VAR = "PRICETAG_EVENTS"
"""Variable with the socket's path, set by the supervisor for the job and its children."""

RUN_VAR = "PRICETAG_RUN_ID"
"""Variable with the ID of the run, set by a worker for the programs of its jobs."""

LOCAL_VAR = "PRICETAG_LOCAL_METER"
"""Variable of programs that a local meter meters: what they meter themselves uses its models."""

MAX_LINE_BYTES = 256 * 1024
"""Longest event, with its line break."""

Message = dict[str, Any]

CANCELLING = frozenset({"cancelled", "budget-exceeded"})
"""Stop reasons after which the run is not resumed."""


def stopped_status(reason: str) -> Literal["cancelled", "interrupted"]:
    """Status of a stage that ended because of a stop: it did not fail."""
    return "cancelled" if reason in CANCELLING else "interrupted"


class EventPipeError(ConnectionError):
    """The supervisor is gone, or did not respond in time."""


def encode(message: Message) -> bytes:
    """One line of the wire; NaN and infinity are rejected, since JSON has neither."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Parses one line.

    Raises:
        ValueError: If the line is not a JSON object.
    """
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError(f"an event must be a JSON object, not {type(message).__name__}")
    return message


class EventChannel:
    """The job's end of the pipe. Safe to use from several threads.

    Args:
        path: The supervisor's socket.
        on_stop: Called once, from the reader thread, with the reason to stop.
        on_lost: Called once, from the reader thread, when the supervisor is gone.
        ack_timeout_s: Maximum wait for the acknowledgement of an edge, in s.

    Attributes:
        heard_s: Time of the supervisor's last message, on this process's monotonic clock; the
            supervisor announces every renewal of the lease.
        lost: Whether the supervisor is gone.
        stop_reason: Reason of its request to stop; None before that.

    Raises:
        EventPipeError: If no process listens at ``path``.
    """

    def __init__(
        self,
        path: str,
        *,
        on_stop: Callable[[str], None] | None = None,
        on_lost: Callable[[], None] | None = None,
        ack_timeout_s: float = 120.0,
    ) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise EventPipeError(f"no supervisor listens at {path}: {error}") from error
        self._on_stop = on_stop
        self._on_lost = on_lost
        self._ack_timeout_s = ack_timeout_s
        self._send_lock = threading.Lock()
        self._acks = threading.Condition()
        self._acked: dict[int, Message] = {}
        self._n = 0
        self._pid = os.getpid()
        self._closing = False
        self.lost = False
        self.heard_s = time.monotonic()
        self.stop_reason: str | None = None
        self._reader = threading.Thread(target=self._read, name="pricetag-events", daemon=True)
        self._reader.start()

    @classmethod
    def from_environment(cls) -> EventChannel | None:
        """The channel named by ``PRICETAG_EVENTS``, or None outside a metered job."""
        path = os.environ.get(ENV_VAR)
        return cls(path) if path else None

    def send(self, type_: str, **fields: Any) -> int:
        """Sends one event and returns its number.

        Raises:
            ValueError: If it is too long for a line, or holds NaN or infinity.
            EventPipeError: If the supervisor is gone.
        """
        with self._send_lock:
            n = self._n
            self._n += 1
            line = encode({"type": type_, "n": n, **fields})
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(
                    f"an event of {len(line)} bytes is too long: {MAX_LINE_BYTES} are allowed"
                )
            try:
                self._socket.sendall(line)
            except OSError as error:
                raise EventPipeError(f"the supervisor is gone: {error}") from error
        return n

    def edge(self, type_: str, **fields: Any) -> Message:
        """Sends a stage edge and waits until the meters were read.

        Returns:
            The acknowledgement: the stage's ``key``, or an ``error`` that says why there is none.

        Raises:
            EventPipeError: If the supervisor is gone or silent for too long.
        """
        n = self.send(type_, **fields)
        with self._acks:
            answered = self._acks.wait_for(
                lambda: n in self._acked or self.lost, timeout=self._ack_timeout_s
            )
            if n in self._acked:
                return self._acked.pop(n)
        state = "is gone" if answered else f"was silent for {self._ack_timeout_s:g} s"
        raise EventPipeError(f"the supervisor {state}; stage edge {n} was not acknowledged")

    def close(self) -> None:
        """Closes this end; the supervisor still reads the events already sent.

        Does nothing in a forked child: the connection is its parent's.
        """
        if self._pid != os.getpid():
            return
        self._closing = True
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._socket.close()  # the other end closed first: nothing left to deliver
            return
        if threading.current_thread() is not self._reader:
            self._reader.join(timeout=5.0)
        self._socket.close()

    def abandon(self) -> None:
        """Release the connection in a forked child; it stays open for the parent."""
        descriptor = self._socket.detach()
        if descriptor >= 0:
            os.close(descriptor)

    def _read(self) -> None:
        try:
            with self._socket.makefile("rb") as lines:
                for line in lines:
                    self.heard_s = time.monotonic()
                    self._receive(decode(line))
        except (OSError, ValueError):
            pass  # a broken pipe and a torn last line both mean that the supervisor is gone
        with self._acks:
            self.lost = True
            self._acks.notify_all()
        if self._on_lost is not None and not self._closing:
            self._on_lost()

    def _receive(self, message: Message) -> None:
        if "ack" in message:
            with self._acks:
                self._acked[int(message["ack"])] = message
                self._acks.notify_all()
        elif "stop" in message and self.stop_reason is None:
            self.stop_reason = str(message["stop"])
            if self._on_stop is not None:
                self._on_stop(self.stop_reason)
