"""The callback in a real ``Trainer`` of Transformers, with a model of a few hundred parameters."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from pricetag import script
from pricetag.attempt.event_server import Connection, EventServer
from pricetag.events import ENV_VAR
from pricetag.integrations import stages
from pricetag.integrations.hugging_face import FLOPS_METHOD, PricetagCallback, scores

STEPS = 4


class Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": torch.tensor([1, index + 2, 1]), "labels": torch.tensor(index % 2)}


def trainer(folder: Path, callback: Any) -> Trainer:
    sizes: dict[str, Any] = {"hidden_size": 4, "intermediate_size": 4, "vocab_size": 12}
    config = BertConfig(num_hidden_layers=1, num_attention_heads=1, **sizes)
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=2,
        eval_strategy="steps",
        eval_steps=2,
        logging_steps=2,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    return Trainer(
        model=BertForSequenceClassification(config),
        args=arguments,
        train_dataset=Rows(),
        eval_dataset=Rows(),
        compute_metrics=lambda _: {"accuracy": 0.5},
        callbacks=[callback],
    )


async def test_a_training_reports_its_stages_scores_and_flops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[dict[str, Any]] = []

    async def handle(_: Connection, message: dict[str, Any]) -> dict[str, Any]:
        events.append(message)
        return {"key": message.get("key") or str(len(events))}

    server = EventServer(tmp_path / "events.sock", handle)
    await server.start()
    monkeypatch.setenv(ENV_VAR, str(tmp_path / "events.sock"))
    script.reconnect()
    training = trainer(tmp_path, PricetagCallback())
    await asyncio.to_thread(training.train)
    await asyncio.to_thread(training.evaluate)
    await asyncio.to_thread(script.reconnect)
    await server.drain(60)
    await server.close()

    edges = [
        (event["type"], event.get("kind"), event.get("parent") is not None)
        for event in events
        if event["type"] in ("stage_start", "stage_end")
    ]
    inner = [("stage_start", "evaluate", True), ("stage_end", None, False)]
    assert edges == [
        ("stage_start", "train", False),
        *inner,
        *inner,
        ("stage_end", None, False),
        ("stage_start", "evaluate", False),  # after the training
        ("stage_end", None, False),
    ]
    quality = [(event["name"], event["value"]) for event in events if event.get("quality")]
    assert quality.count(("accuracy", 0.5)) == 3
    assert {name for name, _ in quality} == {"accuracy", "loss"}
    steps = [event["step"] for event in events if event.get("name") == "learning_rate"]
    assert steps == [2, 4]
    (flops,) = [event for event in events if event["type"] == "flops"]
    # Two rows of three tokens a step; the first layer of embeddings does not count.
    model: Any = training.model
    counted = 6 * STEPS * 2 * 3 * model.num_parameters(exclude_embeddings=True)
    assert (flops["dense"], flops["method"]) == (counted, FLOPS_METHOD)
    progress = [event["done"] for event in events if event["type"] == "progress"]
    assert progress == [1, 2, 3, 4]


def test_outside_a_metered_run_the_training_is_a_run_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    class FakeTrack:
        def __enter__(self) -> None:
            calls.append("begun")

        def __exit__(self, *_: object) -> None:
            calls.append("ended")

    def fake_track(name: str | None, **options: Any) -> FakeTrack:
        calls.append((name, options["project"]))
        return FakeTrack()

    monkeypatch.delenv(ENV_VAR, raising=False)
    monkeypatch.setattr(stages, "track", fake_track)
    script.reconnect()
    callback = PricetagCallback("fine-tuning", project="reviews")
    training = trainer(tmp_path, callback)
    training.train()
    assert calls == [("fine-tuning", "reviews"), "begun", "ended"]
    training.evaluate()  # nothing is metered any more
    assert len(calls) == 3


def test_a_training_that_raised_has_failed_when_the_next_one_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str | None] = []

    class FakeTrack:
        def __enter__(self) -> None: ...

        def __exit__(self, kind: type | None, *_: object) -> None:
            ended.append(None if kind is None else kind.__name__)

    monkeypatch.delenv(ENV_VAR, raising=False)
    monkeypatch.setattr(stages, "track", lambda name, **options: FakeTrack())
    script.reconnect()
    training = trainer(tmp_path, PricetagCallback())
    monkeypatch.setattr(training, "compute_metrics", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        training.train()
    assert ended == []
    monkeypatch.setattr(training, "compute_metrics", None)
    training.train()
    assert ended == ["RuntimeError", None]


def test_times_and_rates_are_not_scores() -> None:
    metrics = {
        "eval_accuracy": 0.5,
        "eval_runtime": 1.0,
        "eval_samples_per_second": 2.0,
        "epoch": 1.0,
        "eval_f1": float("nan"),
        "eval_name": "x",
    }
    assert scores(metrics) == {"accuracy": 0.5}
