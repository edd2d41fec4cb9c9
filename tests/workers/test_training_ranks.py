"""Two processes on the CPU, first under torchrun: one job, one reporter."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.training import TRAIN, data_set, launch_ranks, recipe

SCRIPT = """
import json, sys
from pathlib import Path
from tests.support.training import job
from workers.job import ranks
from workers.job.child import leave
from workers.job.pipeline import run
from tests.support.recording import RecordingReporter
from workers.job.reporter import Interrupted, SilentReporter

root, stop = Path(sys.argv[1]), int(sys.argv[2])
one = job(root, json.loads((root / "recipe.json").read_text()))
if ranks.rank() != 0:
    run(one, SilentReporter())
    leave(0)
reporter = RecordingReporter(stop_after=stop or None)
try:
    run(one, reporter)
except Interrupted:
    reporter.log("interrupted")
(root / "events.json").write_text(json.dumps(reporter.events, default=str))
leave(0)
"""


def launch(root: Path, stop: int = 0, *, torchrun: bool = False) -> list[dict[str, object]]:
    launch_ranks(root, SCRIPT, str(stop), torchrun=torchrun)
    events: list[dict[str, object]] = json.loads((root / "events.json").read_text())
    return events


COUNTED = (
    """
import atexit, json, sys
from pathlib import Path
from workers.job import ranks
from workers.training.trainer import Operations

made = []

def add(self, rows, width, former=Operations.add):
    former(self, rows, width)
    made[:] = [self]
    own = {"own": self.own, "method": str(self.tally.stand_for)}
    (Path(sys.argv[1]) / f"rank-{ranks.rank()}.json").write_text(json.dumps(own))

Operations.add = add
"""
    + SCRIPT
)


def test_operations_are_the_sum_over_the_ranks(tmp_path: Path) -> None:
    """Their batches are of different lengths, so that those of one do not stand for the other's."""
    data_set(tmp_path)
    stage = {**TRAIN, "max_steps": 3, "batch_size": 8, "group_by_length": False}
    described = recipe({**stage, "evaluate": False})
    (tmp_path / "recipe.json").write_text(json.dumps(described))
    launch_ranks(tmp_path, COUNTED, "0")
    events = json.loads((tmp_path / "events.json").read_text())
    count = [event for event in events if event["type"] == "flops"][-1]
    ranks = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2)]
    (one, _), (other, _) = (each["own"] for each in ranks)
    assert one != other
    assert count["dense"] == one + other
    assert "process 0" not in count["method"]  # nothing stands for anything at the end
    assert {each["method"] for each in ranks} == {"2"}


def test_two_ranks_train_one_model_and_resume_together(tmp_path: Path) -> None:
    data_set(tmp_path)
    described = recipe({**TRAIN, "max_steps": 8, "batch_size": 8}, {"kind": "quantize"})
    (tmp_path / "recipe.json").write_text(json.dumps(described))
    first = launch(tmp_path, stop=4, torchrun=True)
    assert first[-1]["text"] == "interrupted"
    second = launch(tmp_path)
    lines = [event.get("text") for event in second if event["type"] == "log"]
    assert "resuming from checkpoint-4" in lines
    ends = [(event["kind"], event["status"]) for event in second if event["type"] == "stage_end"]
    assert ends == [
        ("train", "succeeded"),
        ("evaluate", "succeeded"),
        ("quantize", "succeeded"),
    ]
    epochs = next(event["value"] for event in second if event.get("name") == "epochs")
    assert epochs == 8 / 6  # 96 examples, 2 ranks of 8 each
