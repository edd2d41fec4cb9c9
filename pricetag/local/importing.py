"""Imports measurements of other tools as local runs, which can be pushed like all others.

A file is read to its end before anything is written, and each run appears as a whole or not at all.
The same measurement has the same IDs, so that importing a file again adds what is new.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pricetag.atomic_files import write_whole
from pricetag.imports.imported import Imported, ImpossibleError, records
from pricetag.imports.recognize import READERS, format_of
from pricetag.imports.source import Skipped, Source
from pricetag.imports.tables import ImportFileError
from pricetag.local.runs import OWNER_ONLY, RESULT
from pricetag.local.settings import LocalSettings

DRAFTS = "local-drafts"
"""Folder beside the local runs in which a run is written before it gets its place."""

State = Literal["new", "present", "changed"]


@dataclass(frozen=True, slots=True)
class Filing:
    """Where imported runs are filed.

    Attributes:
        settings: The folder of local runs and the site's factors.
        project: Project of all runs; None for that of the tool, else that of the settings.
        experiment: Experiment of all runs; None for the name of the tool.
        tags: Their tags.
    """

    settings: LocalSettings
    project: str | None = None
    experiment: str | None = None
    tags: Sequence[str] = ()

    @property
    def has_zone(self) -> bool:
        """Whether the carbon intensity of the site is set."""
        site = self.settings.site
        return site.grid_zone is not None or site.grid_g_per_kwh is not None

    def project_of(self, run: Imported) -> str:
        """The project of a run."""
        return self.project or run.project or self.settings.project

    def folder_of(self, run: Imported) -> Path:
        """The folder of a run."""
        return self.settings.folder / str(run.run_id)


@dataclass(slots=True)
class Plan:
    """What the import of a file would add.

    Attributes:
        source: The file.
        format: Its format.
        states: Number of runs by state: new, present from an earlier import, or present with other
            figures.
        skipped: Number of lines without a run of their own, by reason.
        duration_s: Duration of the new runs together.
        energy_j: IT energy of the new runs.
        first_at: Start of the first run.
        last_at: Start of the last run.
        examples: The first runs of the file.
        changed: The first runs whose figures differ from those of an earlier import.
        kept: Number of runs present from an earlier import by option that does not change them.
        countries: Number of new runs by the country that the file states.
    """

    source: Source
    format: str
    states: Counter[State] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    duration_s: float = 0.0
    energy_j: float = 0.0
    first_at: datetime | None = None
    last_at: datetime | None = None
    examples: list[Imported] = field(default_factory=list)
    changed: list[Imported] = field(default_factory=list)
    kept: Counter[str] = field(default_factory=Counter)
    countries: Counter[str] = field(default_factory=Counter)


NO_ENERGY = "a measurement of 0 kWh: its tool had no reading"

SHOWN = 5
"""Number of runs that a plan lists."""


def plan(source: Source, filing: Filing, file_format: str | None = None) -> Plan:
    """Reads a file to its end and checks every line; nothing is written.

    Args:
        source: The file.
        filing: Where its runs would be filed.
        file_format: Its format; recognized by default.

    Raises:
        ImportFileError: If a line is invalid, with its number, or the file has no runs.
        OSError: If the file or the data folder cannot be read.
    """
    planned = Plan(source, file_format or format_of(source))
    for run in _runs(planned):
        state = state_of(run, filing)
        planned.states[state] += 1
        planned.first_at = min(filter(None, (planned.first_at, run.started_at)))
        planned.last_at = max(filter(None, (planned.last_at, run.started_at)))
        planned.kept.update(() if state == "new" else kept_by(run, filing))
        if state == "new":
            planned.countries.update(filter(None, (run.country,)))
            planned.duration_s += run.duration_s
            planned.energy_j += run.energy_j
        if state == "changed" and len(planned.changed) < SHOWN:
            planned.changed.append(run)
        if len(planned.examples) < SHOWN:
            planned.examples.append(run)
    if not planned.states and not planned.skipped:
        raise ImportFileError("the file has no measurements")
    return planned


def carry_out(planned: Plan, filing: Filing) -> Iterator[Imported]:
    """Files the runs of a plan that are new, and yields each.

    Raises:
        ImportFileError: If the file has changed since then, so that a line is invalid.
        OSError: If a run cannot be written; those before it stay, as whole runs.
        ValueError: If a factor of the settings is invalid.
    """
    planned.skipped.clear()
    for run in _runs(planned):
        if state_of(run, filing) == "new" and _file(run, filing):
            yield run


def _runs(planned: Plan) -> Iterator[Imported]:
    now = datetime.now(UTC)
    for item in READERS[planned.format](planned.source):
        if isinstance(item, Skipped):
            planned.skipped[item.why] += 1
            continue
        try:
            item.check(now)
        except ImpossibleError as error:
            raise ImportFileError(str(error), item.line) from error
        if item.energy_j == 0:
            planned.skipped[NO_ENERGY] += 1
        else:
            yield item


def state_of(run: Imported, filing: Filing) -> State:
    """Whether a run was imported before, and with which figures."""
    try:
        same = _start(run, filing)["imported"]["content_sha256"] == run.content_sha256
    except FileNotFoundError:
        return "new"
    except (ValueError, KeyError, TypeError, StopIteration):
        return "changed"
    return "present" if same else "changed"


def kept_by(run: Imported, filing: Filing) -> list[str]:
    """The options that a run, which was imported before, does not follow."""
    try:
        filed = _start(run, filing)["run"]
        return [
            option
            for option, wanted, has in (
                ("--project", filing.project, filed["project"]),
                ("--experiment", filing.experiment, filed["experiment"]),
                ("--tag", list(filing.tags) or None, filed["tags"]),
            )
            if wanted is not None and wanted != has
        ]
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return []


def _start(run: Imported, filing: Filing) -> Mapping[str, Any]:
    """The first record of the journal of a run that was imported before."""
    journal = filing.folder_of(run) / f"{run.attempt_id}.jsonl"
    with journal.open(encoding="utf-8") as lines:
        start: Mapping[str, Any] = json.loads(next(lines))
    return start


def _file(run: Imported, filing: Filing) -> bool:
    """Writes a run as a whole; returns whether it is new."""
    from pricetag.local.settling import settled

    listed = list(
        records(
            run,
            project=filing.project_of(run),
            experiment=filing.experiment or run.experiment or run.tool.lower(),
            tags=filing.tags,
            factors=filing.settings.site.as_record(),
        )
    )
    document = settled(listed)
    draft = filing.settings.folder.parent / DRAFTS / f"{run.run_id}.{os.getpid()}"
    draft.mkdir(parents=True, exist_ok=True)
    try:
        lines = [
            json.dumps({"seq": seq, **record}, allow_nan=False, separators=(",", ":")) + "\n"
            for seq, record in enumerate(listed)
        ]
        write_whole(draft / f"{run.attempt_id}.jsonl", "".join(lines), OWNER_ONLY)
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
        write_whole(draft / RESULT, text, OWNER_ONLY)
        filing.settings.folder.mkdir(parents=True, exist_ok=True)
        draft.rename(filing.folder_of(run))
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another import was faster
            return False
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        with suppress(OSError):
            draft.parent.rmdir()
    return True
