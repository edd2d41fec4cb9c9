"""``--prove``: each run is killed in the midst of its training, resumed, and loaded again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from benchmarks.methods.plan import MEASURE, PROJECT
from benchmarks.methods.state import Record
from pricetag.client import Client
from pricetag.client.runs import FINAL
from pricetag.recipes import REGISTRY
from pricetag.wire import Run

LOOK_S = 0.25


@dataclass(frozen=True)
class Proof:
    """Kills and reloads runs of a service.

    Attributes:
        client: The service.
        child_pid: Process of the job that runs now.
    """

    client: Client
    child_pid: Callable[[], int | None]

    def kill_once(self, run_id: str) -> bool:
        """Kill the run's process in a stage that trains, after its first step; whether it was."""
        while (run := self.client.get_run(run_id))["status"] not in FINAL:
            pid = self.child_pid()
            if pid is not None and _is_training(run):
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                    return True
            time.sleep(LOOK_S)
        return False

    def reloaded_scores(self, run: Run, stage: str) -> dict[str, float]:
        """The scores of the published model as a second run loads it, by name."""
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
        return {
            item["name"]: item["value"]
            for item in self.client.metrics(loaded["id"])
            if item["split"] == "validation"
        }


def _is_training(run: Run) -> bool:
    """Whether the running stage trains and has done a step."""
    progress, attempts = run["progress"], run.get("attempts") or []
    if not progress or not attempts or not progress.get("done"):
        return False
    open_stages = [s for s in attempts[-1]["stages"] if s["end_s"] is None]
    kinds = [stage["kind"] for stage in open_stages]
    return any(kind in REGISTRY and REGISTRY[kind].traits.trains for kind in kinds)


def _length(recipe: dict[str, Any]) -> int:
    measured = [stage for stage in recipe["stages"] if stage.get("name") == MEASURE]
    return int(measured[-1]["max_length"])


def summary(records: Iterable[Record]) -> tuple[list[str], bool]:
    """What was shown for each run, and whether all of it holds.

    A run without training is not killed; one that was too quick for it is listed as such.
    """
    lines, holds = [], True
    for record in records:
        score = record.figures.get("score")
        reloaded = record.seen.get("reloaded")
        parts = [record.status]
        if record.status != "succeeded":
            parts.append(str(record.error))
            holds = False
        elif record.seen.get("killed"):
            parts.append(f"killed, resumed in attempt {record.seen['attempts']}")
        else:
            parts.append("not killed")
        if reloaded is not None and score is not None:
            same = score.value in reloaded.values()
            holds = holds and same
            parts.append("same score after loading" if same else f"{score.value} != {reloaded}")
        lines.append(f"{record.trial}: {'; '.join(parts)}")
    return lines, holds
