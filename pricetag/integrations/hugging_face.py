"""Trainers of Hugging Face Transformers report their stages, scores and FLOPs.

::

    from pricetag.integrations.hugging_face import PricetagCallback

    trainer = Trainer(model=model, args=args, ..., callbacks=[PricetagCallback()])
    trainer.train()

The training is a stage, and every evaluation in it a stage inside. Under ``pricetag run``, in
``pricetag.track`` or in a job of a worker, they are stages of that run. Otherwise the training is a
local run of its own.

A price tag is the metadata of a model card, too, in grams::

    from huggingface_hub import ModelCardData
    from pricetag.integrations.hugging_face import co2_eq_emissions

    ModelCardData(co2_eq_emissions=co2_eq_emissions(run.price_tag, training_type="fine-tuning"))
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pricetag import script
from pricetag.integrations.stages import TrainingRun, begun, break_off, end, is_number
from pricetag.local.tracking import is_metered
from pricetag.tag.model_card import co2_eq_emissions as co2_eq_emissions

if TYPE_CHECKING:
    PricetagCallback: Any

FLOPS_METHOD = "Transformers: 6 x parameters without embeddings x tokens"
"""How ``Trainer`` counts.

Source:
    ``PreTrainedModel.floating_point_ops`` of Transformers; Kaplan et al. 2020, section 2.1,
    arXiv:2001.08361.
"""

NOT_SCORES = (
    "runtime",
    "samples_per_second",
    "steps_per_second",
    "epoch",
    "model_preparation_time",
)
"""Ends of the names of figures that evaluations report beside scores."""

SPLIT = "validation"


class TrainingStages(TrainingRun):
    """The events of a ``Trainer``, as stages and figures; the base of ``PricetagCallback``.

    The arguments are those of ``TrainingRun``, and so is ``run``.
    """

    def __init__(self, name: str | None = None, **options: Any) -> None:
        super().__init__(name, **options)
        self._training: script.Stage | None = None
        self._evaluation: script.Stage | None = None
        self._flops_before = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begins the stage of the training."""
        if not state.is_world_process_zero:
            return
        self._break_off()
        self._begin_run()
        self._flops_before = float(state.total_flos or 0.0)
        self._training = begun("train", "train")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Reports progress; an evaluation that follows begins here."""
        if self._training is not None:
            script.progress(state.global_step, state.max_steps or None)
        self._evaluate_next(control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """An evaluation that follows begins here."""
        self._evaluate_next(control)

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """An evaluation outside the training begins with its first step."""
        if state.is_world_process_zero and is_metered():
            self._begin_evaluation()

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Reports the scores and ends the stage of the evaluation."""
        evaluation, self._evaluation = self._evaluation, None
        if evaluation is None:
            return
        for name, value in scores(metrics or {}).items():
            script.log(step=state.global_step, split=SPLIT, quality=True, **{name: value})
        end(evaluation)

    def on_predict(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ends the stage of a prediction."""
        evaluation, self._evaluation = self._evaluation, None
        if evaluation is not None:
            end(evaluation)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Reports the figures of the training."""
        if self._training is None:
            return
        for name, value in (logs or {}).items():
            if not name.startswith("eval_") and is_number(value):
                script.log(step=state.global_step, **{name: value})

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ends the stage of the training, and its run."""
        training, self._training = self._training, None
        if training is None:
            return
        counted = float(state.total_flos or 0.0) - self._flops_before
        if counted > 0:
            script.flops(counted, method=FLOPS_METHOD)
        end(training)
        self._end_run()

    def _break_off(self) -> None:
        """Ends what an earlier training that raised has left open."""
        error = RuntimeError("the training ended with an exception")
        for stage in filter(None, (self._evaluation, self._training)):
            break_off(stage, error)
        if self._training is not None:
            self._end_run(error)
        self._training = self._evaluation = None

    def _evaluate_next(self, control: Any) -> None:
        if self._training is not None and control.should_evaluate:
            self._begin_evaluation()

    def _begin_evaluation(self) -> None:
        if self._evaluation is None:
            self._evaluation = begun("evaluate", "evaluate")


def scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The scores of an evaluation by name, without its prefix and without times and rates."""
    named = {name.removeprefix("eval_"): value for name, value in metrics.items()}
    return {
        name: value
        for name, value in named.items()
        if is_number(value) and not name.endswith(NOT_SCORES)
    }


def __getattr__(name: str) -> Any:
    """``PricetagCallback``, made when it is first used: Transformers takes seconds to import."""
    if name != "PricetagCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    base = import_module("transformers").TrainerCallback
    callback = type(name, (TrainingStages, base), {"__doc__": TrainingStages.__doc__})
    globals()[name] = callback
    return callback
