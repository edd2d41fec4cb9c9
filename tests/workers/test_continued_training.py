"""Runs that train parts of one training: together they are the whole, bit by bit."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.recording import RecordingReporter
from tests.support.training import data_set, job, recipe
from workers.job.pipeline import run
from workers.job.reporter import JobError
from workers.job.socket_reporter import sha256_of

STAGE = {
    **{"kind": "train", "epochs": 3, "batch_size": 16, "learning_rate": 1e-3, "seed": 3},
    **{"warmup_ratio": 0.1, "evaluate": False},
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_set(tmp_path_factory.mktemp("lab"))


def trained(lab: Path, name: str, after: str | None = None, **options: Any) -> RecordingReporter:
    """Runs a training, from the model of another run if that is named."""
    reporter = RecordingReporter()
    changes: dict[str, Any] = {}
    if after is not None:
        folder = published(lab, after)
        files = {file.name: sha256_of(file) for file in folder.iterdir()}
        place = str(folder.relative_to(lab / "artifacts"))
        of_run = {"run_id": after, "stage": "train", "folder": place, "files": files}
        changes["upstream"] = of_run
        options_of_model: dict[str, Any] = {"run": "99999999-2222-3333-4444-555555555555"}
        described = recipe({**STAGE, **options}, model=options_of_model)
    else:
        described = recipe({**STAGE, **options})
    work, artifacts = lab / "work" / name, lab / "artifacts" / name / "1"
    run(job(lab, described, work_dir=work, artifacts_dir=artifacts, **changes), reporter)
    return reporter


def published(lab: Path, name: str) -> Path:
    return lab / "artifacts" / name / "1" / "stage-00-train"


def weights(lab: Path, name: str) -> bytes:
    return (published(lab, name) / "model.safetensors").read_bytes()


def metrics(reporter: RecordingReporter) -> dict[str, Any]:
    return {event["name"]: event["value"] for event in reporter.of("metric")}


@pytest.fixture(scope="module")
def whole(lab: Path) -> bytes:
    """The weights after three epochs in one run, with warm-up and a linear schedule."""
    trained(lab, "whole")
    return weights(lab, "whole")


@pytest.mark.parametrize("places", [(1.0,), (0.5, 1.75)], ids=["at an epoch", "within epochs"])
def test_parts_of_a_training_give_the_weights_of_the_whole(
    lab: Path, whole: bytes, places: tuple[float, ...]
) -> None:
    steps = 0.0
    parts = [*pairwise((None, *places, None))]
    for number, (start, stop) in enumerate(parts):
        after = f"{places}-{number - 1}" if number else None
        done = trained(lab, f"{places}-{number}", after, start_at=start, stop_at=stop)
        own = metrics(done)
        assert own["epochs"] == pytest.approx((stop or 3) - (start or 0), abs=1 / 6)
        steps += own["steps"]
        assert (weights(lab, f"{places}-{number}") == whole) == (stop is None)
    assert steps == 18


def test_only_the_training_that_was_kept_is_continued(lab: Path, whole: bytes) -> None:
    trained(lab, "first", stop_at=1)
    for options, text in (
        ({"start_at": 1, "learning_rate": 2e-3}, "learning_rate was 0.001 in the earlier run"),
        ({"start_at": 2}, "the earlier run ended after step 6, start_at is 12"),
        ({"start_at": 1, "epochs": 4}, "epochs was 3.0 in the earlier run, not 4.0"),
    ):
        with pytest.raises(JobError) as caught:
            trained(lab, f"wrong {text}", "first", **options)
        assert (caught.value.code, caught.value.field) == (
            "cannot-continue",
            "recipe.stages.0.start_at",
        )
        assert text in caught.value.message
    with pytest.raises(JobError, match="has not kept its training"):
        trained(lab, "after the end", "whole", start_at=1)
