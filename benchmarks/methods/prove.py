"""``--prove``: each run is killed in the midst of its method, resumed, and loaded again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from benchmarks.methods.plan import MEASURE, PROJECT
from benchmarks.methods.state import Record
from pricetag.client import Client
from pricetag.client.runs import FINAL
from pricetag.recipes import REGISTRY
from pricetag.recipes.registry import kind_of
from pricetag.tag.variants import SCORES
from pricetag.wire import Run

LOOK_S = 0.15


@dataclass(frozen=True)
class Proof:
    """Kills and reloads runs of a service.

    Attributes:
        client: The service.
        child_pid: Process of the job that runs now.
    """

    client: Client
    child_pid: Callable[[], int | None]

    def kill_once(self, run_id: str, method: str) -> dict[str, Any] | None:
        """Kill the run's process once in the midst of the stage of a method.

        A stage that trains is killed after a quarter of its steps, another one once it is open.

        Args:
            run_id: The run.
            method: Kind of the stage; if the run has none, any stage that trains.

        Returns:
            Where it was killed: ``stage``, ``done``, ``total`` and ``unit``; None if it was not.
        """
        while (run := self.client.get_run(run_id))["status"] not in FINAL:
            pid, place = self.child_pid(), _place(run, method)
            if pid is not None and place is not None:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                    return place
            time.sleep(LOOK_S)
        return None

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


def _place(run: Run, method: str) -> dict[str, Any] | None:
    """Where a run is now, if it is in the midst of the method's stage."""
    attempts = run.get("attempts") or []
    if not attempts:
        return None
    planned = [kind_of(stage) for stage in run["recipe"]["stages"]]
    kinds = [stage["kind"] for stage in attempts[-1]["stages"] if stage["end_s"] is None]
    wanted = [kind for kind in kinds if kind == method or method not in planned]
    stage = next((kind for kind in wanted if kind in REGISTRY), None)
    if stage is None:
        return None
    progress = run["progress"] or {}
    if REGISTRY[stage].traits.trains and not _is_midway(progress):
        return None
    if method not in planned and not REGISTRY[stage].traits.trains:
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
