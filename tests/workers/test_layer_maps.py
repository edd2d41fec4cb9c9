"""Which layers students start from, imitate, replace and share, as their authors released it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pricetag.recipes.methods.train_early_exit import TrainEarlyExit
from workers.methods.albert import groups_of_layers
from workers.methods.pkd import patient_layers

MAPS = json.loads((Path(__file__).parents[1] / "data/golden/layer_maps.json").read_text())["cases"]
TWELVE = 12


def test_patient_students_skip_layers() -> None:
    maps = MAPS["pkd"]
    assert patient_layers(TWELVE, 6, "skip") == maps["student6_teacher12_skip_0based"]
    assert patient_layers(24, 6, "skip") == maps["teacher24_student6_0based_of_saved_list"]
    # All layers of the student but the last one learn.
    assert len(patient_layers(TWELVE, 6, "skip")) == 5
    # The released script for three layers takes those before the last, as PKD-Last does.
    assert (
        patient_layers(TWELVE, 3, "last")
        == MAPS["pkd"]["student3_teacher12_released_script_0based"]
    )


@pytest.mark.parametrize(("size", "layers"), [("base", TWELVE), ("large", 24)])
def test_exits_are_after_the_layers_of_the_paper(size: str, layers: int) -> None:
    stage = TrainEarlyExit(method="early_exit", epochs=1)
    assert stage.exit_layers(layers) == MAPS["early_exit"][size]


@pytest.mark.parametrize("groups", MAPS["albert_group_of_layer_12_layers"])
def test_neighbors_share_their_weights(groups: str) -> None:
    expected = MAPS["albert_group_of_layer_12_layers"][groups]
    assert groups_of_layers(TWELVE, int(groups)) == expected
