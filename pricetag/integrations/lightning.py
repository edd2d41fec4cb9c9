"""Trainers of Lightning report their stages, scores and progress.

In a metered run (``pricetag run``, ``pricetag.track``, a job of a worker) nothing has to be called:
Lightning finds the callback by its entry point. Elsewhere, an explicit callback makes the training
a local run of its own::

    from pricetag.integrations.lightning import PricetagCallback

    trainer = Trainer(callbacks=[PricetagCallback("fine-tuning", project="reviews")])

The training is a stage, and every validation in it a stage inside; tests and predictions are stages
after it. Both packages are supported, ``lightning`` and ``pytorch_lightning``.
"""

from __future__ import annotations

import math
import sys
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pricetag import script
from pricetag.integrations.stages import TrainingRun, begun, break_off, end, is_number
from pricetag.local.tracking import is_metered

if TYPE_CHECKING:
    PricetagCallback: Any

PACKAGES = ("lightning.pytorch", "pytorch_lightning")
"""Homes of ``Callback``, which differ; the one in use is taken."""

RESERVED = frozenset({"step", "split", "quality"})
"""Names that are not those of figures."""


class LightningStages(TrainingRun):
    """The events of a ``Trainer``, as stages and figures; the base of ``PricetagCallback``.

    The arguments are those of ``TrainingRun``, and so is ``run``.
    """

    def __init__(self, name: str | None = None, **options: Any) -> None:
        super().__init__(name, **options)
        self._stages: list[script.Stage] = []
        self._seen: dict[str, Any] = {}
        self._steps: int | None = None
        self._is_in_use = False

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Decides which of several callbacks is used: the script's before that of the entry point.

        Lightning lists those of entry points last.
        """
        mine = [each for each in trainer.callbacks if isinstance(each, LightningStages)]
        self._is_in_use = mine[0] is self and trainer.is_global_zero

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Begins the stage of the training."""
        if not self._is_in_use:
            return
        self._begin_run()
        self._steps = None
        self._seen = {}
        self._begin("train", "train")

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Notes the number of steps."""
        if self._is_in_use:
            steps = trainer.estimated_stepping_batches
            self._steps = int(steps) if math.isfinite(steps) else None

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Reports progress, and the figures that the module logs."""
        if not self._is_in_use:
            return
        script.progress(trainer.global_step, self._steps)
        if trainer.global_step % max(1, trainer.log_every_n_steps) == 0:
            self._log(trainer, split="train")

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Begins the stage of a validation."""
        self._begin_evaluation(
            trainer, "sanity check" if trainer.sanity_checking else "validate", "evaluate"
        )

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Reports the scores and ends the stage."""
        self._end_evaluation(trainer, None if trainer.sanity_checking else "validation")

    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        """Begins the stage of a test."""
        self._begin_evaluation(trainer, "test", "evaluate")

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        """Reports the scores and ends the stage."""
        self._end_evaluation(trainer, "test")

    def on_predict_start(self, trainer: Any, pl_module: Any) -> None:
        """Begins the stage of a prediction."""
        self._begin_evaluation(trainer, "predict", "predict")

    def on_predict_end(self, trainer: Any, pl_module: Any) -> None:
        """Ends the stage."""
        self._end_evaluation(trainer, None)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Ends the stage of the training, and its run."""
        if not self._is_in_use:
            return
        while self._stages:
            end(self._stages.pop())
        self._end_run()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Ends what the exception has left open."""
        is_training = bool(self._stages)
        while self._stages:
            break_off(self._stages.pop(), exception)
        if is_training:
            self._end_run(exception)

    def _begin(self, name: str, kind: str) -> None:
        self._stages.append(begun(name, kind))

    def _begin_evaluation(self, trainer: Any, name: str, kind: str) -> None:
        if self._is_in_use and is_metered():
            self._log(trainer, split=None)
            self._begin(name, kind)

    def _end_evaluation(self, trainer: Any, split: str | None) -> None:
        if self._is_in_use and self._stages:
            self._log(trainer, split=split, quality=True)
            end(self._stages.pop())

    def _log(self, trainer: Any, *, split: str | None, quality: bool = False) -> None:
        """Reports the figures that are new since the last call; without a split, only notes them.

        Lightning keeps earlier figures beside the new ones; those are the same objects.
        """
        metrics = dict(trainer.callback_metrics)
        new = {name: value for name, value in metrics.items() if value is not self._seen.get(name)}
        self._seen = metrics
        if split is None:
            return
        for name, value in new.items():
            number = value.item() if hasattr(value, "item") else value
            if is_number(number) and name not in RESERVED:
                script.log(step=trainer.global_step, split=split, quality=quality, **{name: number})


def callbacks_of_lightning() -> list[Any]:
    """The callback for trainers of ``lightning``, in a metered run; an entry point."""
    return [_callback("lightning.pytorch")()] if is_metered() else []


def callbacks_of_pytorch_lightning() -> list[Any]:
    """The callback for trainers of ``pytorch_lightning``, in a metered run; an entry point."""
    return [_callback("pytorch_lightning")()] if is_metered() else []


@cache
def _callback(package: str) -> Any:
    base = import_module(package).Callback
    return type("PricetagCallback", (LightningStages, base), {"__doc__": LightningStages.__doc__})


def __getattr__(name: str) -> Any:
    """``PricetagCallback``, made when it is first used: Lightning takes seconds to import."""
    if name != "PricetagCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    in_use = [package for package in PACKAGES if package in sys.modules]
    for package in (*in_use, *PACKAGES):
        try:
            return _callback(package)
        except ModuleNotFoundError as error:
            if not package.startswith(str(error.name)):
                raise
    raise ModuleNotFoundError(
        "PricetagCallback needs Lightning, which is not installed: pip install lightning",
        name="lightning",
    )
