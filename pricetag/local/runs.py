"""The local runs of this machine: a folder each, with the journal and, once settled, the result.

A folder without a result belongs to a program that runs, or to one whose meter died: its journal
is then ended with what it has and settled by the next command that looks.
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pricetag.atomic_files import write_whole
from pricetag.local.listener import remove_socket
from pricetag.metering.journal import Journal, JournalError

RESULT = "run.json"
OWNER_ONLY = 0o600
"""Permission bits of results, which have the command line, as the journals do."""

NEW_S = 60.0
"""Age in s below which a folder without a journal may be that of a program that starts now."""

SHORTEST = 4
METER_LOST: Mapping[str, Any] = {
    "code": "meter-lost",
    "message": "the meter's process was killed; the energy metered until then is counted",
}


@dataclass(frozen=True, slots=True)
class LocalRun:
    """One local run.

    Attributes:
        folder: Its folder.
        document: ``{schema, run, price_tag}``; the price tag is None while it runs.
        parts: What each meter has measured, in the order of time, if there were several: those of
            the nodes and restarts of a job.
    """

    folder: Path
    document: dict[str, Any]
    parts: tuple[LocalRun, ...] = ()

    @property
    def each(self) -> tuple[LocalRun, ...]:
        """The run of each meter; the run itself if there was one."""
        return self.parts or (self,)

    @property
    def journals(self) -> list[Path]:
        """The journals of all its meters.

        Raises:
            FileNotFoundError: If one is missing.
        """
        return [part.journal for part in self.each]

    @property
    def run(self) -> dict[str, Any]:
        """The run, in the form of the server's runs."""
        run: dict[str, Any] = self.document["run"]
        return run

    @property
    def price_tag(self) -> dict[str, Any] | None:
        """The price tag; None while the program runs."""
        tag: dict[str, Any] | None = self.document["price_tag"]
        return tag

    @property
    def journal(self) -> Path:
        """The journal of its only meter, or of the first one.

        Raises:
            FileNotFoundError: If there is none.
        """
        path = next(self.folder.glob("*.jsonl"), None)
        if path is None:
            raise FileNotFoundError(errno.ENOENT, "there is no journal", str(self.folder))
        return path


class LocalRuns:
    """All local runs.

    Args:
        folder: The folder that contains theirs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def settle(self) -> list[str]:
        """Settles the runs whose meter died; returns a line for each that cannot be settled.

        Raises:
            OSError: If the folder cannot be read.
        """
        return [
            problem
            for folder in self._folders()
            if not (folder / RESULT).exists() and (problem := settle_folder(folder))
        ]

    def all(self) -> list[LocalRun]:
        """All runs, newest first; without those that cannot be read."""
        runs = self._grouped(self._folders())
        return sorted(runs, key=lambda each: str(each.run["created_at"]), reverse=True)

    def unreadable(self, beginning: str = "") -> list[str]:
        """A line for each run, whose ID begins with a text, with a result that cannot be read."""
        folders = [each for each in self._folders() if each.name.startswith(beginning.lower())]
        return [problem for folder in folders if (problem := result_problem(folder))]

    def find(self, text: str) -> list[LocalRun]:
        """The runs whose ID begins with a text of at least four characters."""
        wanted = text.lower()
        if len(wanted) < SHORTEST or "/" in wanted:
            return []
        return self._grouped(path for path in self._folders() if path.name.startswith(wanted))

    @staticmethod
    def _grouped(folders: Iterable[Path]) -> list[LocalRun]:
        """The runs in some folders; the meters of one job have a folder each."""
        groups: dict[str, list[LocalRun]] = {}
        for folder in folders:
            if (run := read_run(folder)) is not None:
                groups.setdefault(folder.name.partition(".")[0], []).append(run)
        return [each for group in groups.values() for each in _together(group)]

    def _folders(self) -> Iterator[Path]:
        with contextlib.suppress(FileNotFoundError):
            yield from sorted(path for path in self.folder.iterdir() if path.is_dir())


def read_run(folder: Path) -> LocalRun | None:
    """A run from its result, or as far as its journal states it; None if neither can be read."""
    try:
        return LocalRun(folder, _read_result(folder))
    except FileNotFoundError:
        return _unsettled(folder)
    except (OSError, ValueError):
        return None


def _together(parts: Sequence[LocalRun]) -> Sequence[LocalRun]:
    """The parts of a run as one; as they are, if their journals cannot be read together."""
    if len(parts) == 1:
        return parts
    from pricetag.local.settling import Recorded, run_record, settled

    ordered = tuple(sorted(parts, key=lambda each: (str(each.run["created_at"]), each.folder)))
    try:
        journals = [list(journal_lines(part.journal)) for part in ordered]
        if all(part.price_tag is not None for part in ordered):
            document = settled(*journals)
        else:
            run = run_record(*map(Recorded.of, journals))
            document = {"schema": ordered[0].document["schema"], "run": run, "price_tag": None}
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError):
        return parts
    return [LocalRun(ordered[0].folder, document, ordered)]


def journal_lines(journal: Path) -> Iterator[dict[str, Any]]:
    """The records of a journal; of one that is being written, up to the last whole line."""
    with journal.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield json.loads(line)


def result_problem(folder: Path) -> str | None:
    """Why the result of a run cannot be read; None if it can, or if there is none yet."""
    path = folder / RESULT
    try:
        _read_result(folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    except ValueError as error:
        return f"{path} cannot be read: {error}; remove it to settle the run again from its journal"
    return None


def _read_result(folder: Path) -> dict[str, Any]:
    text = (folder / RESULT).read_text(encoding="utf-8")
    if not text.strip():
        raise ValueError("it is empty")
    document = json.loads(text)
    if not (isinstance(document, dict) and isinstance(document.get("run"), dict)):
        raise ValueError("it contains no run")
    return {"price_tag": None} | document


def _unsettled(folder: Path) -> LocalRun | None:
    from pricetag.local.settling import SCHEMA, Recorded, run_record

    try:
        with next(folder.glob("*.jsonl")).open(encoding="utf-8") as lines:
            recorded = Recorded.of([json.loads(next(lines))])
            run = run_record(recorded)
    except (OSError, ValueError, KeyError, StopIteration):
        return None  # its meter has not begun to write
    return LocalRun(folder, {"schema": SCHEMA, "run": run, "price_tag": None})


def settle_folder(folder: Path) -> str | None:
    """Settles the run of a folder whose meter died; returns why it cannot be settled, if so."""
    path = next(folder.glob("*.jsonl"), None)
    try:
        journal = _begun_by_note(folder) if path is None else Journal.open_existing(path)
    except (JournalError, FileNotFoundError):
        return None  # it runs, or another command settles it
    except OSError as error:
        return f"{path or folder}: {error.strerror}"
    if journal is None:
        _remove_if_empty(folder)
        return None
    try:
        return _settle_orphan(folder, journal)
    finally:
        with contextlib.suppress(JournalError):
            journal.close()


def _begun_by_note(folder: Path) -> Journal | None:
    """A journal for a program whose meter was killed before it had one; None if there is none."""
    from pricetag.local.begun import start_of_killed

    start = start_of_killed(folder)
    return None if start is None else Journal.create(folder, start["attempt_id"])


def _settle_orphan(folder: Path, journal: Journal) -> str | None:
    from pricetag.attempt.ending import end_if_open
    from pricetag.local.begun import LOST, start_of_killed
    from pricetag.local.noted import noted
    from pricetag.metering.rapl_zones import powercap_root

    try:
        if journal.count == 0:  # killed before it had measured anything
            start = start_of_killed(folder)
            if start is None:
                shutil.rmtree(folder, ignore_errors=True)
                return None
            end = {"type": "end", "t_s": 0.0, "at": start["at"], "status": "lost", "reason": LOST}
            journal.append_all([start, end])
        status, reason = noted(folder) or ("lost", METER_LOST)
        end_if_open(journal, powercap_root(), saw_end=False, status=status, reason=reason)
        write_result(folder, journal)
    except (OSError, JournalError, ValueError, KeyError) as error:
        return f"{journal.path}: it cannot be settled: {error}"
    return None


def write_result(folder: Path, journal: Journal) -> dict[str, Any]:
    """Settles an ended journal and stores the result; returns the document.

    Raises:
        OSError: If it cannot be written.
        ValueError: If the journal has no end, or a factor is invalid.
    """
    from pricetag.attempt.ending import every_record
    from pricetag.local import begun, noted
    from pricetag.local.settling import settled

    document = settled(every_record(journal))
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    write_whole(folder / RESULT, text, OWNER_ONLY)
    noted.drop(folder)
    begun.drop(folder)
    _remove_socket(journal)
    return document


def _remove_socket(journal: Journal) -> None:
    """Removes the folder of the event socket, which a killed meter leaves."""
    for record in journal.read_from(0, 1):
        remove_socket(Path(str(record.get("socket", "")) or "events.sock"))


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        if time.time() - folder.stat().st_mtime > NEW_S:
            folder.rmdir()
