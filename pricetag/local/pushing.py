"""Pushes a local run to a server: its journal, in parts, from where the server has it.

Nothing is lost if this process or the server ends at any moment: pushing again continues, and
what has arrived is not sent again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from pricetag.atomic_files import write_whole
from pricetag.line_chain import NO_LINES, extended
from pricetag.local.runs import LocalRun
from pricetag.wire import ApiError

PUSHED = "pushed.json"
PART_BYTES = 256 * 1024
"""Size of a part before compression; the server applies one in some tens of milliseconds."""

TOO_LARGE, UNAUTHENTICATED, CONFLICT = 413, 401, 409
MOST_TURNS = 5
"""How often the server may state another place to continue, in one push."""

Progress = Callable[[int, int], None]
"""Called with the bytes that have arrived, and those of the whole journal."""


class PushError(RuntimeError):
    """A run cannot be pushed; nothing that has arrived is lost."""


class Server(Protocol):
    """The calls of the client that a push needs."""

    @property
    def url(self) -> str:
        """Address of the server."""
        ...

    def journal_state(self, attempt_id: str, *, retry: bool = True) -> dict[str, Any] | None:
        """How far a journal has arrived."""
        ...

    def send_journal(
        self, attempt_id: str, begin_byte: int, content: bytes, *, project: str | None = None
    ) -> dict[str, Any]:
        """Sends a part of a journal."""
        ...


def pushes_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Where a run was pushed: ``{at, size_bytes, ...}`` by the address of the server."""
    with suppress(OSError, ValueError, AttributeError):
        stored = json.loads((folder / PUSHED).read_text(encoding="utf-8"))
        return {str(url): dict(push) for url, push in stored.items()}
    return {}


def is_pushed(run: LocalRun, url: str) -> bool:
    """Whether the whole journal of a run is known to be on a server."""
    push = pushes_of(run.folder).get(url)
    if push is None:
        return False
    try:
        return push.get("size_bytes") == run.journal.stat().st_size
    except OSError:
        return False


def push(
    run: LocalRun,
    server: Server,
    *,
    project: str | None = None,
    progress: Progress = lambda sent, total: None,
    is_patient: bool = True,
) -> dict[str, Any]:
    """Sends what the server does not have of the journal of a run that has ended.

    Args:
        run: The run.
        server: A client of the server.
        project: Project of the run there; by default the run's own.
        progress: Called after each part.
        is_patient: Whether to try again if the server cannot be reached at first.

    Returns:
        The run's state on the server, with the ``warnings`` of all parts.

    Raises:
        PushError: If the run has not ended, its journal cannot be read, or the server has another
            journal of this attempt.
        ClientError: If the server cannot be reached, or rejects a part.
    """
    if run.price_tag is None:
        raise PushError("it is running: push it when it has ended")
    try:
        path = run.journal
        total = path.stat().st_size
        state = server.journal_state(path.stem, retry=is_patient)
        state = _Push(server, path, total, project, progress).go(state)
    except OSError as error:
        raise PushError(f"its journal cannot be read: {error.strerror}") from error
    _note(run.folder, server.url, state)
    return state


class _Push:
    def __init__(
        self, server: Server, path: Path, total: int, project: str | None, progress: Progress
    ) -> None:
        self._server = server
        self._path = path
        self._total = total
        self._project = project
        self._progress = progress
        self._part_bytes = PART_BYTES
        self._turns = 0
        self._warnings: dict[str, None] = {}

    def go(self, state: dict[str, Any] | None) -> dict[str, Any]:
        """Sends the rest of the journal; returns the state at its end."""
        with self._path.open("rb") as file:
            if state is not None:
                _check_same(file, state)
            while state is None or state["size_bytes"] < self._total:
                begin_byte = 0 if state is None else state["size_bytes"]
                self._progress(begin_byte, self._total)
                state = self._send(file, begin_byte)
                self._warnings |= dict.fromkeys(state["warnings"])
        self._progress(self._total, self._total)
        return {**state, "warnings": list(self._warnings)}

    def _send(self, file: Any, begin_byte: int) -> dict[str, Any]:
        file.seek(begin_byte)
        content = b"".join(file.readlines(self._part_bytes))
        if not content.endswith(b"\n"):
            raise PushError(f"its journal ends within a line: {self._path}")
        try:
            return self._server.send_journal(
                self._path.stem, begin_byte, content, project=self._project
            )
        except ApiError as error:
            if error.status == UNAUTHENTICATED:
                raise PushError(
                    f"{error}; {begin_byte:,} of {self._total:,} bytes of its journal have "
                    "arrived: push it again with a valid token, and the rest is sent"
                ) from error
            if error.code == "body-too-large" and content.count(b"\n") > 1:
                self._part_bytes = max(len(content) // 2, 1)
                return self._state_again(begin_byte)
            if error.code == "journal-gap" and self._turns < MOST_TURNS:
                self._turns += 1  # the server has less than it stated: it was restored, say
                return self._state_again(begin_byte)
            raise

    def _state_again(self, begin_byte: int) -> dict[str, Any]:
        if begin_byte == 0:
            return {"size_bytes": 0, "chain_sha256": NO_LINES, "warnings": []}
        state = self._server.journal_state(self._path.stem)
        return state or {"size_bytes": 0, "chain_sha256": NO_LINES, "warnings": []}


def _check_same(file: Any, state: Mapping[str, Any]) -> None:
    """Requires that what has arrived is the beginning of the journal.

    Raises:
        PushError: If it is not.
    """
    rest, chain = int(state["size_bytes"]), NO_LINES
    for line in file:
        if rest <= 0:
            break
        rest -= len(line)
        chain = extended(chain, [line.removesuffix(b"\n")])
    if rest != 0 or chain != state["chain_sha256"]:
        raise PushError(
            f"the server has {state['size_bytes']:,} bytes of another journal of this attempt "
            f"(chain {state['chain_sha256'][:12]}; of this file, {chain[:12]}): one of them was "
            "changed"
        )


def _note(folder: Path, url: str, state: Mapping[str, Any]) -> None:
    """Writes where the run is; if that fails, the next push asks the server."""
    names = ("size_bytes", "chain_sha256", "rejected", "price_tag_version")
    push = {name: state[name] for name in names}
    push["at"] = datetime.now(UTC).isoformat(timespec="seconds")
    with suppress(OSError):
        write_whole(folder / PUSHED, json.dumps({**pushes_of(folder), url: push}))
