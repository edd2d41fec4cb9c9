"""Runs of a training recipe as a worker would have left them, at any pace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import update

from app.db import Session
from app.services.attempts import execution
from models import Attempt
from tests.support.api import Api
from tests.support.executions import JournalMaker, claimed

CONFIG = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
STEP_OF_EXAMPLES = 8


def training(**changes: Any) -> dict[str, Any]:
    """A recipe: a training and its evaluation."""
    return {
        "task": "classification",
        "data": {"train": "reviews/train.tsv", "validation": "reviews/dev.tsv"},
        "model": {"config": CONFIG},
        "stages": [
            {"kind": "train", "epochs": 2.0, "batch_size": STEP_OF_EXAMPLES, "seed": 0, **changes}
        ],
    }


class TrainingJournal(JournalMaker):
    """A training of some seconds, then its evaluation, at 150 W in all."""

    def begin(self, start_s: float = 1.0) -> None:
        """The meter opens and the training begins."""
        self.start()
        self.read(0.0)
        self.tell(0.5, None, None, None)
        self.edge(start_s, "0", 0, "train")

    def edge(self, t_s: float, key: str, index: int, kind: str) -> None:
        self.read(t_s)
        named = {"parent_key": None, "recipe_index": 0, "kind": kind, "name": kind}
        self.add("stage_start", t_s, key=key, index=index, **named)

    def close(self, t_s: float, key: str) -> None:
        self.read(t_s)
        self.add("stage_end", t_s, key=key, status="succeeded")

    def tell(self, t_s: float, key: str | None, done: float | None, total: float | None) -> None:
        """A progress record with the energy that the meter has seen by then."""
        self.read(t_s)
        energy_kwh = 150.0 * t_s / 3.6e6
        payload = {"done": done, "total": total, "unit": "steps", "energy_kwh": energy_kwh}
        self.add("progress", t_s, key=key, kind="train", name="train", power_w=150.0, **payload)

    def whole_training(
        self, *, train_s: float, evaluate_s: float, steps: int, epochs: float, flops: float
    ) -> None:
        """One second before, one between its stages, one after them."""
        self.begin()
        trained_s = 1.0 + train_s
        for second in range(2, int(trained_s)):
            self.read(float(second))
        self.add("metric", trained_s, key="0", name="steps", value=steps)
        self.add("metric", trained_s, key="0", name="epochs", value=epochs)
        self.add("flops", trained_s, key="0", dense=flops, effective=flops, low_bit=None)
        self.close(trained_s, "0")
        self.edge(trained_s + 1.0, "1", 1, "evaluate")
        evaluated_s = trained_s + 1.0 + evaluate_s
        self.close(evaluated_s, "1")
        self.read(evaluated_s + 1.0)
        self.add("end", evaluated_s + 1.0, status="succeeded", reason=None)


async def trained(
    api: Api,
    recipe: dict[str, Any] | None = None,
    *,
    train_s: float = 40.0,
    evaluate_s: float = 5.0,
    steps: int = 200,
    epochs: float = 2.0,
    flops: float = 1e12,
    **body: Any,
) -> str:
    """Posts a run and lets it succeed; 150 W all the time."""
    run_id = await api.post_run(recipe=recipe or training(), **body)
    async with api.database.session_scope() as session:
        journal = await claimed_journal(session, run_id)
        journal.whole_training(
            train_s=train_s, evaluate_s=evaluate_s, steps=steps, epochs=epochs, flops=flops
        )
        await execution.ingest(session, journal.attempt_id, journal.records)
    return run_id


async def claimed_journal(session: Session, run_id: str) -> TrainingJournal:
    """The journal of an attempt that was taken now."""
    return TrainingJournal((await claimed(session, UUID(run_id))).attempt_id)


async def half_trained(session: Session, journal: TrainingJournal) -> datetime:
    """When an attempt began: 21 s ago. It did half of its training in the last 20 s."""
    journal.begin()
    journal.tell(1.0, "0", 0, 200)
    journal.tell(21.0, "0", 100, 200)
    await execution.ingest(session, journal.attempt_id, journal.records)
    started = datetime.now(UTC) - timedelta(seconds=21)
    attempt = update(Attempt).where(Attempt.id == journal.attempt_id)
    await session.execute(attempt.values(started_at=started))
    return started
