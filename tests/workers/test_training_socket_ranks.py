"""Plug-ins on two ranks: the same weights, own parameters, rounds and rungs on each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.sockets import prepared
from tests.support.training import launch_ranks

SCRIPT = """
import hashlib, json, sys
from pathlib import Path
import torch
from tests.support.sockets import Momentum, Projection, ReplacedTokens, fitted, prepared, weights
from workers.job import ranks
from workers.job.child import leave
from workers.job.reporter import SilentReporter
from workers.training.losses import TaskLoss
from workers.training.plugin import Plugin
from workers.training.rounds import run_rounds, run_rungs

root = Path(sys.argv[1])
stage, loaded = prepared(root)
if ranks.rank() != 0:
    stage.reporter = SilentReporter()

class SkipsALayer(Plugin):
    unused_parameters = True
    def attach(self, model):
        self.layer = model.bert.encoder.layer[1]
        self.own = self.layer.forward
    def before_step(self, step):
        skip = step.done % 2 == 0
        self.layer.forward = (lambda hidden, *a, **k: hidden) if skip else self.own
    def detach(self, model):
        del self.layer.forward

projection = Projection(2)
plan = {"mid_evaluation": {"every_steps": 2}}
seen = []
def one(this):
    outcome = fitted(
        stage, loaded, steps=4, folder=this.folder, losses=[TaskLoss(), projection],
        plugins=[Momentum(), SkipsALayer()], options=plan,
    )
    seen.append(this.number)
    return {"best": outcome.best_step}
results = run_rounds(stage, loaded.model, 2, one)

replaced = ReplacedTokens(int(loaded.model.config.vocab_size), 16)
two = {"batch_size": 4, "gradient_accumulation": 2}
fitted(stage, loaded, steps=3, folder=root / "replaced", losses=[TaskLoss(), replaced], options=two)

trials = []
def trial(number, stop_at, folder):
    trials.append((number, stop_at))
    _, fresh = prepared(root)
    rate = {"learning_rate": 10.0 ** -(number + 2)}
    fitted(stage, fresh, steps=4, stop_at=stop_at, folder=folder, options=rate)
    return -float(sum(p.detach().double().square().sum() for p in fresh.model.parameters()))
rungs = run_rungs(stage, [(2, 2), (1, 4)], trial)

def digest(tensors):
    parts = [tensor.detach().cpu().numpy().tobytes() for tensor in tensors]
    return hashlib.sha256(b"".join(parts)).hexdigest()

(root / f"rank-{ranks.rank()}.json").write_text(json.dumps({
    "model": digest(weights(loaded).values()),
    "projection": digest(projection.linear.parameters()),
    "results": results,
    "rounds": seen,
    "replaced": digest(replaced.own().state_dict().values()),
    "places": [(place.step, place.part) for place in replaced.places],
    "rungs": rungs,
    "trials": trials,
    "of_this_rank": {
        "ranks": sorted({place.rank for place in replaced.places}),
        "batches": digest(replaced.batches),
    },
}))
leave(0)
"""


def test_two_ranks_end_with_the_same_weights_rounds_rungs_and_changed_batches(
    tmp_path: Path,
) -> None:
    prepared(tmp_path)  # the data set is written once
    launch_ranks(tmp_path, SCRIPT)
    notes: list[dict[str, Any]] = [
        json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1)
    ]
    own = [note.pop("of_this_rank") for note in notes]
    assert notes[0] == notes[1]
    assert [one["ranks"] for one in own] == [[0], [1]]
    assert own[0]["batches"] != own[1]["batches"]
    assert notes[0]["places"] == [[step, part] for step in range(3) for part in range(2)]
    assert [len(rung) for rung in notes[0]["rungs"]] == [2, 1]
    assert [steps for _, steps in notes[0]["trials"]] == [2, 2, 4]
    assert notes[0]["rounds"] == [0, 1]
    assert len(notes[0]["results"]) == 2
