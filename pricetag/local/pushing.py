"""Pushes a local run to a server: its journal, in parts, from where the server has it.

Nothing is lost if this process or the server ends at any moment: pushing again continues, and
what has arrived is not sent again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from math import isclose
from pathlib import Path
from typing import Any, Protocol

from pricetag.atomic_files import write_whole
from pricetag.line_chain import NO_LINES, extended
from pricetag.local.checking import fault
from pricetag.local.runs import LocalRun
from pricetag.wire import ApiError

PUSHED = "pushed.json"
PART_BYTES = 256 * 1024
"""Size of a part before compression; the server applies one in some tens of milliseconds."""

TOO_LARGE, UNAUTHENTICATED = 413, 401
RUNNING = "running"
MOST_TURNS = 5
"""How often the server may have no more than before, in one push."""

NOTHING: dict[str, Any] = {"size_bytes": 0, "chain_sha256": NO_LINES, "warnings": []}
"""State of a journal of which nothing has arrived."""

Progress = Callable[[int, int], None]
"""Called with the bytes that have arrived, and those of the whole journal."""


class PushError(RuntimeError):
    """A run cannot be pushed; nothing that has arrived is lost."""


class IncompleteError(PushError):
    """All of a journal has arrived, but the server cannot settle the run."""


class Server(Protocol):
    """The calls of the client that a push needs."""

    @property
    def url(self) -> str:
        """Address of the server."""
        ...

    def journal_state(
        self, attempt_id: str, *, retry: bool = True, parts: bool = False
    ) -> dict[str, Any] | None:
        """How far a journal has arrived, with its parts if asked for."""
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
    try:
        return all(
            pushes_of(part.folder).get(url, {}).get("size_bytes") == part.journal.stat().st_size
            for part in run.each
        )
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
    """Sends what the server does not have of the journals of a run that has ended.

    Args:
        run: The run.
        server: A client of the server.
        project: Project of the run there; by default the run's own.
        progress: Called after each part.
        is_patient: Whether to try again if the server cannot be reached at first.

    Returns:
        The run's state on the server, with the ``warnings`` of all parts.

    Raises:
        IncompleteError: If all has arrived, but the run has no end on the server.
        PushError: If the run has not ended, its price tag is not that of its journal, a line is
            larger than the server takes, or the server has another journal of this attempt.
        ClientError: If the server cannot be reached, or rejects a part.
    """
    if run.price_tag is None:
        raise PushError("it is running: push it when it has ended")
    short = str(run.run["id"])[:8]
    if (problem := fault(run)) is not None:
        raise PushError(
            "its price tag is not that of its journal, so that one of them was changed: "
            f"{problem} (pricetag verify {short} --local)"
        )
    warnings: dict[str, None] = {}
    state = NOTHING
    for part in run.each:
        state = _sent(part, server, project, progress, is_patient=is_patient)
        warnings |= dict.fromkeys(state["warnings"])
        _note(part.folder, server.url, state)
    return {**state, "warnings": [*warnings, *_remarks(run, state, project)]}


def _sent(
    run: LocalRun, server: Server, project: str | None, progress: Progress, *, is_patient: bool
) -> dict[str, Any]:
    """Sends the journal of one meter; returns its state on the server."""
    short = str(run.run["id"])[:8]
    try:
        path = run.journal
        total = path.stat().st_size
        state = server.journal_state(path.stem, retry=is_patient)
        state = _Push(server, path, total, project, progress, short).go(state)
    except OSError as error:
        raise PushError(f"its journal cannot be read: {error.strerror}") from error
    if state["status"] == RUNNING:
        raise IncompleteError(
            f"incomplete: all {state['records']:,} lines have arrived, but none is an end that the "
            f"server can use ({state['rejected']:,} were rejected), so that the run has no price "
            f"tag there: `pricetag show {short}` has the reasons, and `pricetag cancel "
            f"{short}` ends it with what has arrived"
        )
    return state


def _remarks(run: LocalRun, state: Mapping[str, Any], project: str | None) -> Iterator[str]:
    """Where the run on the server is not what was asked for, or not that of this machine."""
    there = state.get("project")
    if project is not None and there is not None and there != project:
        yield f"the run is in the project {there} on the server already: {project} is not used"
    if run.run["origin"] != "local":
        return  # other nodes of the job may have sent theirs from elsewhere
    own = (run.price_tag or {})["it_energy_kwh"]["value"]
    theirs = state.get("it_energy_kwh", own)
    if own != theirs and (own is None or theirs is None or not isclose(own, theirs)):
        rejected = f"; it rejected {state['rejected']:,} lines" if state["rejected"] else ""
        yield (
            f"the server's price tag has {_kwh(theirs)} of IT energy, the one on this machine "
            f"{_kwh(own)}{rejected}"
        )


def _kwh(value: float | None) -> str:
    return "an unknown amount" if value is None else f"{value:.6g} kWh"


class _Push:
    def __init__(
        self,
        server: Server,
        path: Path,
        total: int,
        project: str | None,
        progress: Progress,
        short: str,
    ) -> None:
        self._server = server
        self._path = path
        self._total = total
        self._project = project
        self._progress = progress
        self._short = short
        self._part_bytes = PART_BYTES
        self._turns = 0
        self._warnings: dict[str, None] = {}

    def go(self, state: dict[str, Any] | None) -> dict[str, Any]:
        """Sends the rest of the journal; returns the state at its end."""
        with self._path.open("rb") as file:
            if state is not None:
                self._check_same(file, state)
            while state is None or state["size_bytes"] < self._total:
                begin_byte = 0 if state is None else state["size_bytes"]
                self._progress(begin_byte, self._total)
                state = self._send(file, begin_byte)
                self._warnings |= dict.fromkeys(state["warnings"])
                if state["size_bytes"] <= begin_byte:
                    self._turn(state)
        self._progress(self._total, self._total)
        return {**state, "warnings": list(self._warnings)}

    def _send(self, file: Any, begin_byte: int) -> dict[str, Any]:
        while True:
            content = self._part(file, begin_byte)
            try:
                return self._server.send_journal(
                    self._path.stem, begin_byte, content, project=self._project
                )
            except ApiError as error:
                if error.status == TOO_LARGE and error.code != "journal-too-large":
                    self._shrink(file, begin_byte, content, error)
                    continue
                if error.status == UNAUTHENTICATED:
                    raise PushError(
                        f"{error}; {begin_byte:,} of {self._total:,} bytes of its journal have "
                        "arrived: push it again with a valid token (PRICETAG_TOKEN), and the rest "
                        "is sent"
                    ) from error
                if error.code == "journal-gap" and begin_byte > 0:
                    # The server has less than it stated: it was restored, say.
                    return self._server.journal_state(self._path.stem) or NOTHING
                raise

    def _part(self, file: Any, begin_byte: int) -> bytes:
        """Whole lines of at most the size of a part, or one larger line."""
        file.seek(begin_byte)
        lines = [file.readline()]
        size = len(lines[0])
        while line := file.readline():
            size += len(line)
            if size > self._part_bytes:
                break
            lines.append(line)
        content = b"".join(lines)
        if not content.endswith(b"\n"):
            raise PushError(f"its journal ends within a line: {self._path}")
        return content

    def _shrink(self, file: Any, begin_byte: int, content: bytes, error: ApiError) -> None:
        """Makes parts smaller; each is smaller than the one before.

        Raises:
            PushError: If the part is a single line.
        """
        if content.count(b"\n") == 1:
            number, _ = _lines_of(file, begin_byte, begin_byte + len(content))
            raise PushError(
                f"line {number:,} of its journal has {len(content):,} bytes, more than the server "
                f"takes at once: {error} The limit is PRICETAG_MAX_BODY_BYTES of the server, or "
                "that of a proxy before it"
            ) from error
        self._part_bytes = len(content) // 2

    def _turn(self, state: Mapping[str, Any]) -> None:
        """Counts the times that the server had not advanced after a part.

        Raises:
            PushError: If there were too many.
        """
        self._turns += 1
        if self._turns > MOST_TURNS:
            raise PushError(
                f"the server still has {state['size_bytes']:,} of {self._total:,} bytes of its "
                f"journal after {self._turns} parts: it takes no more"
            )

    def _check_same(self, file: Any, state: Mapping[str, Any]) -> None:
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
                f"{self._difference(file)}: this file was changed after it was pushed, or another "
                "one of this attempt was. Push the unchanged journal; if there is none, what has "
                f"arrived stays on the server, where `pricetag cancel {self._short}` ends the run "
                "if it has no end"
            )

    def _difference(self, file: Any) -> str:
        """The first part of the journal that is not the one that has arrived."""
        state = self._server.journal_state(self._path.stem, parts=True) or {}
        for part in state.get("parts") or ():
            begin, end = part["begin_byte"], part["begin_byte"] + part["size_bytes"]
            file.seek(begin)
            if hashlib.sha256(file.read(end - begin)).hexdigest() != part["sha256"]:
                first, last = _lines_of(file, begin, end)
                return (
                    f"bytes {begin:,} to {end:,} of its journal (lines {first:,} to {last:,}) are "
                    "not those that the server has"
                )
        return f"the server has {state.get('size_bytes', 0):,} bytes of another journal"


def _lines_of(file: Any, begin_byte: int, end_byte: int) -> tuple[int, int]:
    """Numbers of the first and the last line of a part, from 1."""
    file.seek(0)
    before = file.read(begin_byte).count(b"\n")
    return before + 1, before + max(file.read(end_byte - begin_byte).count(b"\n"), 1)


def _note(folder: Path, url: str, state: Mapping[str, Any]) -> None:
    """Writes where the run is; if that fails, the next push asks the server."""
    names = ("size_bytes", "chain_sha256", "rejected", "price_tag_version")
    push = {name: state[name] for name in names}
    push["at"] = datetime.now(UTC).isoformat(timespec="seconds")
    with suppress(OSError):
        write_whole(folder / PUSHED, json.dumps({**pushes_of(folder), url: push}))
