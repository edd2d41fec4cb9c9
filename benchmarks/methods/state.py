"""The state folder: what was run, kept so that the benchmark can continue and pages be rendered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.methods.plan import Budget, Trial
from pricetag.atomic_files import write_whole
from pricetag.tag.figure import Figure


@dataclass(frozen=True)
class Record:
    """One finished run, or one that failed.

    Attributes:
        trial: Entry, data set and seed.
        fingerprint: What its figures depend on.
        status: ``succeeded`` or ``failed``.
        run_id: ID on the benchmark's server; None if the server rejected the run.
        duration_s: Time from the submission to the price tag, s.
        figures: Figures by name.
        error: Why it failed.
        seen: What its price tag consists of: version, verification, artifacts, attempts.
        conditions: Machine, software, data and date, by its price tag.
    """

    trial: Trial
    fingerprint: str
    status: str
    run_id: str | None = None
    duration_s: float | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)
    error: str | None = None
    seen: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def read(cls, line: str) -> Record:
        fields = json.loads(line)
        fields["trial"] = Trial(**fields["trial"])
        fields["figures"] = {k: Figure(**v) for k, v in fields["figures"].items()}
        return cls(**fields)


class State:
    """Files of a state folder: ``about.json`` and ``runs.jsonl``, which is only appended to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs = folder / "runs.jsonl"
        self._about = folder / "about.json"

    def keep(self, record: Record) -> None:
        """Append a record."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._runs.open("a", encoding="utf-8") as file:
            file.write(record.as_json() + "\n")

    def records(self) -> dict[Trial, list[Record]]:
        """All records of every run, oldest first; a line that was cut off is skipped."""
        by_trial: dict[Trial, list[Record]] = {}
        if not self._runs.exists():
            return by_trial
        for line in self._runs.read_text(encoding="utf-8").splitlines():
            try:
                record = Record.read(line)
            except (ValueError, KeyError, TypeError):
                continue
            by_trial.setdefault(record.trial, []).append(record)
        return by_trial

    def newest(self, fingerprints: Mapping[Trial, str]) -> dict[Trial, Record]:
        """The newest record of each of these runs as they are described now."""
        newest: dict[Trial, Record] = {}
        for trial, records in self.records().items():
            fitting = [r for r in records if r.fingerprint == fingerprints.get(trial)]
            if fitting:
                newest[trial] = fitting[-1]
        return newest

    def tries(self, trial: Trial, fingerprint: str) -> int:
        """How often a run has failed as it is described now."""
        records = self.records().get(trial, [])
        return sum(r.status == "failed" and r.fingerprint == fingerprint for r in records)

    def write_about(self, about: Mapping[str, Any]) -> None:
        """Keep the conditions of all runs: budget, inputs, machine, software."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._about, json.dumps(dict(about), indent=2, sort_keys=True) + "\n")

    def about(self) -> dict[str, Any]:
        """The conditions; empty before the first run."""
        if not self._about.exists():
            return {}
        about: dict[str, Any] = json.loads(self._about.read_text(encoding="utf-8"))
        return about

    def budget(self) -> Budget:
        """The budget of the runs.

        Raises:
            FileNotFoundError: Nothing was run in this folder.
        """
        if not self._about.exists():
            raise FileNotFoundError(f"{self.folder} has no runs yet")
        return Budget(**self.about()["budget"])


def succeeded(records: Iterable[Record]) -> list[Record]:
    """The records of runs that succeeded."""
    return [record for record in records if record.status == "succeeded"]
