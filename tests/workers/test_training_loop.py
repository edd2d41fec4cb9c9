from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pricetag.recipes.methods.train import Train
from tests.support.recording import RecordingReporter
from tests.support.training import CONFIG, TRAIN, carry_out, context, data_set, job, recipe
from workers.job.context import StageContext
from workers.job.pipeline import run
from workers.job.reporter import Interrupted, JobError
from workers.training import checkpoints
from workers.training.callbacks import LossWatch
from workers.training.cost import tally
from workers.training.finetune import training_data, training_labels
from workers.training.fit import Horizon, Outcome, fit
from workers.training.forward_pass import ForwardPass
from workers.training.model.models import for_training
from workers.training.plugin import LossTerm, Plugin, Step

ONLY_TRAIN = {**TRAIN, "evaluate": False}


def weights(root: Path) -> dict[str, torch.Tensor]:
    return load_file(root / "work" / "stage-00" / "model" / "model.safetensors")


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def interrupted_at(root: Path, described: dict[str, Any], questions: int) -> RecordingReporter:
    reporter = RecordingReporter(stop_after=questions)
    with pytest.raises(Interrupted):
        run(job(root, described), reporter)
    return reporter


@pytest.mark.parametrize(
    ("length", "questions"),
    [({"max_steps": 9}, 5), ({"max_steps": None, "epochs": 2}, 17), ({"max_steps": 24}, 13)],
    ids=["in the first epoch", "in the second epoch", "at the end of an epoch"],
)
@pytest.mark.parametrize("accumulation", [1, 2])
def test_an_interrupted_training_resumes_to_the_same_weights(
    tmp_path: Path, length: dict[str, Any], questions: int, accumulation: int
) -> None:
    batch = 8 // accumulation
    stage = {
        **ONLY_TRAIN,
        **length,
        "batch_size": batch,
        "gradient_accumulation": accumulation,
        "weight_decay": 0.01,
    }
    whole, halves = data_set(tmp_path / "whole"), data_set(tmp_path / "halves")
    described = recipe(stage)
    carry_out(whole, described)
    first = interrupted_at(halves, described, questions)
    assert first.of("stage_end")[-1]["status"] == "interrupted"
    second = carry_out(halves, described, attempt=2)
    resumed = [event["text"] for event in second.of("log") if "resuming" in event["text"]]
    # One question goes before the stage, so the last step done is one less.
    assert resumed == [f"resuming from checkpoint-{questions}"]
    assert equal(weights(whole), weights(halves))


def test_each_attempt_reports_the_operations_that_it_did(tmp_path: Path) -> None:
    whole, halves = data_set(tmp_path / "whole"), data_set(tmp_path / "halves")
    described = recipe({**ONLY_TRAIN, "max_steps": 9})
    together = carry_out(whole, described).of("flops")[-1]
    parts = [interrupted_at(halves, described, 5), carry_out(halves, described, attempt=2)]
    done = [reporter.of("flops")[-1] for reporter in parts]
    assert all(part["dense"] > 0 for part in done)
    # The same steps in total: none is reported twice, and none of the first attempt is missing.
    assert sum(part["dense"] for part in done) == together["dense"]
    assert sum(part["effective"] for part in done) == together["effective"]


def test_operations_are_reported_during_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "REPORT_EVERY_S", 0.0)
    data_set(tmp_path)
    counts = [event["dense"] for event in carry_out(tmp_path, recipe(ONLY_TRAIN)).of("flops")]
    assert len(counts) == 6 + 1  # after each step, and at the end
    assert counts == sorted(counts)
    assert counts[-1] == counts[-2]


def test_training_is_repeatable_and_depends_on_the_seed(tmp_path: Path) -> None:
    roots = [data_set(tmp_path / name) for name in "abc"]
    for root, seed in zip(roots, (1, 1, 2), strict=True):
        carry_out(root, recipe({**ONLY_TRAIN, "seed": seed}))
    assert equal(weights(roots[0]), weights(roots[1]))
    assert not equal(weights(roots[0]), weights(roots[2]))


def test_initialization_and_order_of_the_examples_have_their_own_seeds(tmp_path: Path) -> None:
    started: dict[str, dict[str, torch.Tensor]] = {}
    trained: dict[str, dict[str, torch.Tensor]] = {}
    for name, seeds in {
        "same": {"seed": 3},
        "stated": {"seed": 3, "order_seed": 3},
        "order": {"seed": 3, "order_seed": 4},
        "start": {"seed": 4, "order_seed": 3},
    }.items():
        for weights_by, rate in ((started, 1e-9), (trained, 1e-3)):
            root = data_set(tmp_path / f"{name}-{rate:g}")
            carry_out(root, recipe({**ONLY_TRAIN, "max_steps": 2, "learning_rate": rate, **seeds}))
            weights_by[name] = weights(root)
    assert equal(trained["same"], trained["stated"])
    # Another order starts from the same weights; at this rate they hardly move.
    assert all(
        torch.allclose(started["same"][key], started["order"][key], atol=1e-6)
        for key in started["same"]
    )
    assert not equal(trained["same"], trained["order"])
    assert not torch.allclose(
        next(value for key, value in started["same"].items() if "word_embeddings" in key),
        next(value for key, value in started["start"].items() if "word_embeddings" in key),
        atol=1e-3,
    )


def test_a_half_written_checkpoint_is_passed_over(tmp_path: Path) -> None:
    for step, state in ((5, '{"global_step": 5}'), (10, '{"global_st'), (15, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-5"
    assert checkpoints.newest(tmp_path / "none") is None


def test_checkpoints_are_written_by_time_and_only_the_last_is_kept(tmp_path: Path) -> None:
    data_set(tmp_path)
    often = {**ONLY_TRAIN, "checkpoint_after_s": 0, "checkpoint_every_s": 0, "max_steps": 9}
    interrupted_at(tmp_path, recipe(often), 5)
    folder = tmp_path / "work" / "stage-00" / "checkpoints"
    assert [path.name for path in folder.iterdir()] == ["checkpoint-5"]
    assert not list(folder.rglob("training_args.bin"))


def test_no_checkpoint_outlives_its_stage(tmp_path: Path) -> None:
    data_set(tmp_path)
    often = {**ONLY_TRAIN, "checkpoint_after_s": 0, "checkpoint_every_s": 0}
    carry_out(tmp_path, recipe(often))
    assert not list(tmp_path.rglob("checkpoint-*"))


def test_a_loss_that_is_not_a_number_ends_the_job(tmp_path: Path) -> None:
    data_set(tmp_path)
    wild = {**ONLY_TRAIN, "learning_rate": 10.0, "max_grad_norm": 0, "max_steps": 400}
    watch = LossWatch()
    watch.add(torch.tensor(math.nan))
    with pytest.raises(JobError) as caught:
        watch.means()
    assert caught.value.code == "loss-not-finite"
    stage, loaded = prepared(tmp_path)
    with pytest.raises(JobError) as caught:
        fitted(stage, loaded, wild, losses=[Broken()], max_steps=3)
    assert caught.value.code == "loss-not-finite"


class Broken(LossTerm):
    def value(self, forward: ForwardPass) -> torch.Tensor:
        return forward.logits.sum() * math.inf


def params(stage: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in stage.items() if k != "kind"}


def prepared(root: Path) -> tuple[StageContext, Any]:
    stage = context(root, recipe(ONLY_TRAIN))
    return stage, for_training(stage, training_labels(stage), 0)


def fitted(
    stage: StageContext, loaded: Any, options: dict[str, Any], max_steps: int, **parts: Any
) -> Outcome:
    train = Train(**params(options))
    data = training_data(stage, loaded, train.max_length)
    return fit(stage, loaded, data, train, horizon=Horizon(1.0, max_steps), **parts)


class Recorder(Plugin):
    """Freezes one parameter after each step and keeps its own number."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.count = torch.zeros(1)

    def attach(self, model: nn.Module) -> None:
        self.calls.append("attach")

    def before_step(self, step: Step) -> None:
        self.calls.append(f"before {step.done}/{step.total}")

    def after_step(self, step: Step) -> None:
        self.calls.append(f"after {step.done}/{step.total}")
        self.count += 1

    def detach(self, model: nn.Module) -> None:
        self.calls.append("detach")

    def state(self) -> dict[str, torch.Tensor]:
        return {"count": self.count}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self.count = state["count"]


def test_plugins_are_called_at_each_step_and_keep_their_state(tmp_path: Path) -> None:
    data_set(tmp_path)
    stage, loaded = prepared(tmp_path)
    first = Recorder()
    stage.reporter = RecordingReporter(stop_after=2)
    with pytest.raises(Interrupted):
        fitted(stage, loaded, ONLY_TRAIN, plugins=[first], max_steps=4)
    assert first.calls == [
        "attach",
        *("before 0/4", "after 1/4", "before 1/4", "after 2/4", "before 2/4", "after 3/4"),
    ]
    stage, loaded = prepared(tmp_path)
    second = Recorder()
    outcome = fitted(stage, loaded, ONLY_TRAIN, plugins=[second], max_steps=4)
    assert second.calls == ["attach", "before 3/4", "after 4/4", "detach"]
    assert int(second.count) == 4
    assert (outcome.steps, outcome.resumed_from_step) == (4, 3)


def test_operations_are_those_of_the_padded_batches(tmp_path: Path) -> None:
    data_set(tmp_path, train=16)
    stage = {**ONLY_TRAIN, "max_steps": None, "epochs": 2, "batch_size": 16}
    reported = carry_out(tmp_path, recipe(stage)).of("flops")[-1]
    from workers.training.cost.flops import profile
    from workers.training.data.texts import load_split
    from workers.training.data.tokens import encode
    from workers.training.model.models import for_use

    used = context(tmp_path, recipe(stage), model=tmp_path / "work" / "stage-00" / "model")
    loaded = for_use(used)
    lengths = encode(used, load_split(used, "train"), loaded.tokenizer, 48).lengths
    once = 16 * profile(loaded.model.config).forward(max(lengths))
    assert reported["dense"] == reported["effective"] == 2 * 3 * once
    assert reported["low_bit"] == 0


def test_progress_ends_at_the_last_step(tmp_path: Path) -> None:
    data_set(tmp_path)
    events = carry_out(tmp_path, recipe(ONLY_TRAIN)).of("progress")
    assert (events[-1]["done"], events[-1]["total"], events[-1]["unit"]) == (6, 6, "steps")


def test_training_learns_the_task(tmp_path: Path) -> None:
    data_set(tmp_path, train=400, dev=100, hard_share=0.0)
    stage = {**TRAIN, "max_steps": None, "epochs": 6, "learning_rate": 2e-3, "batch_size": 16}
    wide = {**CONFIG, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    reporter = carry_out(tmp_path, recipe(stage, model={"config": wide}))
    accuracy = reporter.of("metric", name="accuracy", split="validation")[0]
    assert accuracy["value"] > 0.85
    assert accuracy["quality"] is True


def test_regression_and_pairs_train_and_are_correlated(tmp_path: Path) -> None:
    words = ["one", "two", "three", "four", "five"]
    rows = [f"{a} {b}\t{b} {a}\t{i + j}" for i, a in enumerate(words) for j, b in enumerate(words)]
    text = "\n".join(["first\tsecond\tscore", *(rows * 4)]) + "\n"
    for name in ("train", "dev"):
        (tmp_path / f"{name}.tsv").write_text(text)
    data = {"train": "train.tsv", "validation": "dev.tsv", "text": "first"}
    data |= {"text_pair": "second", "label": "score"}
    stage = {**TRAIN, "max_steps": 80, "learning_rate": 2e-3, "batch_size": 20}
    shallow = {"config": {**CONFIG, "num_hidden_layers": 1, "hidden_dropout_prob": 0.0}}
    described = recipe(stage, data=data, task="regression", model=shallow)
    reporter = carry_out(tmp_path, described)
    metrics = {event["name"]: event["value"] for event in reporter.of("metric", quality=True)}
    assert set(metrics) == {"pearson", "spearman"}
    assert metrics["pearson"] > 0.8
    config = (tmp_path / "work" / "stage-00" / "model" / "config.json").read_text()
    assert '"problem_type": "regression"' in config
