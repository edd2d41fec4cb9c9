"""``--prove``: each run is killed in the middle of its method, resumed, and loaded again."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.methods.plan import MEASURE, PROJECT
from benchmarks.methods.state import Record
from pricetag.client import Client
from pricetag.client.runs import FINAL
from pricetag.recipes import REGISTRY
from pricetag.recipes.registry import kind_of
from pricetag.tag.scores import SCORES
from pricetag.wire import Run

LOOK_S = 0.15
EVENT_S = 0.004
SETTLING_S = 0.05
"""Time for the supervisor to write down what a process sent before it was stopped."""


@dataclass(frozen=True)
class Proof:
    """Kills and reloads runs of a service.

    Attributes:
        client: The service.
        child_pid: Process of the job that runs now.
        journals: Folder of the journals in which supervisors write the events of their jobs.
    """

    client: Client
    child_pid: Callable[[], int | None]
    journals: Path

    def kill_once(
        self, run_id: str, method: str, earlier: Run | None = None
    ) -> dict[str, Any] | None:
        """Kill the run's process once in the middle of the stage of a method.

        A stage that trains is killed after a quarter of its steps, another one when it opens. If
        it was over before in an earlier run, it is killed after half of the time that it took.

        Args:
            run_id: The run.
            method: Kind of the stage; if the run has none, any stage that trains.
            earlier: The same run, which came to its end.

        Returns:
            Where it was killed: ``stage`` with ``done``, ``total`` and ``unit``, or with
            ``after_s`` and, if known, ``of_s``; None if it was not.
        """
        run = self.client.get_run(run_id)
        duration_s = None if earlier is None else _duration_s(earlier, method)
        if duration_s is not None:
            return self._kill_after(run_id, method, duration_s / 2, duration_s)
        if all(REGISTRY[kind].traits.trains for kind in _targets(run, method)):
            return self._kill_midway(run_id, method)
        return self._kill_after(run_id, method, 0.0, None)

    def _kill_midway(self, run_id: str, method: str) -> dict[str, Any] | None:
        """Kill the run when it reports enough progress of the stage."""
        while (run := self.client.get_run(run_id))["status"] not in FINAL:
            pid, place = self.child_pid(), _place(run, method)
            if pid is not None and place is not None:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                    return place
            time.sleep(LOOK_S)
        return None

    def _kill_after(
        self, run_id: str, method: str, after_s: float, of_s: float | None
    ) -> dict[str, Any] | None:
        """Kill the run some time after the event with which the stage opens."""
        looked_s = 0.0
        while True:
            if time.monotonic() - looked_s > LOOK_S:
                run = self.client.get_run(run_id)
                if run["status"] in FINAL:
                    return None
                looked_s = time.monotonic()
            pid = self.child_pid()
            if pid is not None and self._open(run, method) is not None:
                time.sleep(after_s)
                stage = self._kill_if_open(pid, run, method)
                if stage is None:
                    return None
                return {"stage": stage, "after_s": after_s, "of_s": of_s}
            time.sleep(EVENT_S)

    def _kill_if_open(self, pid: int, run: Run, method: str) -> str | None:
        """Stop the process, and kill it unless the stage has ended; the kind if it was killed."""
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGSTOP)
            time.sleep(SETTLING_S)
            stage = self._open(run, method)
            os.killpg(pid, signal.SIGCONT if stage is None else signal.SIGKILL)
            return stage
        return None

    def _open(self, run: Run, method: str) -> str | None:
        """The kind of the method's stage if it is open now, by the attempt's journal."""
        kinds = open_kinds(self.journals, run["id"])
        return next((kind for kind in kinds if kind in _targets(run, method)), None)

    def reloaded_scores(self, run: Run, stage: str) -> dict[str, tuple[float | None, float | None]]:
        """Each score that the run measured, and that of its model as a second run loads it."""
        recipe = run["recipe"]
        again = {
            "project": PROJECT,
            "experiment": "reloaded",
            "name": f"{run['name']}, reloaded",
            "recipe": {
                **{key: recipe[key] for key in ("task", "data")},
                "model": {"run": run["id"], "stage": stage},
                "stages": [{"kind": "evaluate", "max_length": _length(recipe)}],
            },
        }
        loaded = self.client.wait(self.client.create_run(again)["id"])
        reloaded = self._scores(loaded["id"])
        return {
            name: (value, reloaded.get(name)) for name, value in self._scores(run["id"]).items()
        }

    def _scores(self, run_id: str) -> dict[str, float]:
        """The newest scores of a run on the validation split."""
        return {
            item["name"]: item["value"]
            for item in self.client.metrics(run_id)
            if item["split"] == "validation" and item["name"] in SCORES
        }


def open_kinds(journals: Path, run_id: str) -> list[str]:
    """Kinds of the stages of a run that are open now, by the journal of its running attempt."""
    for path in journals.glob("*.jsonl"):
        with suppress(OSError, ValueError, IndexError):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            if json.loads(lines[0]).get("run_id") == run_id:
                return _open_in(lines)
    return []


def _open_in(lines: Iterable[str]) -> list[str]:
    opened: dict[str, str] = {}
    for line in lines:
        if '"stage_' not in line:
            continue
        with suppress(ValueError):  # the last line may be half written
            record = json.loads(line)
            if record["type"] == "stage_start":
                opened[record["key"]] = record["kind"]
            elif record["type"] == "stage_end":
                opened.pop(record["key"], None)
    return list(opened.values())


def _targets(run: Run, method: str) -> list[str]:
    """Kinds of the stages in which a run may be killed."""
    planned = [kind_of(stage) for stage in run["recipe"]["stages"]]
    if method in planned:
        return [method]
    return [kind for kind in planned if kind in REGISTRY and REGISTRY[kind].traits.trains]


def _duration_s(run: Run, method: str) -> float | None:
    """How long the method's stage took in the last attempt of a run, s."""
    stages = (run.get("attempts") or [{}])[-1].get("stages") or []
    own = [stage for stage in stages if stage["kind"] in _targets(run, method)]
    if not own or own[-1]["end_s"] is None:
        return None
    return float(own[-1]["end_s"]) - float(own[-1]["start_s"])


def _place(run: Run, method: str) -> dict[str, Any] | None:
    """Where a run is now, if it is in the middle of the method's stage, which trains."""
    attempts = run.get("attempts") or []
    if not attempts:
        return None
    kinds = [stage["kind"] for stage in attempts[-1]["stages"] if stage["end_s"] is None]
    stage = next((kind for kind in kinds if kind in _targets(run, method)), None)
    progress = run["progress"] or {}
    if stage is None or not _is_midway(progress):
        return None
    return {"stage": stage} | {key: progress.get(key) for key in ("done", "total", "unit")}


def _is_midway(progress: Mapping[str, Any]) -> bool:
    done, total = progress.get("done") or 0.0, progress.get("total") or 0.0
    return float(done) > 0 and float(done) >= float(total) / 4


def _length(recipe: dict[str, Any]) -> int:
    measured = [stage for stage in recipe["stages"] if stage.get("name") == MEASURE]
    return int(measured[-1]["max_length"])


def summary(records: Iterable[Record]) -> tuple[list[str], bool]:
    """What was shown of each run, and whether all of it holds."""
    shown = [(record.trial, *proved(record)) for record in records]
    return [f"{trial}: {text}" for trial, _, text in shown], all(holds for _, holds, _ in shown)


def proved(record: Record) -> tuple[bool, str]:
    """Whether a run was killed and resumed, and its model scores the same after loading."""
    if record.status != "succeeded":
        return False, f"failed: {record.error}"
    attempts, verification = int(record.seen["attempts"]), str(record.seen["verification"])
    scores = record.seen.get("reloaded")
    holds = bool(record.seen.get("killed")) and attempts == 2 and verification == "verified"
    if scores is not None:
        holds = holds and bool(scores) and not _differing(scores)
    parts = [where_killed(record), f"{attempts} attempts", verification, reloaded(record)]
    return holds, "; ".join(parts)


def where_killed(record: Record) -> str:
    """``in distill-pkd at 4 of 16 steps``."""
    killed = record.seen.get("killed")
    if not killed:
        return "not killed: its stage was over too soon"
    if killed.get("of_s") is not None:
        return f"in {killed['stage']} after {killed['after_s']:.2f} of {killed['of_s']:.2f} s"
    if killed.get("done") is None:
        return f"in {killed['stage']}"
    return f"in {killed['stage']} at {killed['done']:g} of {killed['total']:g} {killed['unit']}"


def reloaded(record: Record) -> str:
    """Whether the scores are the same after loading."""
    scores = record.seen.get("reloaded")
    if scores is None:
        return "by the run that starts from it"
    if differing := _differing(scores):
        return f"DIFFERENT: {', '.join(differing)}"
    own = [f"{name} {value:.4g}" for name, (value, _) in scores.items() if value is not None]
    return f"same scores ({', '.join(own)})"


def _differing(scores: Mapping[str, tuple[float | None, float | None]]) -> list[str]:
    """``accuracy 0.8 != 0.7`` for each score that differs."""
    return [f"{name} {own} != {again}" for name, (own, again) in scores.items() if own != again]
