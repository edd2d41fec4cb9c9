"""Pruning on two ranks: the same masks, scores and decisions on each."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.sockets import prepared
from tests.support.training import launch_ranks

SCRIPT = """
import hashlib, json, sys
from functools import partial
from pathlib import Path
import torch
from tests.support.sockets import fitted, prepared, weights
from workers.job import ranks
from workers.job.child import leave
from workers.job.reporter import SilentReporter
from workers.methods.compressbert import random_masks
from workers.methods.movement import Movement, ScorePenalty
from workers.methods.snip import normalized, saliencies
from workers.training.finetune import new_tally
from workers.training.formats.sparse import prunable
from workers.training.losses import TaskLoss
from workers.training.pruning.gradients import gradients
from workers.training.pruning.masker import RampedMasker, by_magnitude
from workers.training.pruning.masks import choose
from workers.training.pruning.schedule import Ramp
from workers.training.pruning.selection import with_others
from workers.training.pruning.stage import kept_masks
from pricetag.recipes.methods.train import Train

root = Path(sys.argv[1])

def digest(tensors):
    whole = hashlib.sha256()
    for name in sorted(tensors):
        whole.update(tensors[name].detach().contiguous().numpy().tobytes())
    return whole.hexdigest()

ramp = Ramp(0.75, 0.0, 0.75)
hard = Movement(ramp, 0.01)
soft = Movement(Ramp(0.45, 0.0, 0.75), 0.3, soft=True)
cases = {
    "magnitude": ([TaskLoss()], RampedMasker(by_magnitude, ramp, with_others)),
    "random": ([TaskLoss()], RampedMasker(partial(random_masks, seed=3), ramp)),
    "hard": ([TaskLoss()], hard),
    "soft": ([TaskLoss(), ScorePenalty(soft, 10.0, ramp)], soft),
}
digests = {}
for name, (losses, plugin) in cases.items():
    stage, loaded = prepared(root)
    if ranks.rank() != 0:
        stage.reporter = SilentReporter()
    fitted(stage, loaded, steps=4, losses=losses, plugins=[plugin], folder=root / name)
    digests[name] = [digest(weights(loaded)), digest(plugin.state()), plugin.density()]
stage, loaded = prepared(root)
matrices = prunable(loaded.model)

def once():
    assert ranks.rank() == 0
    options = Train(batch_size=8, precision="fp32")
    found = gradients(stage, loaded, options, matrices, 2, new_tally(stage, loaded))
    own = {name: matrix.weight for name, matrix in matrices.items()}
    score = normalized([saliencies(own, each) for each in found])
    return choose(matrices, lambda _: score, 0.5, "global")

masks = kept_masks(stage, "now", once)
share = float(torch.cat([mask.flatten() for mask in masks.values()]).double().mean())
digests["snip"] = [digest(masks), "", share]
(root / f"rank-{ranks.rank()}.json").write_text(json.dumps(digests))
leave(0)
"""


def test_masks_scores_and_weights_are_equal_on_two_ranks(tmp_path: Path) -> None:
    prepared(tmp_path)  # writes the data
    launch_ranks(tmp_path, SCRIPT)
    first, second = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    densities = {name: density for name, (_, _, density) in first.items()}
    assert abs(densities["magnitude"] - 0.25) < 2e-3
    assert abs(densities["random"] - 0.25) < 2e-3
    assert abs(densities["hard"] - 0.25) < 2e-3
    assert densities["soft"] < 1
    assert abs(densities["snip"] - 0.5) < 2e-3
