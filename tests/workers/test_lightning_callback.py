"""The callback in a real ``Trainer`` of Lightning, with a model of two parameters."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from pricetag import script
from pricetag.attempt.event_server import Connection, EventServer
from pricetag.events import ENV_VAR
from pricetag.integrations import stages
from pricetag.integrations.lightning import LightningStages, PricetagCallback

BATCHES = [torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [4.0]])]


class Line(LightningModule):  # type: ignore[misc]
    """Two steps an epoch, and a validation after each."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: torch.Tensor, index: int) -> Any:
        loss = self.layer(batch).square().mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.log("accuracy", 0.5)  # the same every time

    def test_step(self, batch: torch.Tensor, index: int) -> None:
        self.log("test_accuracy", 0.25)

    def predict_step(self, batch: torch.Tensor, index: int) -> Any:
        return self.layer(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Failing(Callback):  # type: ignore[misc]
    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        raise RuntimeError("out of data")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Lightning's advice on loaders and devices does not concern the callback."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def trainer(folder: Path, *callbacks: Any, sanity: int = 0) -> Trainer:
    return Trainer(
        default_root_dir=str(folder),
        accelerator="cpu",
        max_epochs=2,
        num_sanity_val_steps=sanity,
        log_every_n_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )


def loader() -> Any:
    return torch.utils.data.DataLoader(BATCHES, batch_size=None)  # type: ignore[arg-type]


def everything(folder: Path) -> None:
    """Trains, tests and predicts; the script names no callback of ours."""
    used = trainer(folder, sanity=1)
    mine = [each for each in used.callbacks if isinstance(each, LightningStages)]
    assert len(mine) == 1
    model = Line()
    used.fit(model, loader(), loader())
    used.test(model, loader(), verbose=False)
    used.predict(model, loader())


async def test_a_training_reports_its_stages_and_scores_without_code_in_the_script(
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
    await asyncio.to_thread(everything, tmp_path)
    await asyncio.to_thread(script.reconnect)
    await server.drain(60)
    await server.close()

    edges = [
        (event.get("name", "end"), event.get("parent") is not None)
        for event in events
        if event["type"] in ("stage_start", "stage_end")
    ]
    end = ("end", False)
    inner = [("validate", True), end]
    assert edges == [
        ("train", False),
        ("sanity check", True),
        end,
        *inner,
        *inner,
        end,
        *[("test", False), end, ("predict", False), end],
    ]
    quality = [
        (event["name"], event["value"], event["split"]) for event in events if event.get("quality")
    ]
    validation = ("accuracy", 0.5, "validation")
    assert quality == [validation, validation, ("test_accuracy", 0.25, "test")]
    losses = [event["step"] for event in events if event.get("name") == "train_loss"]
    assert losses == [1, 2, 3, 4]
    progress = [(e["done"], e["total"]) for e in events if e["type"] == "progress"]
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]


class FakeTrack:
    """A run that begins and ends; the meter itself is not in question here."""

    calls: list[Any]

    def __init__(self, name: str | None, **options: Any) -> None:
        self.calls.append((name, options["project"]))

    def __enter__(self) -> None:
        self.calls.append("begun")

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self.calls.append("ended" if error is None else str(error))


def test_outside_a_metered_run_an_explicit_callback_makes_a_run_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ENV_VAR, raising=False)
    monkeypatch.setattr(stages, "track", FakeTrack)
    FakeTrack.calls = []
    unmetered = trainer(tmp_path)
    assert not any(isinstance(each, LightningStages) for each in unmetered.callbacks)
    explicit = PricetagCallback("fine-tuning", project="reviews")
    assert isinstance(explicit, Callback)
    second = PricetagCallback("ignored")
    trainer(tmp_path, explicit, second).fit(Line(), loader())
    assert FakeTrack.calls == [("fine-tuning", "reviews"), "begun", "ended"]
    assert second.run is None
    with pytest.raises(RuntimeError, match="out of data"):
        trainer(tmp_path, PricetagCallback("fails"), Failing()).fit(Line(), loader(), loader())
    assert FakeTrack.calls[3:] == [("fails", None), "begun", "out of data"]
